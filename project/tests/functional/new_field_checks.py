"""Checks of a field that test_contributing.py has added to a copy of the project.

pytest does not collect this file by itself: test_contributing.py runs it in the copy,
and describes the field in the environment variable NEW_FIELD.
"""

import csv
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from project import create_app, db
from project.api.users import queries
from project.api.users.formulas import escape_formulas
from project.tests.client import IsolatedClient
from project.tests.functional.admin.helpers import get_version, post_form
from project.tests.types import RunCommand

# name, nullable, two valid values and an invalid one.
FIELD = json.loads(os.environ["NEW_FIELD"])
NAME = FIELD["name"]
FIRST, SECOND, INVALID = FIELD["first"], FIELD["second"], FIELD["invalid"]
ADA = {"username": "ada", "email": "ada@example.com", NAME: FIRST}

needs_nullable = pytest.mark.skipif(
    not FIELD["nullable"], reason="the field is required"
)


@pytest.fixture
def ada(client: FlaskClient) -> int:
    """The id of a user with the first value."""
    response = client.post("/users", json=ADA)
    user_id: int = response.get_json()["data"]["id"]
    return user_id


@pytest.fixture
def admin(test_app: Flask, client: FlaskClient) -> FlaskClient:
    """A client of an application whose admin needs no login."""
    app = create_app({"FLASK_ENV": "development"})
    app.test_client_class = IsolatedClient
    return app.test_client()


def stored_value() -> Any:
    """Return the value of the only user."""
    with db.engine.connect() as connection:
        statement = f'SELECT to_json("{NAME}") FROM users'
        return connection.exec_driver_sql(statement).scalar_one()


def as_text(value: str | bool) -> str:
    """Return a value as a cell of a CSV file."""
    return str(value).lower() if isinstance(value, bool) else value


def assert_imported(run_command: RunCommand, format: str, text: str) -> None:
    """Import users and update existing ones."""
    result = run_command(
        *("import_users", "--existing", "update", "--format", format), input=text
    )
    assert result.exit_code == 0, result.output


def test_post_stores_the_value(client: FlaskClient, ada: int) -> None:
    assert client.get(f"/users/{ada}").get_json()["data"][NAME] == FIRST
    page = client.get("/users").get_json()["data"]["users"]
    assert [user[NAME] for user in page] == [FIRST]


def test_post_requires_the_field_unless_it_is_nullable(client: FlaskClient) -> None:
    response = client.post("/users", json={"username": "a", "email": "a@example.com"})
    if FIELD["nullable"]:
        assert response.status_code == 201
        assert response.get_json()["data"][NAME] is None
    else:
        assert response.get_json()["errors"] == {NAME: "Field required"}


@pytest.mark.parametrize("method", ["put", "patch"])
def test_update_changes_the_value(client: FlaskClient, ada: int, method: str) -> None:
    body = {**ADA, NAME: SECOND} if method == "put" else {NAME: SECOND}
    response = getattr(client, method)(f"/users/{ada}", json=body)
    assert response.get_json()["data"][NAME] == SECOND
    assert stored_value() == SECOND


def test_patch_without_the_field_keeps_the_value(client: FlaskClient, ada: int) -> None:
    response = client.patch(f"/users/{ada}", json={"username": "lady"})
    assert response.get_json()["data"][NAME] == FIRST


@needs_nullable
def test_put_without_the_field_keeps_the_value(client: FlaskClient, ada: int) -> None:
    body = {"username": "lady", "email": "ada@example.com"}
    response = client.put(f"/users/{ada}", json=body)
    assert response.get_json()["data"][NAME] == FIRST


def test_null_clears_a_nullable_field(client: FlaskClient, ada: int) -> None:
    response = client.patch(f"/users/{ada}", json={NAME: None})
    if FIELD["nullable"]:
        assert response.get_json()["data"][NAME] is None
        assert stored_value() is None
    else:
        assert response.status_code == 400
        assert NAME in response.get_json()["errors"]


def test_invalid_value_is_refused(client: FlaskClient, ada: int) -> None:
    response = client.patch(f"/users/{ada}", json={NAME: INVALID})
    assert response.status_code == 400
    assert list(response.get_json()["errors"]) == [NAME]
    assert client.patch(f"/users/{ada}", json={NAME: "a\0b"}).status_code == 400
    assert stored_value() == FIRST


def test_import_of_csv_sets_the_value(run_command: RunCommand) -> None:
    assert_imported(
        run_command, "csv", f"username,email,{NAME}\na,a@example.com,{as_text(FIRST)}\n"
    )
    assert stored_value() == FIRST


def test_import_of_jsonl_sets_the_value(run_command: RunCommand) -> None:
    assert_imported(run_command, "jsonl", json.dumps(ADA))
    assert stored_value() == FIRST


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_import_of_an_invalid_value_is_refused(
    run_command: RunCommand, format: str
) -> None:
    text = {
        "csv": f"username,email,{NAME}\na,a@example.com,{INVALID}\n",
        "jsonl": json.dumps({**ADA, NAME: INVALID}),
    }[format]
    result = run_command("import_users", "--format", format, input=text)
    assert result.exit_code == 1
    assert f"{NAME}: " in result.output


@needs_nullable
@pytest.mark.parametrize(
    "format, text",
    [
        ("csv", "username,email\nlady,ada@example.com\n"),
        ("jsonl", '{"username": "lady", "email": "ada@example.com"}'),
    ],
)
def test_import_without_the_field_keeps_the_value(
    run_command: RunCommand, ada: int, format: str, text: str
) -> None:
    assert_imported(run_command, format, text)
    assert queries.get(ada).data["username"] == "lady"
    assert stored_value() == FIRST


@needs_nullable
@pytest.mark.parametrize(
    "format, text",
    [
        ("csv", f"username,email,{NAME}\nlady,ada@example.com,\n"),
        ("jsonl", json.dumps({**ADA, NAME: None})),
    ],
)
def test_import_of_null_clears_the_value(
    run_command: RunCommand, ada: int, format: str, text: str
) -> None:
    assert_imported(run_command, format, text)
    assert stored_value() is None


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_export_can_be_imported(
    run_command: RunCommand, client: FlaskClient, ada: int, format: str, tmp_path: Path
) -> None:
    path = tmp_path / f"users.{format}"
    assert run_command("export_users", str(path)).exit_code == 0
    if format == "csv":
        [row] = csv.DictReader(io.StringIO(path.read_text()))
        assert row[NAME] == escape_formulas(as_text(FIRST))
    client.patch(f"/users/{ada}", json={NAME: SECOND})
    assert_imported(run_command, format, path.read_text())
    assert stored_value() == FIRST


def test_sample_users_are_valid(run_command: RunCommand) -> None:
    assert run_command("seed_db").exit_code == 0
    assert run_command("seed_db", "--count", "3").exit_code == 0
    assert queries.count() == 5


def test_admin_creates_a_user_with_the_value(admin: FlaskClient) -> None:
    post_form(admin, "/admin/user/new/", ADA)
    assert stored_value() == FIRST


def test_admin_refuses_an_invalid_value(admin: FlaskClient) -> None:
    response = post_form(admin, "/admin/user/new/", {**ADA, NAME: INVALID})
    assert "field-error" in response.text
    assert queries.count() == 0


def test_admin_edits_the_value(admin: FlaskClient, ada: int) -> None:
    url = f"/admin/user/edit/?id={ada}"
    page = admin.get(url).text
    assert f'name="{NAME}" type="text" value="{FIRST}"' in page
    post_form(admin, url, {**ADA, "version": get_version(page), NAME: SECOND})
    assert stored_value() == SECOND


@needs_nullable
def test_admin_clears_the_value(admin: FlaskClient, ada: int) -> None:
    url = f"/admin/user/edit/?id={ada}"
    version = get_version(admin.get(url).text)
    post_form(admin, url, {**ADA, "version": version, NAME: ""})
    assert stored_value() is None


def test_admin_edits_the_value_in_the_list(admin: FlaskClient, ada: int) -> None:
    assert f'class="col-{NAME}"' in admin.get("/admin/user/").text
    cell = {"list_form_pk": str(ada), NAME: SECOND}
    assert post_form(admin, "/admin/user/ajax/update/", cell).text == "Saved."
    assert stored_value() == SECOND
    assert queries.get(ada).data["username"] == "ada"


def test_openapi_describes_the_field(client: FlaskClient) -> None:
    document = client.get("/openapi.json").get_json()
    schemas = document["components"]["schemas"]
    for name in ("User", "NewUser", "UserReplacement", "UserChange"):
        assert NAME in schemas[name]["properties"]
    assert (NAME in schemas["NewUser"]["required"]) is not FIELD["nullable"]
    post = document["paths"]["/users"]["post"]
    response = post["responses"]["201"]["content"]["application/json"]
    assert NAME in response["examples"]["done"]["value"]["data"]
    body = post["requestBody"]["content"]["application/json"]["example"]
    assert client.post("/users", json=body).status_code == 201
