"""When the admin is served, and that it does not affect the API."""

import subprocess
import sys

import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from devtools.servers import ROOT, clean_environment
from project import create_app

ADMIN_LIBRARIES = {"flask_admin", "flask_wtf", "wtforms"}


@pytest.mark.parametrize(
    "settings, status",
    [
        ({"APP_SETTINGS": "Development"}, 200),
        ({"APP_SETTINGS": "Development", "FLASK_ENV": "development"}, 200),
        ({"APP_SETTINGS": "Development", "FLASK_ENV": "production"}, 404),
        ({"APP_SETTINGS": "Testing"}, 404),
        ({"APP_SETTINGS": "Testing", "FLASK_ENV": "development"}, 200),
        ({"APP_SETTINGS": "Testing", "FLASK_ENV": "production"}, 404),
        ({"APP_SETTINGS": "Production"}, 404),
        ({"APP_SETTINGS": "Production", "FLASK_ENV": "development"}, 404),
    ],
    ids=lambda value: " ".join(value.values()) if isinstance(value, dict) else "",
)
def test_settings_decide_whether_admin_is_served(
    monkeypatch: pytest.MonkeyPatch,
    database_url: str,
    empty_database: SQLAlchemy,
    settings: dict[str, str],
    status: int,
) -> None:
    settings = settings | {
        "APP_SETTINGS": f"project.config.{settings['APP_SETTINGS']}Config",
        "DATABASE_URL": database_url,
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    client = create_app().test_client()
    for url in ("/admin/", "/admin/user/", "/admin/files/admin.css"):
        with client.get(url) as response:
            assert response.status_code == status
    assert client.get("/admin/login").status_code == 404
    assert client.get("/ping").status_code == 200


@pytest.mark.subprocess
def test_disabled_admin_imports_no_admin_library() -> None:
    check = (
        f"import manage, sys; assert not {ADMIN_LIBRARIES}.intersection(sys.modules)"
    )
    subprocess.run(
        [sys.executable, "-c", check],
        cwd=ROOT,
        env=clean_environment() | {"APP_SETTINGS": "project.config.ProductionConfig"},
        check=True,
    )


def test_admin_adds_no_hook_and_no_header_to_the_api(
    admin_app: Flask, test_app: Flask
) -> None:
    for hooks in ("before_request_funcs", "after_request_funcs"):
        assert getattr(admin_app, hooks)[None] == getattr(test_app, hooks)[None]
    response = admin_app.test_client().get("/users")
    assert "Vary" not in response.headers
    assert "Content-Security-Policy" not in response.headers
