"""The database's address and the service's connections to it."""

import time

import pytest
from sqlalchemy import exc

from project import database, db


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_normalise_url(scheme):
    assert database.normalise_url(
        f"{scheme}://ada:p%40ss@db:5433/users?sslmode=require"
    ) == ("postgresql+psycopg2://ada:p%40ss@db:5433/users?sslmode=require")


@pytest.mark.parametrize("url", ["", "users", "sqlite://", "postgresql+psycopg://a/b"])
def test_normalise_refuses_another_url(url):
    with pytest.raises(ValueError, match="postgresql://user:password@host"):
        database.normalise_url(url)


def test_describe_hides_the_password():
    shown = database.describe("postgresql+psycopg2://ada:secret@db/users")
    assert shown == "postgresql://ada:***@db/users"


def test_remedy_of_another_error():
    assert database.remedy(ValueError("anything")) is None
    assert database.remedy(exc.InvalidRequestError("anything")) is None


def test_connections_know_their_limits(test_app):
    with db.engine.connect() as connection:
        shown = {
            name: connection.exec_driver_sql(f"SHOW {name}").scalar()
            for name in ("timezone", "statement_timeout", "lock_timeout")
        }
    assert shown == {"timezone": "UTC", "statement_timeout": "5s", "lock_timeout": "3s"}


def test_api_statements_need_no_transaction(test_app):
    with db.engines[database.AUTOCOMMIT].connect() as connection:
        assert connection.connection.dbapi_connection.autocommit


@pytest.mark.parametrize("bind", [None, database.AUTOCOMMIT])
def test_stale_connection_is_replaced(test_app, bind):
    engine = db.engines[bind]
    with engine.connect() as connection:
        stale = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()
    other = db.engines[None if bind else database.AUTOCOMMIT]
    with other.connect() as connection:
        connection.exec_driver_sql(f"SELECT pg_terminate_backend({stale}, 5000)")
    time.sleep(database.IDLE_SECONDS)
    with engine.connect() as connection:
        fresh = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()
    assert fresh != stale
