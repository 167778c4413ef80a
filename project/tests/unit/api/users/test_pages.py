"""The statements of `GET /users` read few more rows than they return."""

import json
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Connection, Engine

from project import db
from project.api.users import pages
from project.api.users.schemas import parse_query
from project.database.engines import AUTOCOMMIT

USERS = 20_000
NAMESAKES = 20
MIDDLE = USERS // 2
# The blocks of the table and its indexes that a page may read. The table has 200, and
# the indexes on the ids have 50 each.
MAX_BLOCKS = 40

# One user per minute, of whom the last tenth is inactive.
INSERT = f"""
    INSERT INTO users (username, email, active, created_date)
    SELECT 'Name ' || mod(n, {USERS // NAMESAKES}), n || '@example.com',
           n <= 0.9 * {USERS},
           '2026-01-01 00:00Z'::timestamptz + n * interval '1 minute'
    FROM generate_series(1, {USERS}) n
"""
# Values of the parameters that select users; most of them let the middle one through.
VALUES = {
    "id": [f"5,{MIDDLE},{USERS}"],
    "email": [f"{MIDDLE}@EXAMPLE.com"],
    "username": ["name 0"],
    "search": [f"exa {MIDDLE}"],
    "active": ["true", "false"],
    "created_after": ["2026-01-05T00:00:00Z"],
    "created_before": ["2026-01-10T00:00:00Z"],
}


@pytest.fixture(scope="module")
def engine(test_database: SQLAlchemy) -> Engine:
    """The API's engine on a table with USERS users."""
    engine = db.engines[AUTOCOMMIT]
    with engine.connect() as connection:
        # Other tests leave rows and large indexes.
        connection.exec_driver_sql("TRUNCATE users RESTART IDENTITY")
        connection.exec_driver_sql(INSERT)
        connection.exec_driver_sql("VACUUM ANALYZE users")
    return engine


def combinations() -> Iterator[dict[str, str]]:
    """Yield all combinations of filters, with both orders, at two positions."""
    choices = [[None, *values] for values in VALUES.values()]
    for values in product(*choices):
        filters = {name: v for name, v in zip(VALUES, values) if v is not None}
        for order, after in product(("asc", "desc"), (None, MIDDLE)):
            position = {"order": order} | ({"after": str(after)} if after else {})
            yield filters | position


def count_blocks(
    connection: Connection, statement: str, parameters: dict[str, Any]
) -> int:
    """Execute a statement and return the number of blocks that it has read."""
    explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}"
    # The first execution on a connection also reads PostgreSQL's catalog.
    for _ in range(2):
        result = connection.exec_driver_sql(explain, parameters).scalar_one()
    plan = (json.loads(result) if isinstance(result, str) else result)[0]["Plan"]
    blocks: int = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    return blocks


@pytest.mark.parametrize("limit", [1, 10])
def test_page_of_each_combination_reads_few_blocks(engine: Engine, limit: int) -> None:
    too_many = {}
    with engine.connect() as connection:
        for arguments in combinations():
            query = parse_query({name: [value] for name, value in arguments.items()})
            query.limit = limit
            blocks = count_blocks(connection, *pages.page_statement(query))
            if blocks > MAX_BLOCKS:
                too_many[str(arguments)] = blocks
    assert not too_many
