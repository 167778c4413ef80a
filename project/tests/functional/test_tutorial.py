"""The tests of the tutorial "TDD with Flask and Docker", in its fixture style.

They show that code which follows the tutorial works here. The other test modules are
the real tests of the service. Differences to the tutorial: a user is in the member
`data` of the response, and the database is chosen when the application is created.
"""

import json
from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import make_url

from project import create_app, db
from project.api.users.models import User

AddUser = Callable[[str, str], User]


@pytest.fixture(scope="module")
def test_app() -> Iterator[Flask]:
    app = create_app()
    app.config.from_object("project.config.TestingConfig")
    with app.app_context():
        yield app


@pytest.fixture(scope="module")
def test_database(test_app: Flask) -> Iterator[SQLAlchemy]:
    # The other modules leave a schema behind.
    db.drop_all()
    db.create_all()
    yield db
    db.session.remove()
    db.drop_all()


@pytest.fixture(scope="module")
def add_user(test_database: SQLAlchemy) -> AddUser:
    def add(username: str, email: str) -> User:
        user = User(username=username, email=email)
        db.session.add(user)
        db.session.commit()
        return user

    return add


@pytest.fixture(autouse=True)
def no_users(test_database: SQLAlchemy) -> None:
    """Delete all users: pytest-randomly changes the order of the tests."""
    db.session.query(User).delete()
    db.session.commit()


def test_ping(test_app: Flask) -> None:
    response = test_app.test_client().get("/ping")
    data = json.loads(response.data.decode())
    assert response.status_code == 200
    assert "pong" in data["message"]
    assert "success" in data["status"]


def test_add_user(test_app: Flask) -> None:
    response = test_app.test_client().post(
        "/users",
        data=json.dumps({"username": "michael", "email": "michael@example.com"}),
        content_type="application/json",
    )
    data = json.loads(response.data.decode())
    assert response.status_code == 201
    assert "michael@example.com was added!" in data["message"]


@pytest.mark.parametrize("payload", [{}, {"email": "john@example.com"}])
def test_add_user_with_invalid_payload(
    test_app: Flask, payload: dict[str, str]
) -> None:
    response = test_app.test_client().post(
        "/users", data=json.dumps(payload), content_type="application/json"
    )
    data = json.loads(response.data.decode())
    assert response.status_code == 400
    assert "Invalid payload." in data["message"]
    assert "fail" in data["status"]


def test_add_user_with_duplicate_email(test_app: Flask, add_user: AddUser) -> None:
    add_user("michael", "michael@example.com")
    response = test_app.test_client().post(
        "/users",
        data=json.dumps({"username": "michael", "email": "michael@example.com"}),
        content_type="application/json",
    )
    data = json.loads(response.data.decode())
    assert response.status_code == 400
    assert "Sorry. That email already exists." in data["message"]
    assert "fail" in data["status"]


def test_get_user(test_app: Flask, add_user: AddUser) -> None:
    user = add_user("jeffrey", "jeffrey@example.com")
    response = test_app.test_client().get(f"/users/{user.id}")
    data = json.loads(response.data.decode())
    assert response.status_code == 200
    assert "jeffrey" in data["data"]["username"]
    assert "jeffrey@example.com" in data["data"]["email"]
    assert "success" in data["status"]


@pytest.mark.parametrize("user_id", ["999", "blah"])
def test_get_user_with_incorrect_id(test_app: Flask, user_id: str) -> None:
    response = test_app.test_client().get(f"/users/{user_id}")
    data = json.loads(response.data.decode())
    assert response.status_code == 404
    assert "User does not exist" in data["message"]
    assert "fail" in data["status"]


def test_list_users(test_app: Flask, add_user: AddUser) -> None:
    add_user("michael", "michael@example.com")
    add_user("fletcher", "fletcher@example.com")
    response = test_app.test_client().get("/users")
    data = json.loads(response.data.decode())
    assert response.status_code == 200
    assert len(data["data"]["users"]) == 2
    assert "michael" in data["data"]["users"][0]["username"]
    assert "fletcher@example.com" in data["data"]["users"][1]["email"]
    assert "success" in data["status"]


def test_remove_user(test_app: Flask, add_user: AddUser) -> None:
    user = add_user("leaver", "leaver@example.com")
    client = test_app.test_client()
    response = client.delete(f"/users/{user.id}")
    data = json.loads(response.data.decode())
    assert response.status_code == 200
    assert "leaver@example.com was removed!" in data["message"]
    assert len(json.loads(client.get("/users").data.decode())["data"]["users"]) == 0


def test_remove_user_with_incorrect_id(test_app: Flask) -> None:
    response = test_app.test_client().delete("/users/999")
    data = json.loads(response.data.decode())
    assert response.status_code == 404
    assert "User does not exist" in data["message"]


def test_update_user(test_app: Flask, add_user: AddUser) -> None:
    user = add_user("before", "before@example.com")
    client = test_app.test_client()
    response = client.put(
        f"/users/{user.id}",
        data=json.dumps({"username": "after", "email": "after@example.com"}),
        content_type="application/json",
    )
    data = json.loads(response.data.decode())
    assert response.status_code == 200
    assert f"{user.id} was updated!" in data["message"]
    stored = json.loads(client.get(f"/users/{user.id}").data.decode())
    assert "after" in stored["data"]["username"]
    assert "after@example.com" in stored["data"]["email"]


@pytest.mark.parametrize(
    "user_id, payload, status_code, message",
    [
        (None, {}, 400, "Invalid payload."),
        (None, {"email": "me@example.com"}, 400, "Invalid payload."),
        (
            999,
            {"username": "me", "email": "me@example.com"},
            404,
            "User does not exist",
        ),
    ],
)
def test_update_user_with_invalid_request(
    test_app: Flask,
    add_user: AddUser,
    user_id: int | None,
    payload: dict[str, str],
    status_code: int,
    message: str,
) -> None:
    existing = add_user("existing", "existing@example.com")
    response = test_app.test_client().put(
        f"/users/{user_id or existing.id}",
        data=json.dumps(payload),
        content_type="application/json",
    )
    data = json.loads(response.data.decode())
    assert response.status_code == status_code
    assert message in data["message"]


def test_update_user_with_duplicate_email(test_app: Flask, add_user: AddUser) -> None:
    add_user("taken", "taken@example.com")
    user = add_user("other", "other@example.com")
    response = test_app.test_client().put(
        f"/users/{user.id}",
        data=json.dumps({"username": "other", "email": "taken@example.com"}),
        content_type="application/json",
    )
    data = json.loads(response.data.decode())
    assert response.status_code == 400
    assert "Sorry. That email already exists." in data["message"]


@pytest.mark.parametrize(
    "environment, status_code", [("development", 200), ("production", 404)]
)
def test_admin_depends_on_flask_env(
    monkeypatch: pytest.MonkeyPatch, environment: str, status_code: int
) -> None:
    monkeypatch.setenv("FLASK_ENV", environment)
    client = create_app().test_client()
    assert client.get("/admin/user/").status_code == status_code


def test_development_config(test_app: Flask) -> None:
    test_app.config.from_object("project.config.DevelopmentConfig")
    assert test_app.config["SECRET_KEY"]
    assert not test_app.config["TESTING"]


def test_testing_config(test_app: Flask) -> None:
    test_app.config.from_object("project.config.TestingConfig")
    assert test_app.config["SECRET_KEY"]
    assert test_app.config["TESTING"]
    database = make_url(test_app.config["SQLALCHEMY_DATABASE_URI"]).database
    assert database and database.endswith("_test")


def test_production_config(test_app: Flask) -> None:
    test_app.config.from_object("project.config.ProductionConfig")
    assert not test_app.config["TESTING"]
    assert test_app.config["SESSION_COOKIE_SECURE"]
