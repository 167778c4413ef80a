"""The OpenAPI document lists every operation, and its examples are real responses."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from devtools.identity_provider import AUDIENCE, IdentityProvider
from project import __version__
from project.api.openapi import document
from project.api.openapi.operations import USER
from project.api.openapi.parts import JSON
from project.api.users.schemas import WRITABLE_FIELDS, NewUser, is_nullable
from project.tests.types import AddUser, CreateProductionApp

# Pages for people and endpoints for monitoring are not part of the API.
NOT_DOCUMENTED = re.compile(r"/(docs|files|openapi\.json|admin|metrics)(/|$)")
DOCUMENT = document.build(secured=True)
TOKENS = {
    "writer": "a-token-that-may-write",
    "reader": "a-token-that-may-read",
    "expired": "a-token-that-has-expired",
}
OTHER_EMAIL = "grace@example.com"


def example_params() -> list[Any]:
    """Return a pytest parameter for each example of a response."""
    return [
        pytest.param(path, method, status, reason, id=f"{method} {path} {reason}")
        for path, operations in DOCUMENT["paths"].items()
        for method, operation in operations.items()
        for status, response in operation["responses"].items()
        for reason in response.get("content", {}).get(JSON, {}).get("examples", [])
    ]


@pytest.fixture(scope="module")
def provider() -> Iterator[IdentityProvider]:
    with IdentityProvider() as running:
        yield running


@pytest.fixture(scope="module")
def secured_app(
    create_production_app: CreateProductionApp,
    database_url: str,
    provider: IdentityProvider,
) -> Flask:
    """The application with tokens."""
    tokens = (
        f"{TOKENS['writer']}, read:{TOKENS['reader']}, {TOKENS['expired']}@2026-01-31"
    )
    return create_production_app(
        DATABASE_URL=database_url,
        API_TOKENS=tokens,
        OIDC_ISSUER=provider.issuer,
        OIDC_AUDIENCE=AUDIENCE,
    )


@pytest.fixture(scope="module")
def app_without_database(create_production_app: CreateProductionApp) -> Flask:
    """The application with tokens, without a database and an identity provider."""
    return create_production_app(
        API_TOKENS=TOKENS["writer"],
        OIDC_ISSUER="http://127.0.0.1:1",
        OIDC_AUDIENCE=AUDIENCE,
    )


def test_document_lists_exactly_the_routes(test_app: Flask) -> None:
    routes = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in test_app.url_map.iter_rules()
        if not NOT_DOCUMENTED.match(rule.rule)
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    documented = {
        (path, method)
        for path, operations in DOCUMENT["paths"].items()
        for method in operations
    }
    assert documented == routes


def request_changes(
    status: str, reason: str, body: dict[str, Any] | None, provider: IdentityProvider
) -> dict[str, Any]:
    """Return the changes to a valid request that provoke a documented response.

    Args:
        status: the status of the response.
        reason: the name of the example.
        body: the JSON body of the valid request.
        provider: issues access tokens.

    Returns:
        Keyword arguments for the test client.
    """
    without_scope = provider.issue(scope="")
    changes: dict[str, dict[str, Any]] = {
        "200 done": {},
        "201 done": {},
        "400 invalid": {"json": body and {**body, "email": 1}},
        "400 not_json": {"data": b"{", "content_type": JSON},
        "400 taken": {"json": body and {**body, "email": OTHER_EMAIL.upper()}},
        "400 host": {"headers": {"Host": "a b"}},
        "401 missing": {"headers": {}},
        "401 expired": {"headers": {"Authorization": f"Bearer {TOKENS['expired']}"}},
        "401 unknown": {"headers": {"Authorization": "Bearer of-bad-news"}},
        "403 read_only": {"headers": {"Authorization": f"Bearer {TOKENS['reader']}"}},
        "403 scope": {"headers": {"Authorization": f"Bearer {without_scope}"}},
        "404 no_user": {},
        "412 excluded": {"headers": {"If-None-Match": "*"}},
        "412 stale": {"headers": {"If-Match": '"1"'}},
        "413 too_large": {"data": b" " * 100_000, "content_type": JSON},
        "415 not_json": {"data": b"username=ada"},
        "503 unavailable": {},
        "503 no_provider": {"headers": {"Authorization": f"Bearer {provider.issue()}"}},
    }
    return changes[f"{status} {reason}"]


@pytest.mark.parametrize("path, method, status, reason", example_params())
def test_example_is_a_real_response(
    secured_app: Flask,
    provider: IdentityProvider,
    app_without_database: Flask,
    add_user: AddUser,
    path: str,
    method: str,
    status: str,
    reason: str,
) -> None:
    operation = DOCUMENT["paths"][path][method]
    request: dict[str, Any] = {"headers": {}, "base_url": "http://127.0.0.1:5000"}
    if operation["security"]:
        request["headers"] = {"Authorization": f"Bearer {TOKENS['writer']}"}
    body = operation.get("requestBody", {}).get("content", {}).get(JSON, {})
    if body:
        request["json"] = body["example"]
    if path == "/users" and method == "get":
        limit = "ten" if reason == "invalid" else 1
        request["query_string"] = {"limit": limit}
    changes = request_changes(status, reason, request.get("json"), provider)
    if "data" in changes:
        del request["json"]
    if status == "412":
        changes["headers"] = request["headers"] | changes["headers"]
    if reason != "no_user" and (path, status) != ("/users", "201"):
        created = datetime.fromisoformat(USER["created_date"])
        fields = {name: USER[name] for name in WRITABLE_FIELDS}
        add_user(**fields, created_date=created)
        add_user("grace", OTHER_EMAIL)
    app = app_without_database if status == "503" else secured_app

    response = app.test_client().open(
        path.format(user_id=1), method=method.upper(), **request | changes
    )

    documented = operation["responses"][status]
    assert response.status_code == int(status)
    actual = response.get_json()
    if status == "201":
        actual["data"]["created_date"] = USER["created_date"]
    assert actual == documented["content"][JSON]["examples"][reason]["value"]
    for name in documented["headers"].keys() - {"ETag"}:
        header = DOCUMENT["components"]["headers"][name]
        if name == "Retry-After":
            assert response.headers[name].isdigit()
        else:
            assert response.headers[name].startswith(str(header["example"]))
    assert ("ETag" in documented["headers"]) == ("ETag" in response.headers)


def test_not_modified_is_documented(secured_app: Flask, add_user: AddUser) -> None:
    add_user("ada", "ada@example.com")
    headers = {"Authorization": f"Bearer {TOKENS['reader']}"}
    client = secured_app.test_client()
    etag = client.get("/users/1", headers=headers).headers["ETag"]
    response = client.get("/users/1", headers={**headers, "If-None-Match": etag})
    documented = DOCUMENT["paths"]["/users/{user_id}"]["get"]["responses"]
    assert str(response.status_code) in documented


def test_document_has_the_version_of_the_service(client: FlaskClient) -> None:
    assert client.get("/openapi.json").get_json()["info"]["version"] == __version__


def test_document_without_tokens_requires_no_token(client: FlaskClient) -> None:
    response = client.get("/openapi.json")
    assert response.mimetype == JSON
    assert response.get_json() == document.build(secured=False)
    for operations in response.get_json()["paths"].values():
        for operation in operations.values():
            assert operation["security"] == []
            assert not {"401", "403"} & set(operation["responses"])


def test_document_with_tokens_is_public_and_requires_a_token_for_users(
    secured_app: Flask,
) -> None:
    response = secured_app.test_client().get("/openapi.json")
    assert response.get_json() == DOCUMENT
    assert all(
        bool(operation["security"]) == path.startswith("/users")
        for path, operations in response.get_json()["paths"].items()
        for operation in operations.values()
    )


def test_omitted_fields_are_not_documented_as_null() -> None:
    for name in ("UserReplacement", "UserChange"):
        schema = DOCUMENT["components"]["schemas"][name]
        for field_name, field in schema["properties"].items():
            assert "default" not in field
            types = [option.get("type") for option in field.get("anyOf", [field])]
            assert ("null" in types) is is_nullable(NewUser.model_fields[field_name])
