"""The history of users: who has written them, and when."""

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_sqlalchemy import SQLAlchemy

from project.audit_log import operating_system_user
from project.tests.client import IsolatedClient
from project.tests.functional.admin.helpers import (
    HTTPS,
    log_in,
    post_form,
)
from project.tests.types import AddUser, CreateProductionApp, RunCommand

ENTRY = re.compile(r"<li><time [^>]*>[^<]*</time>: (\w+) by <b[^>]*>([^<]*)</b></li>")
NAMED_TOKEN = "a-token-with-a-name"
PLAIN_TOKEN = "another-token-without"


def shown_history(client: FlaskClient, user_id: int) -> list[tuple[str, str]]:
    """Return the actions and names on the user's details page, newest first."""
    return ENTRY.findall(client.get(f"/admin/user/details/?id={user_id}", **HTTPS).text)


@pytest.fixture
def operator(
    create_login_app: CreateProductionApp, operators_database: SQLAlchemy
) -> FlaskClient:
    """A logged-in client of an application whose API has tokens."""
    app = create_login_app(API_TOKENS=f"crm:{NAMED_TOKEN},{PLAIN_TOKEN}")
    client = app.test_client()
    log_in(client)
    return client


def api_headers(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_each_write_of_the_api_is_shown_with_the_client(operator: FlaskClient) -> None:
    body = {"username": "ada", "email": "ada@example.com"}
    named, plain = api_headers(NAMED_TOKEN), api_headers(PLAIN_TOKEN)
    operator.post("/users", json=body, headers=named, **HTTPS)
    operator.put("/users/1", json=body | {"active": False}, headers=plain, **HTTPS)
    assert len(shown_history(operator, 1)) == 2
    operator.delete("/users/1", headers=named, **HTTPS)
    response = operator.get("/admin/user/details/?id=1", **HTTPS)
    assert response.status_code == 404
    assert "This user was removed." in response.text
    assert "ada" not in response.text
    last, middle, first = shown_history(operator, 1)
    assert (first, last) == (("added", "crm"), ("removed", "crm"))
    assert middle[0] == "updated"


def test_rejected_writes_are_not_recorded(
    operator: FlaskClient, add_user: AddUser
) -> None:
    add_user("ada", "ada@example.com")
    headers = api_headers(NAMED_TOKEN)
    body = {"username": "ada", "email": "ada@example.com"}
    assert (
        operator.post("/users", json=body, headers=headers, **HTTPS).status_code == 400
    )
    stale = headers | {"If-Match": '"1"'}
    for method in (operator.put, operator.delete):
        response = method("/users/1", json=body, headers=stale, **HTTPS)
        assert response.status_code == 412
    assert shown_history(operator, 1) == []


def test_client_without_a_token_is_anonymous(admin: FlaskClient) -> None:
    admin.post("/users", json={"username": "ada", "email": "ada@example.com"})
    assert shown_history(admin, 1) == [("added", "anonymous")]


def test_writes_of_the_admin_site_are_shown_with_the_operator(
    operator: FlaskClient,
) -> None:
    form = {"username": "ada", "email": "ada@example.com", "active": "y"}
    post_form(operator, "/admin/user/new/", form, **HTTPS)
    post_form(
        operator,
        "/admin/user/ajax/update/",
        {"list_form_pk": "1", "username": "Ada"},
        **HTTPS,
    )
    for action in ("deactivate", "delete"):
        data = {"action": action, "all": "1", "confirmed": "1"}
        post_form(operator, "/admin/user/action/", data, **HTTPS)
    actions = ["removed", "updated", "updated", "added"]
    assert shown_history(operator, 1) == [(action, "ops") for action in actions]


def test_bulk_commands_are_shown_with_the_user_of_the_operating_system(
    admin: FlaskClient, run_command: RunCommand
) -> None:
    run_command("seed_db")
    lines = '{"username": "a", "email": "ada@example.com"}\n'
    run_command(
        *("import_users", "--format", "jsonl", "--existing", "update"),
        *("--who", "anna"),
        input=lines,
    )
    user = operating_system_user()
    assert shown_history(admin, 1) == [("updated", "anna"), ("added", user)]


def test_history_can_be_disabled(
    create_production_app: CreateProductionApp, admin: FlaskClient, database_url: str
) -> None:
    app: Flask = create_production_app(DATABASE_URL=database_url, HISTORY_DAYS=0)
    app.test_client_class = IsolatedClient
    body = {"username": "ada", "email": "ada@example.com"}
    assert app.test_client().post("/users", json=body, **HTTPS).status_code == 201
    assert shown_history(admin, 1) == []


def test_name_of_the_writer_does_not_leak_into_the_next_transaction(
    admin: FlaskClient, empty_database: SQLAlchemy
) -> None:
    for number in range(20):
        admin.post("/users", json={"username": "a", "email": f"{number}@example.com"})
    for engine in empty_database.engines.values():
        with engine.connect() as connection:
            query = "SELECT current_setting('users.who', true)"
            assert not connection.exec_driver_sql(query).scalar_one()


def test_names_are_escaped(admin: FlaskClient, run_command: RunCommand) -> None:
    lines = '{"username": "a", "email": "ada@example.com"}\n'
    run_command("import_users", "--format", "jsonl", "--who", "<i>'%s", input=lines)
    assert shown_history(admin, 1) == [("added", "&lt;i&gt;&#39;%s")]
