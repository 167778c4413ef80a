"""The SQL statements of `GET /users`: a page of users, and the number of all.

There is a statement for each combination of parameters, which is built once. A
statement for all combinations could not use the indexes.
"""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

import sqlalchemy as sa
from psycopg2.errors import QueryCanceled
from sqlalchemy.dialects import postgresql

from project.api.users.errors import QueryTooSlow
from project.api.users.mailbox import mailbox
from project.api.users.models import lower_username
from project.api.users.queries import (
    Row,
    UserData,
    columns,
    fetch_all,
    fetch_large,
    read_on_standby,
    to_sql,
    users,
)
from project.api.users.schemas import FIELDS, MAX_ID, PageQuery
from project.api.users.search import parse_words

# The number of users above which a page takes much longer than other requests.
LARGE_PAGE = 200

log = logging.getLogger(__name__)


class Page(NamedTuple):
    """A page of users, and whether there are more of them after it."""

    users: list[UserData]
    has_more: bool


class Selection(NamedTuple):
    """The users that a query lets through.

    Attributes:
        filters: names of FILTERS.
        words: the number of words of the search.
    """

    filters: tuple[str, ...]
    words: int


def text(name: str) -> sa.BindParameter[str]:
    """Return a parameter that is a text."""
    return sa.bindparam(name, type_=sa.Text)


# The condition of each filter, with a parameter of the same name.
FILTERS: dict[str, sa.ColumnElement[bool]] = {
    "id": users.c.id
    == sa.any_(sa.bindparam("id", type_=postgresql.ARRAY(sa.BigInteger))),
    "email": mailbox(users.c.email) == mailbox(text("email")),
    "username": lower_username(users.c.username) == lower_username(text("username")),
    "active": users.c.active == sa.bindparam("active"),
    "created_after": users.c.created_date > sa.bindparam("created_after"),
    "created_before": users.c.created_date < sa.bindparam("created_before"),
}
CREATED_FILTERS = {"created_after", "created_before"}
# Few users match these filters, or their index contains the ids in order.
SELECTIVE_FILTERS = {"id", "email", "username"}


def has_word(pattern: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    """Return the condition that the username or the address matches a pattern."""
    return sa.or_(users.c.username.ilike(pattern), users.c.email.ilike(pattern))


def is_found(criteria: Iterable[sa.ColumnElement[bool]]) -> sa.ColumnElement[bool]:
    """Return the condition that a user matches the criteria of a search.

    PostgreSQL executes the subquery first. With the criteria alone, it might read the
    table in the order of the result until it has found enough users for a page; if
    there are too few, it would read the whole table.
    """
    found = sa.select(users.c.id).where(*criteria)
    return users.c.id == sa.any_(sa.func.array(found.scalar_subquery()))


def conditions(selection: Selection) -> list[sa.ColumnElement[bool]]:
    """Return the conditions of a selection."""
    return [
        *(FILTERS[name] for name in selection.filters),
        *(has_word(text(f"word_{n}")) for n in range(selection.words)),
    ]


def is_by_date(filters: Collection[str]) -> bool:
    """Return whether a page is best read from the index `users_created_idx`."""
    return not CREATED_FILTERS.isdisjoint(filters) and SELECTIVE_FILTERS.isdisjoint(
        filters
    )


# The id after which a page begins. An index can return the users of a period only if it
# is a bigint.
START = sa.cast(sa.bindparam("start"), sa.BigInteger)


def distance_from_start(newest_first: bool) -> sa.ColumnElement[float]:
    """Return a number that orders the ids after START like the ids themselves.

    `users_created_idx` can return users in this order. The distance is a float, which
    is exact as long as the ids are not very far from each other.
    """
    if newest_first:
        last_id = sa.select(sa.func.max(users.c.id)).scalar_subquery()
        start = sa.func.least(START, last_id)
    else:
        first_id = sa.select(sa.func.min(users.c.id)).scalar_subquery()
        start = sa.func.greatest(START, first_id)
    return users.c.id.op("<->")(start)


@cache
def select_page(selection: Selection, after: bool, newest_first: bool) -> str:
    """Return the statement that reads a page of a selection.

    Args:
        after: whether the page begins after an id.
        newest_first: whether the ids descend.
    """
    criteria = conditions(selection)
    if after:
        criteria.append(users.c.id < START if newest_first else users.c.id > START)
    order: sa.ColumnElement[Any] = users.c.id.desc() if newest_first else users.c.id
    if selection.words:
        criteria = [is_found(criteria)]
    elif is_by_date(selection.filters):
        order = distance_from_start(newest_first)
    statement = sa.select(*columns).where(*criteria).order_by(order)
    return to_sql(statement.limit(sa.bindparam("limit")))


@cache
def count_matches(selection: Selection) -> str:
    """Return the statement that counts the users of a selection."""
    matches = sa.select(sa.func.count()).select_from(users)
    return to_sql(matches.where(*conditions(selection)))


@cache
def estimate_matches(selection: Selection) -> str:
    """Return the statement that estimates the number of users of a selection."""
    matches = sa.select(users.c.id).where(*conditions(selection))
    return f"EXPLAIN (FORMAT JSON) {to_sql(matches)}"


def select(query: PageQuery) -> tuple[Selection, dict[str, Any]]:
    """Return the selection of a query, and the parameters of its conditions."""
    filters = {
        name: value for name in FILTERS if (value := getattr(query, name)) is not None
    }
    patterns = parse_words(query.search).values() if query.search is not None else ()
    words = {f"word_{n}": pattern for n, pattern in enumerate(patterns)}
    return Selection(tuple(filters), len(words)), filters | words


def execute(
    statement: str,
    parameters: Mapping[str, Any],
    *,
    is_large: bool = False,
    is_unbounded: bool = False,
) -> Sequence[Row]:
    """Execute a statement and return its rows; see `read_on_standby`.

    Args:
        is_large: whether there are many rows.
        is_unbounded: whether the time grows with the number of users that it finds.

    Raises:
        QueryTooSlow: an unbounded one exceeds DATABASE_STATEMENT_TIMEOUT.
    """
    fetch = fetch_large if is_large else fetch_all
    try:
        return read_on_standby(partial(fetch, statement, parameters))
    except QueryCanceled:
        if not is_unbounded:
            raise
        log.warning("a search or a count exceeded DATABASE_STATEMENT_TIMEOUT")
        raise QueryTooSlow() from None


def page_statement(query: PageQuery) -> tuple[str, dict[str, Any]]:
    """Return the statement that reads a page, and its parameters."""
    selection, parameters = select(query)
    newest_first = query.order == "desc"
    start = query.after
    if start is None:
        start = MAX_ID if newest_first else 0
    statement = select_page(selection, query.after is not None, newest_first)
    return statement, parameters | {"start": start, "limit": query.limit + 1}


def read(query: PageQuery) -> Page:
    """Read the page of a query.

    Raises:
        QueryTooSlow: see `execute`.
    """
    statement, parameters = page_statement(query)
    rows = execute(
        statement,
        parameters,
        is_large=query.limit > LARGE_PAGE,
        is_unbounded=query.search is not None,
    )
    # `to_user`, inlined: calling it for each row takes 1 % of the request's time.
    found = [dict(zip(FIELDS, row)) for row in rows[: query.limit]]
    return Page(found, len(rows) > query.limit)


def count(query: PageQuery, page: Page) -> int:
    """Return the number of users on all pages of a query.

    Args:
        page: the one that `read` has returned. If it is the only one, no statement is
            needed.

    Raises:
        QueryTooSlow: see `execute`.
    """
    if query.after is None and not page.has_more:
        return len(page.users)
    selection, parameters = select(query)
    number: int
    if query.count == "exact":
        statement = count_matches(selection)
        [(number,)] = execute(statement, parameters, is_unbounded=True)
    else:
        [(plan,)] = execute(estimate_matches(selection), parameters)
        number = plan[0]["Plan"]["Plan Rows"]
    return number
