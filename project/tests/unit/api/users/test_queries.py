"""The page query reads only the rows that it returns."""

import json
from typing import Any

import pytest
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Engine

from project import db
from project.api.users import queries
from project.database.engines import AUTOCOMMIT

USERS = 20_000
DEFAULTS = {"limit": 11, "after": 0, "email": None, "active": None}


@pytest.fixture(scope="module")
def engine(test_database: SQLAlchemy) -> Engine:
    """The API's engine on a table of which the last tenth is inactive."""
    engine = db.engines[AUTOCOMMIT]
    with engine.connect() as connection:
        connection.exec_driver_sql(f"""
            INSERT INTO users (username, email, active)
            SELECT n, n || '@example.com', n <= 0.9 * {USERS}
            FROM generate_series(1, {USERS}) n
            """)
        connection.exec_driver_sql("VACUUM ANALYZE users")
    return engine


def explain(engine: Engine, statement: str, parameters: dict[str, Any]) -> Any:
    """Execute a statement and return its plan, with the blocks that it has read."""
    explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}"
    with engine.connect() as connection:
        result = connection.exec_driver_sql(explain, parameters).scalar_one()
    return (json.loads(result) if isinstance(result, str) else result)[0]["Plan"]


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
        {"email": f"{USERS // 2}@ｅｘａｍｐｌｅ。com"},
        {"email": f"{USERS}@example.com", "active": False},
    ],
    ids=str,
)
def test_page_reads_few_blocks(engine: Engine, query: dict[str, Any]) -> None:
    statement = queries.select_page("email" in query, "active" in query)
    plan = explain(engine, statement, DEFAULTS | query)
    assert plan["Actual Rows"] > 0
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 10
