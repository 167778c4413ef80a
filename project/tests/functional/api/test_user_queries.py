"""The filters, the orders and the counts of `GET /users`."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest
from flask.testing import FlaskClient
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event

from project.database.engines import AUTOCOMMIT
from project.tests.types import AddUser

START = datetime(2026, 11, 1, tzinfo=UTC)

Filter = tuple[dict[str, str], Callable[[dict[str, Any]], bool]]

# For each parameter: the query, and which users it lets through.
FILTERS: dict[str, Filter] = {
    "id": ({"id": "2,3,5,7,99"}, lambda user: user["id"] in (2, 3, 5, 7)),
    "email": ({"email": "U3@EXAMPLE.com"}, lambda user: user["id"] == 3),
    "username": ({"username": "ÉLODIE 1"}, lambda user: user["id"] % 3 == 1),
    "search": ({"search": "LODIE exa"}, lambda user: user["id"] <= 6),
    "active": ({"active": "true"}, lambda user: bool(user["id"] % 2)),
    "created_after": (
        {"created_after": "2026-11-02T23:59:59.999999Z"},
        lambda user: user["id"] > 2,
    ),
    "created_before": (
        {"created_before": "2026-11-07T01:00:00+01:00"},
        lambda user: user["id"] < 7,
    ),
}


@pytest.fixture
def users(client: FlaskClient, add_user: AddUser) -> list[dict[str, Any]]:
    """Nine users, one for each day from November 2nd, in the order of their ids."""
    for number in range(1, 10):
        add_user(
            f"élodie {number % 3}",
            f"u{number}@{'example.com' if number <= 6 else 'mail.test'}",
            active=bool(number % 2),
            created_date=START + timedelta(days=number - 1),
        )
    page = client.get("/users").get_json()
    assert [user["id"] for user in page["data"]["users"]] == list(range(1, 10))
    found: list[dict[str, Any]] = page["data"]["users"]
    return found


def read_pages(client: FlaskClient, query: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Follow `after` from the first page to the last, and yield their data."""
    after: dict[str, str] = {}
    while True:
        data = client.get("/users", query_string=query | after).get_json()["data"]
        yield data
        if data["after"] is None:
            assert data["next"] is None
            return
        after = {"after": str(data["after"])}
        by_url = client.get(data["next"]).get_json()
        by_id = client.get("/users", query_string=query | after).get_json()
        assert by_url == by_id


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_each_combination_of_filters_returns_the_matching_users(
    client: FlaskClient, users: list[dict[str, Any]], order: str
) -> None:
    for chosen in product((False, True), repeat=len(FILTERS)):
        selected = [f for f, is_chosen in zip(FILTERS.values(), chosen) if is_chosen]
        query = {"order": order, "limit": "3", "count": "exact"}
        for parameters, _ in selected:
            query |= parameters
        expected = [u for u in users if all(matches(u) for _, matches in selected)]
        if order == "desc":
            expected.reverse()

        pages = list(read_pages(client, query))

        assert [user for page in pages for user in page["users"]] == expected, query
        assert {page["count"] for page in pages} == {len(expected)}, query


def ids(client: FlaskClient, **query: str) -> list[int]:
    """Return the ids of a page."""
    response = client.get("/users", query_string=query)
    assert response.status_code == 200, response.text
    return [user["id"] for user in response.get_json()["data"]["users"]]


@pytest.mark.parametrize(
    "search, expected",
    [
        ("ada", [1]),
        ("LOVE ada", [1]),
        ("lace example.com", [1]),
        ("lovelace grace", []),
        ("  love\u2003ADA ", [1]),
        # Fewer than three letters and digits: only at the beginning.
        ("ad", [1]),
        ("lo", []),
        ("g", [2]),
        ("a.", []),
        ("r_h", []),
        ("ho%er", []),
        ("50%_off", [3]),
        ("мАр", [4]),
    ],
)
def test_search_finds_users_with_each_word(
    client: FlaskClient, add_user: AddUser, search: str, expected: list[int]
) -> None:
    add_user("Ada.Lovelace", "countess@example.com")
    add_user("grace", "hopper@example.org")
    add_user("50%_off", "x@example.org")
    add_user("Мария", "m@example.org")
    assert ids(client, search=search) == expected


def test_username_is_compared_as_a_whole_in_any_case(
    client: FlaskClient, add_user: AddUser
) -> None:
    for number, name in enumerate(("Ada", "ada ", "adam", "ADA")):
        add_user(name, f"{number}@example.com")
    # Surrounding white space is removed, as from every username.
    assert ids(client, username=" aDa ") == [1, 4]


def test_after_means_smaller_ids_in_descending_order(
    client: FlaskClient, users: list[dict[str, Any]]
) -> None:
    assert ids(client, order="desc", after="4") == [3, 2, 1]
    assert ids(client, order="desc", after="1") == []
    assert ids(client, order="desc", after="0") == []
    assert ids(client, after="7") == [8, 9]


def test_period_excludes_its_limits(
    client: FlaskClient, users: list[dict[str, Any]]
) -> None:
    period = {
        "created_after": "2026-11-02T00:00:00Z",
        "created_before": "2026-11-04T00:00:00Z",
    }
    assert ids(client, **period) == [3]


@pytest.mark.parametrize(
    "created_after, expected",
    [
        ("2026-11-08T00:00:00Z", [9]),
        ("2026-11-08t00:00:00.000000z", [9]),
        ("2026-11-08T23:00:00+23:00", [9]),
        ("2026-11-07T00:15:00-23:45", [9]),
        ("9999-12-31T23:59:59Z", []),
    ],
)
def test_times_may_have_every_offset(
    client: FlaskClient,
    users: list[dict[str, Any]],
    created_after: str,
    expected: list[int],
) -> None:
    assert ids(client, created_after=created_after) == expected


def test_next_page_has_the_same_filters(
    client: FlaskClient, users: list[dict[str, Any]]
) -> None:
    query = {"search": "élo exa", "created_after": "2026-11-01T00:00:00+00:00"}
    first = client.get("/users", query_string=query | {"limit": "2", "order": "desc"})
    second = client.get(first.get_json()["data"]["next"])
    assert [user["id"] for user in second.get_json()["data"]["users"]] == [4, 3]


@pytest.fixture
def many_users(empty_database: SQLAlchemy) -> int:
    """A table of 1000 users, of whom a tenth is inactive."""
    with empty_database.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO users (username, email, active)"
            " SELECT n, n || '@example.com', mod(n, 10) > 0"
            " FROM generate_series(1, 1000) n"
        )
        connection.exec_driver_sql("ANALYZE users")
    return 1000


def test_counts_do_not_depend_on_the_page(client: FlaskClient, many_users: int) -> None:
    for query in ("", "&after=500", "&after=500&order=desc", "&limit=1000"):
        url = f"/users?active=false&count=exact{query}"
        assert client.get(url).get_json()["data"]["count"] == many_users // 10
    for query in ("", "&after=500", "&after=500&order=desc"):
        url = f"/users?active=false&count=estimated{query}"
        estimate = client.get(url).get_json()["data"]["count"]
        assert 0.5 * many_users / 10 < estimate < 2 * many_users / 10


def test_estimate_of_a_single_page_is_exact(
    client: FlaskClient, users: list[dict[str, Any]]
) -> None:
    page = client.get("/users?search=exa&count=estimated").get_json()["data"]
    assert (page["count"], page["after"]) == (6, None)


def test_page_without_count_has_none(client: FlaskClient) -> None:
    assert client.get("/users").get_json()["data"].keys() == {"users", "next", "after"}


@pytest.fixture
def locked_table(empty_database: SQLAlchemy) -> Iterator[None]:
    """The table `users` while statements wait for it, for a tenth of a second."""
    engine = empty_database.engines[AUTOCOMMIT]

    def limit_time(connection: Any, record: Any, proxy: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = 100")

    event.listen(engine, "checkout", limit_time)
    with empty_database.engine.begin() as connection:
        connection.exec_driver_sql("LOCK TABLE users")
        yield
    event.remove(engine, "checkout", limit_time)
    engine.dispose()


def test_search_that_takes_too_long_is_refused_with_a_remedy(
    client: FlaskClient, locked_table: None, caplog: pytest.LogCaptureFixture
) -> None:
    response = client.get("/users?search=ada")
    assert response.status_code == 400
    assert "add filters" in response.get_json()["message"]
    assert "DATABASE_STATEMENT_TIMEOUT" in caplog.text


def test_page_that_takes_too_long_without_a_search_can_be_repeated(
    client: FlaskClient, locked_table: None
) -> None:
    response = client.get("/users?active=true&count=exact")
    assert response.status_code == 503
    assert "Retry-After" in response.headers
