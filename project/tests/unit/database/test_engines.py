"""Database URLs, and the connections of the two engines."""

import contextlib
import time

import psycopg2
import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import exc, text
from sqlalchemy.pool import PoolProxiedConnection

from project import db
from project.api.users import queries
from project.database.availability import explain_unavailable
from project.database.engines import (
    AUTOCOMMIT,
    IDLE_SECONDS,
    discard_dead_connections,
    redact_url,
)


def execute_on(connection: PoolProxiedConnection, statement: str) -> None:
    connection.cursor().execute(statement)


def test_redact_url_removes_passwords() -> None:
    redacted = redact_url("postgresql+psycopg2://ada:secret@db/users")
    assert redacted == "postgresql://ada:***@db/users"
    redacted = redact_url("postgresql+psycopg2://db/users?password=secret&a=b")
    assert redacted == "postgresql://db/users?a=b"


@pytest.mark.parametrize("bind", [None, AUTOCOMMIT])
def test_connections_to_a_demoted_primary_are_replaced(
    test_app: Flask, bind: str | None
) -> None:
    engine = db.engines[bind]
    with pytest.raises(exc.InternalError) as error, engine.connect() as connection:
        connection.exec_driver_sql("SET default_transaction_read_only = on")
        connection.commit()
        connection.exec_driver_sql("CREATE TABLE anything ()")
    explanation = explain_unavailable(error.value)
    assert explanation and "point DATABASE_URL to the primary" in explanation
    with engine.begin() as connection:
        shown = connection.exec_driver_sql("SHOW default_transaction_read_only")
        assert shown.scalar() == "off"


@pytest.mark.parametrize(
    "statement, hint",
    [
        ("SELECT pg_terminate_backend(pg_backend_pid())", "check that PostgreSQL is"),
        ("SET default_transaction_read_only = on", "point DATABASE_URL to the primary"),
    ],
)
def test_queries_discard_dead_connections(
    test_database: SQLAlchemy, statement: str, hint: str
) -> None:
    engine = db.engines[AUTOCOMMIT]
    with engine.connect() as idle:
        old_pid = idle.exec_driver_sql("SELECT pg_backend_pid()").scalar()
    with pytest.raises(psycopg2.Error) as error:
        # SET returns no rows, so fetching them fails.
        with contextlib.suppress(psycopg2.ProgrammingError):
            queries.fetch_all(statement, {})
        queries.fetch_all("CREATE TABLE anything ()", {})
    explanation = explain_unavailable(error.value)
    assert explanation and hint in explanation
    assert queries.fetch_all("SELECT 1", {}) == [(1,)]
    with engine.connect() as connection:
        new_pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()
    assert new_pid != old_pid


def test_late_errors_of_old_connections_do_not_discard_new_ones(
    test_database: SQLAlchemy,
) -> None:
    """A restart of PostgreSQL breaks all connections, and each notices it by itself."""
    engine = db.engines[AUTOCOMMIT]
    old = [engine.raw_connection() for _ in range(3)]
    for connection in old:
        execute_on(connection, "SET application_name = 'old'")
    with engine.connect() as connection_of_operator:
        connection_of_operator.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'old'"
        )
    new: list[int] = []
    for connection in old:
        with pytest.raises(psycopg2.OperationalError) as error:
            execute_on(connection, "SELECT 1")
        discard_dead_connections(engine, connection, error.value)
        connection.close()
        new += queries.fetch_all("SELECT pg_backend_pid()", {})[0]
    opened = "SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(%(pids)s)"
    assert queries.fetch_all(opened, {"pids": new}) == [(len(new),)]


def test_connections_have_time_zone_and_timeouts(test_app: Flask) -> None:
    with db.engine.connect() as connection:
        shown = {
            name: connection.exec_driver_sql(f"SHOW {name}").scalar()
            for name in ("timezone", "statement_timeout", "lock_timeout")
        }
    assert shown == {"timezone": "UTC", "statement_timeout": "5s", "lock_timeout": "3s"}


def test_api_engine_is_in_autocommit_mode(test_app: Flask) -> None:
    with db.engines[AUTOCOMMIT].connect() as connection:
        driver_connection = connection.connection.dbapi_connection
        assert driver_connection and driver_connection.autocommit


@pytest.mark.parametrize("bind", [None, AUTOCOMMIT])
def test_errors_do_not_quote_parameters(test_app: Flask, bind: str | None) -> None:
    statement = text("SELECT 1 / (:name = '')::int")
    with pytest.raises(exc.DataError) as error:
        with db.engines[bind].connect() as connection:
            connection.execute(statement, {"name": "ada@example.com"})
    assert "ada@example.com" not in str(error.value)


@pytest.mark.waiting
@pytest.mark.parametrize("bind", [None, AUTOCOMMIT])
def test_dead_idle_connection_is_replaced(test_app: Flask, bind: str | None) -> None:
    engine = db.engines[bind]
    with engine.connect() as connection:
        old_pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()
    other = db.engines[None if bind else AUTOCOMMIT]
    with other.connect() as connection:
        connection.exec_driver_sql(f"SELECT pg_terminate_backend({old_pid}, 5000)")
    time.sleep(IDLE_SECONDS)
    with engine.connect() as connection:
        new_pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()
    assert new_pid != old_pid
