"""Explanations of database errors, and waiting for the database."""

import time

import psycopg2
import pytest
from psycopg2.extensions import connection as PsycopgConnection
from sqlalchemy import create_engine, exc, make_url

from project.database.availability import HINTS, explain_unavailable, wait_until_ready


def test_explain_unavailable_returns_none_for_other_errors() -> None:
    assert explain_unavailable(ValueError("anything")) is None
    assert explain_unavailable(exc.InvalidRequestError("anything")) is None


def test_no_hint_advises_to_delete_data() -> None:
    """The database may be another application's."""
    assert not [hint for hint in HINTS.values() if "recreate" in hint]


@pytest.mark.waiting
def test_wait_until_ready_retries_while_the_server_starts(database_url: str) -> None:
    attempts = []

    def connect() -> PsycopgConnection:
        attempts.append(time.monotonic())
        if len(attempts) < 3:
            raise psycopg2.OperationalError("the database system is starting up")
        url = make_url(database_url).set(drivername="postgresql")
        return psycopg2.connect(url.render_as_string(hide_password=False))

    engine = create_engine("postgresql+psycopg2://", creator=connect)
    wait_until_ready(engine, 10)
    engine.dispose()
    assert len(attempts) == 3
