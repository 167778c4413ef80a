"""`/users` and `/users/<id>`, as the contract has them."""

from datetime import datetime, timedelta, timezone

import pytest

ADA = {"username": "ada", "email": "Ada@example.com"}


def names(answer):
    return [user["username"] for user in answer.json["data"]["users"]]


def test_add_user(client):
    answer = client.post("/users", json=ADA)
    assert answer.status_code == 201
    assert answer.headers["Location"] == "/users/1"
    assert answer.json["status"] == "success"
    assert answer.json["message"] == "Ada@example.com was added!"
    user = answer.json["data"]
    assert {**user, "created_date": None} == {
        "id": 1,
        "username": "ada",
        "email": "Ada@example.com",
        "active": True,
        "created_date": None,
    }
    created = datetime.fromisoformat(user["created_date"])
    assert created.utcoffset() == timedelta(0)
    assert abs(datetime.now(timezone.utc) - created) < timedelta(minutes=1)
    assert client.get("/users/1").json["data"] == user


def test_add_user_trims_the_username_and_keeps_the_email(client):
    user = {"username": "  ada lovelace\n", "email": "A.d+A@EXAMPLE.com"}
    data = client.post("/users", json=user).json["data"]
    assert (data["username"], data["email"]) == ("ada lovelace", "A.d+A@EXAMPLE.com")


def test_add_user_ignores_unknown_members(client):
    user = {**ADA, "id": 99, "created_date": "1815-12-10", "admin": True}
    data = client.post("/users", json=user).json["data"]
    assert data["id"] == 1
    assert data["created_date"] > "2026"


def test_add_inactive_user(client):
    answer = client.post("/users", json={**ADA, "active": False})
    assert answer.json["data"]["active"] is False


@pytest.mark.parametrize(
    "first, second",
    [
        ("ada@example.com", "ada@example.com"),
        ("ada@example.com", "ADA@EXAMPLE.COM"),
        ("jürgen@example.com", "JÜRGEN@example.com"),
    ],
)
def test_email_is_unique_in_any_letter_case(client, first, second):
    client.post("/users", json={"username": "one", "email": first})
    answer = client.post("/users", json={"username": "two", "email": second})
    assert answer.status_code == 400
    assert answer.json == {
        "status": "fail",
        "message": "Sorry. That email already exists.",
    }
    assert names(client.get("/users")) == ["one"]


def test_single_user(client, add_user):
    user = add_user("ada", "ada@example.com")
    answer = client.get(f"/users/{user.id}")
    assert answer.status_code == 200
    assert answer.json == {"status": "success", "data": user.to_json()}


@pytest.mark.parametrize(
    "id",
    ["2", "0", "-1", "ada", "1.0", "+1", "¹", "1 ", str(2**31), str(2**63), "9" * 99],
)
@pytest.mark.parametrize("method", ["get", "put", "patch", "delete"])
def test_no_such_user(client, add_user, id, method):
    add_user("ada", "ada@example.com")
    answer = client.open(f"/users/{id}", method=method.upper(), json=ADA)
    assert answer.status_code == 404
    assert answer.json == {"status": "fail", "message": "User does not exist"}


def test_put(client, add_user):
    add_user("ada", "ada@example.com", active=False)
    answer = client.put("/users/1", json={"username": "lady", "email": "a@example.org"})
    assert answer.status_code == 200
    assert answer.json["message"] == "1 was updated!"
    data = answer.json["data"]
    assert (data["username"], data["email"]) == ("lady", "a@example.org")
    assert data["active"] is False, "left out: it keeps its value"
    assert client.get("/users/1").json["data"] == data


@pytest.mark.parametrize("method", ["put", "patch"])
def test_change_own_email_in_case_only(client, add_user, method):
    add_user("ada", "ada@example.com")
    body = {"username": "ada", "email": "ADA@example.com"}
    answer = client.open("/users/1", method=method.upper(), json=body)
    assert answer.json["data"]["email"] == "ADA@example.com"


@pytest.mark.parametrize("method", ["put", "patch"])
def test_change_to_a_taken_email(client, add_user, method):
    add_user("ada", "ada@example.com")
    add_user("grace", "grace@example.com")
    body = {"username": "x", "email": "ADA@example.com"}
    answer = client.open("/users/2", method=method.upper(), json=body)
    assert answer.status_code == 400
    assert answer.json["message"] == "Sorry. That email already exists."
    assert client.get("/users/2").json["data"]["username"] == "grace"


@pytest.mark.parametrize(
    "change",
    [{"username": "lady"}, {"email": "a@example.org"}, {"active": False}],
    ids=str,
)
def test_patch_changes_what_it_names(client, add_user, change):
    before = add_user("ada", "ada@example.com").to_json()
    answer = client.patch("/users/1", json={**change, "unknown": 1})
    assert answer.status_code == 200
    assert answer.json["message"] == "1 was updated!"
    assert answer.json["data"] == {**before, **change}


@pytest.mark.parametrize("body", [{}, {"unknown": 1}, {"id": 5}], ids=str)
def test_patch_without_a_known_field(client, add_user, body):
    add_user("ada", "ada@example.com")
    answer = client.patch("/users/1", json=body)
    assert answer.status_code == 400
    assert answer.json == {"status": "fail", "message": "Invalid payload."}


def test_delete(client, add_user):
    add_user("ada", "Ada@example.com")
    answer = client.delete("/users/1")
    assert answer.status_code == 200
    assert answer.json == {
        "status": "success",
        "message": "Ada@example.com was removed!",
    }
    assert client.get("/users/1").status_code == 404


def test_no_users(client):
    assert client.get("/users").json["data"] == {"users": [], "next": None}


def test_pages(client, add_user):
    for name in "abcde":
        add_user(name, f"{name}@example.com")
    seen, url = [], "/users?limit=2"
    while url:
        page = client.get(url)
        seen.append(names(page))
        url = page.json["data"]["next"]
        link = page.headers.get("Link")
        assert link == (f'<{url}>; rel="next"' if url else None)
    assert seen == [["a", "b"], ["c", "d"], ["e"]]


def test_a_full_last_page_has_no_next(client, add_user):
    for name in "ab":
        add_user(name, f"{name}@example.com")
    page = client.get("/users?limit=2")
    assert page.json["data"]["next"] is None
    assert "Link" not in page.headers


def test_pages_keep_their_filter(client, add_user):
    for name in "abcd":
        add_user(name, f"{name}@example.com", active=name in "bd")
    first = client.get("/users?active=true&limit=1")
    assert names(first) == ["b"]
    assert names(client.get(first.json["data"]["next"])) == ["d"]
    assert names(client.get("/users?active=false")) == ["a", "c"]


def test_filter_by_email(client, add_user):
    add_user("ada", "ada+1@example.com")
    add_user("grace", "grace@example.com", active=False)
    query = {"email": "ADA+1@example.com"}
    assert names(client.get("/users", query_string=query)) == ["ada"]
    query = {"email": "grace@EXAMPLE.com", "active": "true"}
    assert names(client.get("/users", query_string=query)) == []


def test_default_and_largest_page(client, test_database):
    with test_database.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO users (username, email)"
            " SELECT n, n || '@example.com' FROM generate_series(1, 1001) n"
        )
    assert len(names(client.get("/users"))) == 100
    assert len(names(client.get("/users?limit=1000"))) == 1000


@pytest.mark.parametrize("host", ['evil"x', "a b", "a>b"])
def test_next_page_has_no_forged_host(client, add_user, host):
    for name in "ab":
        add_user(name, f"{name}@example.com")
    answer = client.get("/users?limit=1", headers={"Host": host})
    assert answer.status_code == 400
    assert answer.json["status"] == "fail"


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
        ("limit=1&limit=2", "limit"),
        ("emial=ada@example.com", "emial"),
    ],
)
def test_invalid_query(client, query, field):
    answer = client.get(f"/users?{query}")
    assert answer.status_code == 400
    assert answer.json["status"] == "fail"
    assert answer.json["message"] == "Invalid query."
    assert list(answer.json["errors"]) == [field]


def test_conditional_get(client, add_user):
    add_user("ada", "ada@example.com")
    tag = client.get("/users/1").headers["ETag"]
    again = client.get("/users/1", headers={"If-None-Match": f'"x", {tag}'})
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["ETag"] == tag
    changed = client.patch("/users/1", json={"active": False}).headers["ETag"]
    assert changed != tag
    fresh = client.get("/users/1", headers={"If-None-Match": tag})
    assert (fresh.status_code, fresh.headers["ETag"]) == (200, changed)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_conditional_write(client, add_user, method):
    add_user("ada", "ada@example.com")
    read = client.get("/users/1").headers["ETag"]
    client.patch("/users/1", json={"username": "countess"})
    stale = client.open("/users/1", method=method, json=ADA, headers={"If-Match": read})
    assert stale.status_code == 412
    assert stale.json["status"] == "fail"
    now = client.get("/users/1")
    assert now.json["data"]["username"] == "countess"
    tags = {"If-Match": f'"1", {now.headers["ETag"]}'}
    assert (
        client.open("/users/1", method=method, json=ADA, headers=tags).status_code
        == 200
    )


@pytest.mark.parametrize(
    "tag, status", [("*", 200), ('W/"{}"', 412), ("", 412), ("?", 412)]
)
def test_if_match_compares_strongly(client, add_user, tag, status):
    add_user("ada", "ada@example.com")
    version = client.get("/users/1").headers["ETag"].strip('"')
    headers = {"If-Match": tag.format(version)}
    assert client.put("/users/1", json=ADA, headers=headers).status_code == status


def test_if_match_of_nobody(client):
    headers = {"If-Match": '"1"'}
    assert client.delete("/users/1", headers=headers).status_code == 404


@pytest.mark.parametrize("url", ["/ping", "/health", "/users", "/users/1"])
def test_head_is_get_without_a_body(client, add_user, url):
    add_user("ada", "ada@example.com")
    same = {"X-Request-ID": "same"}
    head, get = client.head(url, headers=same), client.get(url, headers=same)
    assert head.data == b""
    assert head.status_code == 200
    assert head.headers == get.headers
