"""What happens before the development server serves."""

import socket

import click
import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from devtools.servers import free_port
from project.cli import check_port, prepare_development_server
from project.tests.types import CreateProductionApp


def test_urls_of_the_service_are_printed(
    test_app: Flask, empty_database: SQLAlchemy, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    prepare_development_server(test_app, empty_database, "127.0.0.1", port)
    printed = capsys.readouterr().out
    assert f"Database: postgresql://{empty_database.engine.url.username}" in printed
    for path in ("users", "docs"):
        assert f"http://127.0.0.1:{port}/{path}\n" in printed
    assert f"curl -i http://127.0.0.1:{port}/users -H" in printed


def test_unavailable_database_is_explained(
    empty_database: SQLAlchemy,
    create_production_app: CreateProductionApp,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = create_production_app(DATABASE_URL="postgresql://ada@127.0.0.1:1/users")
    monkeypatch.setitem(app.config, "USES_EMBEDDED_DATABASE", True)
    with pytest.raises(click.ClickException, match="check that PostgreSQL is running"):
        prepare_development_server(app, empty_database, "127.0.0.1", free_port())


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_port_in_use_is_explained(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with pytest.raises(click.ClickException, match="another port with --port"):
            check_port(host, listener.getsockname()[1])


def test_free_port_is_accepted() -> None:
    check_port("127.0.0.1", free_port())
