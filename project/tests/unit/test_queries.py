"""What the statements cost: each reads what it shows, and walks past nothing."""

import json

import pytest

from project import database, db
from project.api.users import queries

USERS = 20_000
EVERY = {"limit": 11, "after": 0, "email": None, "active": None}


@pytest.fixture(scope="module")
def engine(test_database):
    """The API's engine, on many users of whom the last tenth is not active."""
    engine = db.engines[database.AUTOCOMMIT]
    with engine.connect() as connection:
        connection.exec_driver_sql(f"""
            INSERT INTO users (username, email, active)
            SELECT n, n || '@example.com', n <= 0.9 * {USERS}
            FROM generate_series(1, {USERS}) n
            """)
        connection.exec_driver_sql("VACUUM ANALYZE users")
    return engine


def blocks_read(engine, statement, parameters):
    """Return how many blocks of tables and indexes a statement touches."""
    explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}"
    with engine.connect() as connection:
        found = connection.exec_driver_sql(explain, parameters).scalar_one()
    plan = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
    assert plan["Actual Rows"] > 0
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"after": USERS // 2},
        {"after": USERS - 11},
        {"active": True},
        {"active": True, "after": USERS // 2},
        {"active": False},
        {"active": False, "after": USERS // 2},
        {"email": f"{USERS // 2}@EXAMPLE.com"},
        {"email": f"{USERS}@example.com", "active": False},
    ],
    ids=str,
)
def test_page_reads_what_it_shows(engine, query):
    statement = queries.PAGES["email" in query, "active" in query]
    assert blocks_read(engine, statement, EVERY | query) < 10
