"""`/users` and `/users/<id>` behave as the HTTP contract specifies."""

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from flask.testing import FlaskClient
from flask_sqlalchemy import SQLAlchemy
from werkzeug.test import TestResponse

from project.api.users.schemas import FIELDS
from project.database.engines import AUTOCOMMIT
from project.database.pool import FifoPool
from project.tests.types import AddUser
from project.tests.users import user_body

ADA = user_body(username="ada", email="Ada@example.com")


def usernames(response: TestResponse) -> list[str]:
    return [user["username"] for user in response.get_json()["data"]["users"]]


def test_post_returns_the_new_user(client: FlaskClient) -> None:
    response = client.post("/users", json=ADA)
    assert response.status_code == 201
    assert response.headers["Location"] == "/users/1"
    body = response.get_json()
    assert body["status"] == "success"
    assert body["message"] == "Ada@example.com was added!"
    user = body["data"]
    assert tuple(user) == FIELDS
    assert (
        user.items()
        >= {
            "id": 1,
            "username": "ada",
            "email": "Ada@example.com",
            "active": True,
        }.items()
    )
    created = datetime.fromisoformat(user["created_date"])
    assert created.utcoffset() == timedelta(0)
    assert abs(datetime.now(timezone.utc) - created) < timedelta(minutes=1)
    assert client.get("/users/1").get_json()["data"] == user


def test_post_trims_the_username_and_keeps_the_email(client: FlaskClient) -> None:
    user = user_body(username="  ada lovelace\n", email="A.d+A@EXAMPLE.com")
    data = client.post("/users", json=user).get_json()["data"]
    assert (data["username"], data["email"]) == ("ada lovelace", "A.d+A@EXAMPLE.com")


def test_post_ignores_unknown_fields(client: FlaskClient) -> None:
    user = {**ADA, "id": 99, "created_date": "1815-12-10", "admin": True}
    data = client.post("/users", json=user).get_json()["data"]
    assert data["id"] == 1
    assert data["created_date"] > "2026"


def test_post_adds_an_inactive_user(client: FlaskClient) -> None:
    response = client.post("/users", json={**ADA, "active": False})
    assert response.get_json()["data"]["active"] is False


@pytest.mark.parametrize(
    "first, second",
    [
        ("ada@example.com", "ada@example.com"),
        ("ada@example.com", "ADA@EXAMPLE.COM"),
        ("jürgen@example.com", "JÜRGEN@example.com"),
    ],
)
def test_post_taken_email_in_any_case_returns_400(
    client: FlaskClient, first: str, second: str
) -> None:
    client.post("/users", json=user_body(username="one", email=first))
    response = client.post("/users", json=user_body(username="two", email=second))
    assert response.status_code == 400
    assert response.get_json() == {
        "status": "fail",
        "message": "Sorry. That email already exists.",
        "code": "email_taken",
    }
    assert usernames(client.get("/users")) == ["one"]


def test_get_returns_the_user(client: FlaskClient, add_user: AddUser) -> None:
    user = add_user("ada", "ada@example.com")
    response = client.get(f"/users/{user.id}")
    assert response.status_code == 200
    assert response.get_json() == {"status": "success", "data": user.to_json()}


@pytest.mark.parametrize(
    "user_id",
    ["2", "0", "-1", "ada", "1.0", "+1", "¹", "1 ", str(2**31), str(2**63), "9" * 99],
)
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_missing_user_returns_404(
    client: FlaskClient, add_user: AddUser, user_id: str, method: str
) -> None:
    add_user("ada", "ada@example.com")
    response = client.open(f"/users/{user_id}", method=method, json=ADA)
    assert response.status_code == 404
    assert response.get_json() == {
        "status": "fail",
        "message": "User does not exist",
        "code": "user_not_found",
    }


def test_put_without_active_keeps_active(
    client: FlaskClient, add_user: AddUser
) -> None:
    add_user("ada", "ada@example.com", active=False)
    response = client.put(
        "/users/1", json=user_body(username="lady", email="a@example.org")
    )
    assert response.status_code == 200
    assert response.get_json()["message"] == "1 was updated!"
    data = response.get_json()["data"]
    assert (data["username"], data["email"]) == ("lady", "a@example.org")
    assert data["active"] is False
    assert client.get("/users/1").get_json()["data"] == data


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_user_may_change_the_case_of_own_email(
    client: FlaskClient, add_user: AddUser, method: str
) -> None:
    add_user("ada", "ada@example.com")
    body = user_body(email="ADA@example.com")
    response = client.open("/users/1", method=method, json=body)
    assert response.get_json()["data"]["email"] == "ADA@example.com"


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_change_to_a_taken_email_returns_400(
    client: FlaskClient, add_user: AddUser, method: str
) -> None:
    add_user("ada", "ada@example.com")
    add_user("grace", "grace@example.com")
    body = user_body(email="ADA@example.com")
    response = client.open("/users/2", method=method, json=body)
    assert response.status_code == 400
    assert response.get_json()["message"] == "Sorry. That email already exists."
    assert client.get("/users/2").get_json()["data"]["username"] == "grace"


@pytest.mark.parametrize(
    "change",
    [{"username": "lady"}, {"email": "a@example.org"}, {"active": False}],
    ids=str,
)
def test_patch_changes_only_the_given_fields(
    client: FlaskClient, add_user: AddUser, change: dict[str, Any]
) -> None:
    before = add_user("ada", "ada@example.com").to_json()
    response = client.patch("/users/1", json={**change, "unknown": 1})
    assert response.status_code == 200
    assert response.get_json()["message"] == "1 was updated!"
    assert response.get_json()["data"] == {**before, **change}


@pytest.mark.parametrize(
    "names", [["emial"], ["id", "nickname"], list(map(str, range(1000)))], ids=len
)
def test_patch_without_a_known_field_returns_400_and_names_the_fields(
    client: FlaskClient, add_user: AddUser, names: list[str]
) -> None:
    add_user("ada", "ada@example.com")
    response = client.patch("/users/1", json=dict.fromkeys(names, 1))
    assert response.status_code == 400
    body = response.get_json()
    assert (body["message"], body["code"]) == ("Invalid payload.", "invalid_payload")
    assert body["errors"].keys() <= set(names)
    assert len(body["errors"]) == min(len(names), 10)
    assert "send at least one of username, email" in body["errors"].popitem()[1]


def test_patch_with_an_empty_object_returns_400(
    client: FlaskClient, add_user: AddUser
) -> None:
    add_user("ada", "ada@example.com")
    response = client.patch("/users/1", json={})
    assert response.status_code == 400
    assert response.get_json() == {
        "status": "fail",
        "message": "Invalid payload.",
        "code": "invalid_payload",
    }


def test_delete_removes_the_user(client: FlaskClient, add_user: AddUser) -> None:
    add_user("ada", "Ada@example.com")
    response = client.delete("/users/1")
    assert response.status_code == 200
    assert response.get_json() == {
        "status": "success",
        "message": "Ada@example.com was removed!",
    }
    assert client.get("/users/1").status_code == 404


def test_list_without_users_is_empty(client: FlaskClient) -> None:
    assert client.get("/users").get_json()["data"] == {
        "users": [],
        "next": None,
        "after": None,
    }


def test_next_links_lead_through_all_pages(
    client: FlaskClient, add_user: AddUser
) -> None:
    for name in "abcde":
        add_user(name, f"{name}@example.com")
    pages, url = [], "/users?limit=2"
    while url:
        page = client.get(url)
        pages.append(usernames(page))
        url = page.get_json()["data"]["next"]
        link = page.headers.get("Link")
        assert link == (f'<{url}>; rel="next"' if url else None)
    assert pages == [["a", "b"], ["c", "d"], ["e"]]


def test_full_last_page_has_no_next_link(
    client: FlaskClient, add_user: AddUser
) -> None:
    for name in "ab":
        add_user(name, f"{name}@example.com")
    page = client.get("/users?limit=2")
    assert page.get_json()["data"]["next"] is None
    assert "Link" not in page.headers


def test_next_link_keeps_the_filter(client: FlaskClient, add_user: AddUser) -> None:
    for name in "abcd":
        add_user(name, f"{name}@example.com", active=name in "bd")
    first = client.get("/users?active=true&limit=1")
    assert usernames(first) == ["b"]
    assert usernames(client.get(first.get_json()["data"]["next"])) == ["d"]
    assert usernames(client.get("/users?active=false")) == ["a", "c"]


def test_list_filters_by_email_in_any_case(
    client: FlaskClient, add_user: AddUser
) -> None:
    add_user("ada", "ada+1@example.com")
    add_user("grace", "grace@example.com", active=False)
    query = {"email": "ADA+1@example.com"}
    assert usernames(client.get("/users", query_string=query)) == ["ada"]
    query = {"email": "grace@EXAMPLE.com", "active": "true"}
    assert usernames(client.get("/users", query_string=query)) == []


def test_page_size_is_100_by_default_and_1000_at_most(
    client: FlaskClient, test_database: SQLAlchemy
) -> None:
    with test_database.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO users (username, email)"
            " SELECT n, n || '@example.com' FROM generate_series(1, 1001) n"
        )
    assert len(usernames(client.get("/users"))) == 100
    assert len(usernames(client.get("/users?limit=1000"))) == 1000


@pytest.mark.waiting
def test_large_pages_leave_connections_for_other_requests(
    client: FlaskClient, empty_database: SQLAlchemy
) -> None:
    pool = empty_database.engines[AUTOCOMMIT].pool
    assert isinstance(pool, FifoPool)
    large_pages = pool.large_results.value
    for _ in range(large_pages):
        pool.large_results.acquire(0)
    try:
        assert client.get("/users?limit=200").status_code == 200
        assert client.get("/users?limit=201").status_code == 503
    finally:
        for _ in range(large_pages):
            pool.large_results.release()
    assert client.get("/users?limit=201").status_code == 200


@pytest.mark.parametrize("host", ['evil"x', "a b", "a>b"])
def test_list_with_an_invalid_host_header_returns_400(
    client: FlaskClient, add_user: AddUser, host: str
) -> None:
    """The next link must not contain a forged host."""
    for name in "ab":
        add_user(name, f"{name}@example.com")
    response = client.get("/users?limit=1", headers={"Host": host})
    assert response.status_code == 400
    assert response.get_json()["status"] == "fail"


@pytest.mark.parametrize(
    "query, field",
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=ten", "limit"),
        ("limit=", "limit"),
        ("limit=1.0", "limit"),
        ("after=-1", "after"),
        (f"after={2**63}", "after"),
        ("active=1", "active"),
        ("active=True", "active"),
        ("email=ada", "email"),
        ("email=a%00@example.com", "email"),
        ("id=", "id"),
        ("id=1,", "id"),
        ("id=1,two", "id"),
        ("id=-1", "id"),
        ("id=" + ",".join(["1"] * 101), "id"),
        ("username=", "username"),
        ("username=a%E2%80%8Bda", "username"),
        (f"username={'a' * 129}", "username"),
        ("search=", "search"),
        ("search=ada+%2D%2D", "search"),
        ("search=a%00da", "search"),
        (f"search={'a' * 129}", "search"),
        ("search=" + "+".join("abcdefghi"), "search"),
        ("created_after=2026-11-01", "created_after"),
        ("created_after=0", "created_after"),
        ("created_after=2026-11-01T00:00:00", "created_after"),
        ("created_after=2026-11-01T00:00:00+01:00", "created_after"),
        ("created_before=2026-13-01T00:00:00Z", "created_before"),
        ("created_before=9999-12-31T23:59:59-00:01", "created_before"),
        ("order=ASC", "order"),
        ("count=true", "count"),
        ("limit=1&limit=2", "limit"),
        ("emial=ada@example.com", "emial"),
        ("&" * 50, "query"),
    ],
)
def test_invalid_query_returns_400_and_names_the_parameter(
    client: FlaskClient, query: str, field: str
) -> None:
    response = client.get(f"/users?{query}")
    assert response.status_code == 400
    body = response.get_json()
    assert body["status"] == "fail"
    assert body["message"] == "Invalid query."
    assert list(body["errors"]) == [field]


def test_conditional_get_returns_304_until_the_user_changes(
    client: FlaskClient, add_user: AddUser
) -> None:
    add_user("ada", "ada@example.com")
    etag = client.get("/users/1").headers["ETag"]
    unchanged = client.get("/users/1", headers={"If-None-Match": f'"x", {etag}'})
    assert (unchanged.status_code, unchanged.data) == (304, b"")
    assert unchanged.headers["ETag"] == etag
    new_etag = client.patch("/users/1", json={"active": False}).headers["ETag"]
    assert new_etag != etag
    changed = client.get("/users/1", headers={"If-None-Match": etag})
    assert (changed.status_code, changed.headers["ETag"]) == (200, new_etag)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_conditional_write_of_a_stale_version_returns_412(
    client: FlaskClient, add_user: AddUser, method: str
) -> None:
    add_user("ada", "ada@example.com")
    old_etag = client.get("/users/1").headers["ETag"]
    client.patch("/users/1", json={"username": "countess"})
    stale = client.open(
        "/users/1", method=method, json=ADA, headers={"If-Match": old_etag}
    )
    assert stale.status_code == 412
    assert stale.get_json()["status"] == "fail"
    current = client.get("/users/1")
    assert current.get_json()["data"]["username"] == "countess"
    headers = {"If-Match": f'"1", {current.headers["ETag"]}'}
    response = client.open("/users/1", method=method, json=ADA, headers=headers)
    assert response.status_code == 200


@pytest.mark.parametrize(
    "if_match, status",
    [
        ("*", 200),
        ('"{}"', 200),
        (' "1" , "{}"', 200),
        ('"{}-gzip"', 200),
        ('W/"{}"', 412),
        ('W/"{}", "1"', 412),
        ("", 412),
        ("?", 412),
        # Malformed lists match nothing.
        ("{}", 412),
        ("'{}'", 412),
        ('"{}', 412),
        ('"1" "{}"', 412),
        ('"{}", 1', 412),
        ('*, "{}"', 412),
    ],
)
def test_if_match_uses_the_strong_comparison(
    client: FlaskClient, add_user: AddUser, if_match: str, status: int
) -> None:
    add_user("ada", "ada@example.com")
    version = client.get("/users/1").headers["ETag"].strip('"')
    headers = {"If-Match": if_match.format(version)}
    assert client.put("/users/1", json=ADA, headers=headers).status_code == status


@pytest.mark.parametrize(
    "if_none_match, status",
    [
        ("*", 304),
        ('"{}"', 304),
        ('W/"{}"', 304),
        ('"1", W/"{}-gzip"', 304),
        ("{}", 200),
        ('"{}', 200),
        ('"1"', 200),
    ],
)
def test_if_none_match_uses_the_weak_comparison(
    client: FlaskClient, add_user: AddUser, if_none_match: str, status: int
) -> None:
    add_user("ada", "ada@example.com")
    version = client.get("/users/1").headers["ETag"].strip('"')
    headers = {"If-None-Match": if_none_match.format(version)}
    assert client.get("/users/1", headers=headers).status_code == status


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "if_none_match, status", [("*", 412), ('"{}"', 412), ('"1"', 200), ("1", 200)]
)
def test_write_with_if_none_match_does_not_change_an_excluded_version(
    client: FlaskClient,
    add_user: AddUser,
    method: str,
    if_none_match: str,
    status: int,
) -> None:
    add_user("grace", "grace@example.com")
    etag = client.get("/users/1").headers["ETag"]
    headers = {"If-None-Match": if_none_match.format(etag.strip('"'))}
    response = client.open("/users/1", method=method, json=ADA, headers=headers)
    assert response.status_code == status
    if status == 412:
        assert response.get_json()["code"] == "version_excluded"
        assert client.get("/users/1").headers["ETag"] == etag


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_write_with_if_none_match_to_a_missing_user_returns_404(
    client: FlaskClient, method: str
) -> None:
    headers = {"If-None-Match": "*"}
    response = client.open("/users/1", method=method, json=ADA, headers=headers)
    assert response.status_code == 404


def test_patch_accepts_a_merge_patch(client: FlaskClient, add_user: AddUser) -> None:
    add_user("ada", "ada@example.com")
    patch, content_type = b'{"username": "countess"}', "application/merge-patch+json"
    response = client.patch("/users/1", data=patch, content_type=content_type)
    assert response.status_code == 200
    assert response.get_json()["data"]["username"] == "countess"
    put = client.put("/users/1", data=patch, content_type=content_type)
    assert put.status_code == 415


@pytest.mark.parametrize("url", ["/users/1", "/users/abc"])
def test_options_lists_the_types_of_a_patch(client: FlaskClient, url: str) -> None:
    types = "application/merge-patch+json, application/json"
    assert client.options(url).headers["Accept-Patch"] == types
    assert "Accept-Patch" not in client.options("/users").headers


def test_if_match_on_a_missing_user_returns_404(client: FlaskClient) -> None:
    headers = {"If-Match": '"1"'}
    assert client.delete("/users/1", headers=headers).status_code == 404


@pytest.mark.parametrize("url", ["/ping", "/health", "/users", "/users/1"])
def test_head_returns_the_headers_of_get_without_a_body(
    client: FlaskClient, add_user: AddUser, url: str
) -> None:
    add_user("ada", "ada@example.com")
    request_id = {"X-Request-ID": "same"}
    head = client.head(url, headers=request_id)
    get = client.get(url, headers=request_id)
    assert head.data == b""
    assert head.status_code == 200
    assert head.headers == get.headers


def test_options_of_an_invalid_id_lists_the_methods_of_a_user(
    client: FlaskClient,
) -> None:
    invalid, valid = client.options("/users/abc"), client.options("/users/1")
    assert invalid.status_code == valid.status_code == 200
    assert set(invalid.allow) == set(valid.allow)
    assert invalid.get_json() == {"status": "success"}


def test_unsupported_method_on_an_invalid_id_returns_405(client: FlaskClient) -> None:
    invalid, valid = client.post("/users/abc"), client.post("/users/1")
    assert invalid.status_code == valid.status_code == 405
    assert set(invalid.allow) == set(valid.allow)
    assert invalid.get_json() == valid.get_json()
