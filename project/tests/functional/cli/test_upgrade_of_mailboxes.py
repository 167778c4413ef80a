"""`db upgrade` makes mailboxes unique (migration 0003), or lists who shares one."""

from contextlib import closing

import pytest
from flask import Flask
from sqlalchemy import make_url

from devtools import sql
from project import db
from project.database.schema import SchemaError
from project.tests.databases import own_name
from project.tests.functional.cli.helpers import assert_one_line_error
from project.tests.types import CreateProductionApp, RunCommand
from project.tests.users import user_body

READ_SCHEMA = """
    SELECT version_num, indexdef, to_regprocedure('users_mailbox(text)')::text
    FROM alembic_version, pg_indexes WHERE indexname = 'users_email_key'
"""


@pytest.fixture
def old_url(run_command: RunCommand, blank_app: Flask, blank_database_url: str) -> str:
    """URL of the database of `blank_app`, before the migration."""
    assert run_command("db", "upgrade", "0002", app=blank_app).exit_code == 0
    return blank_database_url


def insert(url: str, *emails: str) -> None:
    with closing(sql.connect(url)) as connection, connection.cursor() as cursor:
        for email in emails:
            cursor.execute(
                "INSERT INTO users (username, email) VALUES ('x', %s)", [email]
            )


def test_users_with_one_mailbox_are_listed_and_nothing_changes(
    run_command: RunCommand, blank_app: Flask, old_url: str
) -> None:
    insert(
        old_url,
        "ada@bücher.example",
        "grace@example.com",
        "ada@xn--bcher-kva.example",
        "\uff41da@bücher.example",
        "\x1b[2Jé@example.com",
        "\x1b[2Je\u0301@example.com",
        "a@xn--99999999.example",
    )
    before = sql.execute(old_url, READ_SCHEMA)
    refused = run_command("db", "upgrade", app=blank_app)
    assert refused.exit_code == 1
    message, *listed = refused.output.splitlines()
    assert message.startswith("Error: 2 mailbox(es) belong to several users")
    assert "Nothing was changed. Delete all but one user of each" in message
    assert "then run `python manage.py db upgrade` again" in message
    assert listed == [
        "1 'ada@bücher.example', 3 'ada@xn--bcher-kva.example', 4 'ａda@bücher.example'",
        r"5 '\x1b[2Jé@example.com', 6 '\x1b[2J" + "e\u0301@example.com'",
    ]
    assert sql.execute(old_url, READ_SCHEMA) == before
    assert before == [("0002", before[0][1], None)]
    # Follow the advice.
    sql.execute(old_url, "DELETE FROM users WHERE id IN (3, 6)")
    sql.execute(old_url, "UPDATE users SET email = 'ada@example.org' WHERE id = 4")
    assert run_command("db", "upgrade", app=blank_app).exit_code == 0
    assert run_command("db", "check", app=blank_app).exit_code == 0
    assert sql.execute(old_url, "SELECT count(*) FROM users") == [(5,)]


def test_downgrade_restores_the_index_on_the_address(
    run_command: RunCommand, blank_app: Flask, old_url: str
) -> None:
    before = sql.execute(old_url, READ_SCHEMA)
    assert run_command("db", "upgrade", app=blank_app).exit_code == 0
    assert sql.execute(old_url, READ_SCHEMA) != before
    assert run_command("db", "downgrade", "0002", app=blank_app).exit_code == 0
    assert sql.execute(old_url, READ_SCHEMA) == before
    assert run_command("db", "upgrade", app=blank_app).exit_code == 0


def test_service_before_the_migration_returns_503_with_a_hint(
    blank_app: Flask, old_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    insert(old_url, "ada@example.com")
    client = blank_app.test_client()
    for response in (
        client.post("/users", json=user_body(email="grace@example.com")),
        client.get("/users?email=ada@example.com"),
    ):
        assert response.status_code == 503
        assert "Retry-After" in response.headers
    assert caplog.text.count("run `python manage.py db upgrade`") == 2
    assert client.get("/users/1").status_code == 200


def test_import_before_the_migration_is_one_line(
    run_command: RunCommand, blank_app: Flask, old_url: str
) -> None:
    text = "username,email\nada,ada@example.com\n"
    failed = run_command("import_users", app=blank_app, input=text)
    assert_one_line_error(failed, "run `python manage.py db upgrade`")


def test_database_with_another_encoding_is_refused(
    run_command: RunCommand,
    create_production_app: CreateProductionApp,
    database_url: str,
) -> None:
    name = own_name("latin")
    drop = f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"
    sql.execute(database_url, drop)
    create = f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1'"
    sql.execute(database_url, f"{create} LOCALE_PROVIDER libc LOCALE 'C'")
    url = make_url(database_url).set(database=name).render_as_string(False)
    app = create_production_app(DATABASE_URL=url)
    try:
        with app.app_context(), pytest.raises(SchemaError, match="encoding LATIN1"):
            db.create_all()
        refused = run_command("db", "upgrade", app=app)
        *steps, message = refused.output.splitlines()
        assert refused.exit_code == 1
        assert message.startswith(f"Error: the database {name} has the encoding LATIN1")
        assert "ENCODING 'UTF8'" in message
        assert sql.execute(url, "TABLE alembic_version") == [("0002",)]
    finally:
        sql.execute(database_url, drop)
