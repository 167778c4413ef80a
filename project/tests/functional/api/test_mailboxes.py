"""All spellings of a mailbox are one address: one user has it."""

import unicodedata
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask.testing import FlaskClient
from sqlalchemy.exc import IntegrityError

from project import db
from project.tests.types import AddUser
from project.tests.users import stored_users, user_body

SPELLINGS = [
    "jürgen@bücher.example",
    "JÜRGEN@Bücher.EXAMPLE",
    unicodedata.normalize("NFD", "jürgen@bücher.example"),
    "ｊürgen@ｂüｃｈｅｒ.example",
    "jürgen@bücher。example",
    "jürgen@xn--bcher-kva.example",
    "Ju\u0308rgen@XN--BCHER-KVA.example",
]
PAIRS = [
    ("ada@example.com", "ＡＤＡ@ｅｘａｍｐｌｅ．com"),
    ("ΣΊΣΥΦΟΣ@example.com", "σίσυφος@example.com"),
    ("İ@example.com", "i\u0307@example.com"),
    ("J\u030c@example.com", "ǰ@example.com"),
    ("ﬁ@example.com", "FI@example.com"),
    ("a@日本語.example", "A@xn--wgv71a119e.example"),
]
TAKEN = {
    "status": "fail",
    "message": "Sorry. That email already exists.",
    "code": "email_taken",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_post_accepts_any_spelling_and_keeps_it(
    client: FlaskClient, spelling: str
) -> None:
    response = client.post("/users", json=user_body(email=spelling))
    assert response.status_code == 201
    assert response.get_json()["data"]["email"] == spelling


@pytest.mark.parametrize("first", SPELLINGS)
def test_post_of_another_spelling_returns_400(client: FlaskClient, first: str) -> None:
    assert client.post("/users", json=user_body(email=first)).status_code == 201
    for spelling in SPELLINGS:
        response = client.post("/users", json=user_body(email=spelling))
        assert (response.status_code, response.get_json()) == (400, TAKEN)
    assert [email for _, email, _ in stored_users()] == [first]


@pytest.mark.parametrize("first, second", PAIRS)
def test_post_of_the_second_of_a_pair_returns_400(
    client: FlaskClient, first: str, second: str
) -> None:
    assert client.post("/users", json=user_body(email=first)).status_code == 201
    response = client.post("/users", json=user_body(email=second))
    assert (response.status_code, response.get_json()) == (400, TAKEN)


@pytest.mark.parametrize(
    "first, second",
    [
        ("strasse@example.com", "straße@example.com"),
        ("a@strasse.example", "a@straße.example"),
        ("a@βόλος.example", "a@βόλοσ.example"),
        ("ilk@example.com", "ılk@example.com"),
        ("jurgen@example.com", "jürgen@example.com"),
    ],
)
def test_other_letters_make_another_mailbox(
    client: FlaskClient, first: str, second: str
) -> None:
    for email in (first, second):
        assert client.post("/users", json=user_body(email=email)).status_code == 201


def test_concurrent_posts_of_different_spellings_add_one_user(
    client: FlaskClient,
) -> None:
    def post(spelling: str) -> int:
        body = user_body(email=spelling)
        return client.application.test_client().post("/users", json=body).status_code

    with ThreadPoolExecutor(7) as pool:
        statuses = Counter(pool.map(post, SPELLINGS * 3))
    assert statuses == {201: 1, 400: 20}
    assert len(stored_users()) == 1


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_look_up_by_any_spelling_finds_the_user(
    client: FlaskClient, add_user: AddUser, spelling: str
) -> None:
    add_user("jürgen", SPELLINGS[0])
    add_user("ada", "ada@example.com")
    page = client.get("/users", query_string={"email": spelling}).get_json()["data"]
    assert [user["username"] for user in page["users"]] == ["jürgen"]


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_change_to_another_spelling_is_for_the_owner_only(
    client: FlaskClient, add_user: AddUser, method: str, spelling: str
) -> None:
    add_user("jürgen", SPELLINGS[0])
    add_user("ada", "ada@example.com")
    body = user_body(email=spelling)
    response = client.open("/users/2", method=method, json=body)
    assert (response.status_code, response.get_json()) == (400, TAKEN)
    response = client.open("/users/1", method=method, json=body)
    assert response.get_json()["data"]["email"] == spelling


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_database_refuses_another_spelling(add_user: AddUser, spelling: str) -> None:
    add_user("jürgen", SPELLINGS[0])
    statement = "INSERT INTO users (username, email) VALUES ('j', %s)"
    with pytest.raises(IntegrityError), db.engine.begin() as connection:
        connection.exec_driver_sql(statement, (spelling,))


@pytest.mark.parametrize(
    "email, reason",
    [
        ("a@ᾳb.example", "write αιb.example"),
        ("a@ϲb.example", "write σb.example"),
        ("a@b\u200bc.example", "characters are not allowed (U+200B)"),
        ("a\u200d@example.com", "characters are not allowed (U+200D)"),
        ("a\u202e@example.com", "characters are not allowed (U+202E)"),
        ("a\ufe0f@example.com", "characters are not allowed (U+FE0F)"),
        ("a@b\u00adc.example", "characters are not allowed (U+00AD)"),
    ],
)
def test_address_that_is_not_what_it_seems_returns_400(
    client: FlaskClient, email: str, reason: str
) -> None:
    response = client.post("/users", json=user_body(email=email))
    assert response.status_code == 400
    assert response.get_json()["errors"]["email"].endswith(reason)


def test_stored_invisible_characters_stay_readable(
    client: FlaskClient, add_user: AddUser
) -> None:
    """Rows that are older than the rule."""
    user = add_user("a\u200bb", "a\u200b@example.com").to_json()
    assert client.get("/users/1").get_json()["data"] == user
    assert client.get("/users").get_json()["data"]["users"] == [user]
    assert client.patch("/users/1", json={"active": False}).status_code == 200
    assert client.delete("/users/1").status_code == 200
