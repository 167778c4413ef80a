"""The API's document: it has every operation, and its examples are real answers."""

import re
from datetime import datetime

import pytest

from project.api.openapi import document
from project.api.openapi.parts import JSON, USER

# What is for people or for the machines around the service, not for clients.
OUTSIDE = re.compile(r"/(docs|openapi\.json|admin|metrics)(/|$)")
DOCUMENT = document.build(secured=True)
TOKENS = {"writer": "a-token-that-may-write", "reader": "a-token-that-may-read"}
OTHER = "grace@example.com"


def examples():
    """Return each example of an answer: its operation, status, reason and body."""
    return [
        pytest.param(path, method, status, reason, id=f"{method} {path} {reason}")
        for path, operations in DOCUMENT["paths"].items()
        for method, operation in operations.items()
        for status, answer in operation["responses"].items()
        for reason in answer.get("content", {}).get(JSON, {}).get("examples", [])
    ]


@pytest.fixture(scope="module")
def secured(production, database_url):
    """The service with tokens."""
    tokens = f"{TOKENS['writer']}, read:{TOKENS['reader']}"
    return production(DATABASE_URL=database_url, API_TOKENS=tokens)


@pytest.fixture(scope="module")
def broken(production):
    """The service with tokens, without a database."""
    return production(API_TOKENS=TOKENS["writer"])


def test_every_route_is_documented_and_the_other_way_round(test_app):
    served = {
        (re.sub(r"<(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in test_app.url_map.iter_rules()
        if not OUTSIDE.match(rule.rule)
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    documented = {
        (path, method)
        for path, operations in DOCUMENT["paths"].items()
        for method in operations
    }
    assert documented == served


def provoke(status, reason, body):
    """Return what to change in a good request to get an answer, as its arguments."""
    changes = {
        "200 done": {},
        "201 done": {},
        "400 invalid": {"json": body and {**body, "email": 1}},
        "400 not_json": {"data": b"{", "content_type": JSON},
        "400 taken": {"json": body and {**body, "email": OTHER.upper()}},
        "401 missing": {"headers": {}},
        "401 unknown": {"headers": {"Authorization": "Bearer of-bad-news"}},
        "403 read_only": {"headers": {"Authorization": f"Bearer {TOKENS['reader']}"}},
        "404 no_user": {},
        "412 stale": {"headers": {"If-Match": '"1"'}},
        "413 too_large": {"data": b" " * 100_000, "content_type": JSON},
        "415 not_json": {"data": b"username=ada"},
        "503 unavailable": {},
    }
    return changes[f"{status} {reason}"]


@pytest.mark.parametrize("path, method, status, reason", examples())
def test_example_is_a_real_answer(
    secured, broken, add_user, path, method, status, reason
):
    operation = DOCUMENT["paths"][path][method]
    request = {"headers": {}, "base_url": "http://127.0.0.1:5000"}
    if "security" in operation:
        request["headers"] = {"Authorization": f"Bearer {TOKENS['writer']}"}
    body = operation.get("requestBody", {}).get("content", {}).get(JSON, {})
    if body:
        request["json"] = body["example"]
    if path == "/users" and method == "get":
        limit = "ten" if reason == "invalid" else 1
        request["query_string"] = {"limit": limit}
    changes = provoke(status, reason, request.get("json"))
    if "data" in changes:
        del request["json"]
    if status == "412":
        changes["headers"] = request["headers"] | changes["headers"]
    if reason != "no_user" and (path, status) != ("/users", "201"):
        created = datetime.fromisoformat(USER["created_date"])
        add_user(USER["username"], USER["email"], created_date=created)
        add_user("grace", OTHER)
    client = (broken if status == "503" else secured).test_client()

    answer = client.open(
        path.format(user_id=1), method=method.upper(), **request | changes
    )

    described = operation["responses"][status]
    assert answer.status_code == int(status)
    shown = described["content"][JSON]["examples"][reason]["value"]
    got = answer.json
    if status == "201":
        got["data"]["created_date"] = USER["created_date"]
    assert got == shown
    for name in described["headers"].keys() - {"ETag"}:
        header = DOCUMENT["components"]["headers"][name]
        assert answer.headers[name].startswith(str(header["example"]))
    assert ("ETag" in described["headers"]) == ("ETag" in answer.headers)


def test_not_modified_is_documented(secured, add_user):
    add_user("ada", "ada@example.com")
    headers = {"Authorization": f"Bearer {TOKENS['reader']}"}
    client = secured.test_client()
    tag = client.get("/users/1", headers=headers).headers["ETag"]
    answer = client.get("/users/1", headers={**headers, "If-None-Match": tag})
    described = DOCUMENT["paths"]["/users/{user_id}"]["get"]["responses"]
    assert str(answer.status_code) in described


def test_document_without_tokens_asks_for_none(client):
    answer = client.get("/openapi.json")
    assert answer.mimetype == JSON
    assert answer.json == document.build(secured=False)
    for operations in answer.json["paths"].values():
        for operation in operations.values():
            assert "security" not in operation
            assert not {"401", "403"} & set(operation["responses"])


def test_document_with_tokens_is_open_and_asks_for_one(secured):
    answer = secured.test_client().get("/openapi.json")
    assert answer.json == DOCUMENT
    assert all(
        ("security" in operation) == path.startswith("/users")
        for path, operations in answer.json["paths"].items()
        for operation in operations.values()
    )


def test_nothing_is_left_out_as_null():
    for name in ("UserReplacement", "UserChange"):
        for field in DOCUMENT["components"]["schemas"][name]["properties"].values():
            assert "default" not in field
            assert field["type"] != "null"
