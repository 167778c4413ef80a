"""The database's address and the service's connections to it."""

import contextlib
import time

import psycopg2
import pytest
from sqlalchemy import create_engine, exc, make_url

from project import database, db
from project.api.users import queries


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_normalise_url(scheme):
    assert database.normalise_url(
        f"{scheme}://ada:p%40ss@db:5433/users?sslmode=require"
    ) == ("postgresql+psycopg2://ada:p%40ss@db:5433/users?sslmode=require")


def test_normalise_several_hosts():
    """libpq's form for a primary and its standbys."""
    url = database.normalise_url(
        "postgres://ada:secret@one,two:5433/users?target_session_attrs=read-write"
    )
    arguments = create_engine(url).dialect.create_connect_args(make_url(url))[1]
    assert arguments == {
        "user": "ada",
        "password": "secret",
        "host": "one,two",
        "port": "5432,5433",
        "dbname": "users",
        "target_session_attrs": "read-write",
    }


@pytest.mark.parametrize("url", ["", "users", "sqlite://", "postgresql+psycopg://a/b"])
def test_normalise_refuses_another_url(url):
    with pytest.raises(ValueError, match="postgresql://user:password@host"):
        database.normalise_url(url)


def test_describe_hides_the_password():
    shown = database.describe("postgresql+psycopg2://ada:secret@db/users")
    assert shown == "postgresql://ada:***@db/users"
    shown = database.describe("postgresql+psycopg2://db/users?password=secret&a=b")
    assert shown == "postgresql://db/users?a=b"


def test_remedy_of_another_error():
    assert database.remedy(ValueError("anything")) is None
    assert database.remedy(exc.InvalidRequestError("anything")) is None


@pytest.mark.parametrize("bind", [None, database.AUTOCOMMIT])
def test_connections_to_a_demoted_primary_are_dropped(test_app, bind):
    engine = db.engines[bind]
    with pytest.raises(exc.InternalError) as refused, engine.connect() as connection:
        connection.exec_driver_sql("SET default_transaction_read_only = on")
        connection.commit()
        connection.exec_driver_sql("CREATE TABLE anything ()")
    assert "point DATABASE_URL to the primary" in database.remedy(refused.value)
    with engine.begin() as connection:
        shown = connection.exec_driver_sql("SHOW default_transaction_read_only")
        assert shown.scalar() == "off"


@pytest.mark.parametrize(
    "breaks, hint",
    [
        ("SELECT pg_terminate_backend(pg_backend_pid())", "check that PostgreSQL runs"),
        ("SET default_transaction_read_only = on", "point DATABASE_URL to the primary"),
    ],
)
def test_queries_let_go_of_connections_that_are_of_no_use(test_database, breaks, hint):
    engine = db.engines[database.AUTOCOMMIT]
    with engine.connect() as idle:
        stale = idle.exec_driver_sql("SELECT pg_backend_pid()").scalar()
    with pytest.raises(psycopg2.Error) as error:
        # The first one gives no rows, where it does not fail.
        with contextlib.suppress(psycopg2.ProgrammingError):
            queries.run(breaks, {})
        queries.run("CREATE TABLE anything ()", {})
    assert hint in database.remedy(error.value)
    assert queries.run("SELECT 1", {}) == [(1,)]
    with engine.connect() as connection:
        fresh = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()
    assert fresh != stale


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


def test_wait_until_ready_tries_again(database_url):
    tries = []

    def connect():
        tries.append(time.monotonic())
        if len(tries) < 3:
            raise psycopg2.OperationalError("the database system is starting up")
        url = make_url(database_url).set(drivername="postgresql")
        return psycopg2.connect(url.render_as_string(hide_password=False))

    engine = create_engine("postgresql+psycopg2://", creator=connect)
    database.wait_until_ready(engine, 10)
    engine.dispose()
    assert len(tries) == 3


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
