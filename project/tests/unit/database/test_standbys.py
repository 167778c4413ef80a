"""The lag of standbys, and which server a read uses."""

import time
from math import inf

import psycopg2
import pytest
from flask import Flask
from psycopg2 import errors
from sqlalchemy import exc

from project.database.engines import AUTOCOMMIT
from project.database.standbys import (
    MAX_SILENCE,
    PrimaryHistory,
    Standby,
    StandbyRouter,
    host_arguments,
)

MAX_LAG = 10
ARGUMENTS = {"host": "one", "port": 1}


@pytest.fixture
def history() -> PrimaryHistory:
    """The primary wrote 100 bytes at 1 s, nothing until 2 s, and 100 until 3 s."""
    history = PrimaryHistory(MAX_LAG)
    for sampled_at, position in ((1, 100), (2, 100), (3, 200)):
        history.add(sampled_at, position)
    return history


@pytest.fixture
def standbys() -> StandbyRouter:
    """Three standbys, all of them current."""
    arguments = [{"host": "any", "port": port} for port in range(3)]
    standbys = StandbyRouter(arguments, MAX_LAG)
    standbys.is_watching = True
    standbys.history.add(time.monotonic(), 100)
    for standby in standbys.standbys:
        standby.record_position(100, standbys.history)
    return standbys


class Reads:
    """A function `fetch` that fails on standbys.

    Attributes:
        error: what it raises.
        binds: the engines on which it has read.
    """

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.binds: list[str] = []

    def fetch(self, bind: str) -> str:
        self.binds.append(bind)
        if self.error and bind != AUTOCOMMIT:
            raise self.error
        return "a row"


@pytest.mark.parametrize(
    "replayed, replayed_until", [(99, -inf), (100, 2), (199, 2), (200, 3), (300, 3)]
)
def test_standby_is_current_as_of_the_last_position_that_it_has_replayed(
    history: PrimaryHistory, replayed: int, replayed_until: float
) -> None:
    assert history.time_of(replayed) == replayed_until


def test_old_positions_are_forgotten(history: PrimaryHistory) -> None:
    history.add(12.5, 300)
    assert history.time_of(200) == 3
    assert history.time_of(199) == -inf


def test_positions_of_another_primary_are_forgotten(history: PrimaryHistory) -> None:
    history.add(4, 150)
    assert history.time_of(149) == -inf
    assert history.time_of(200) == 4


def test_lag_of_a_standby_that_stops_to_replay_grows(history: PrimaryHistory) -> None:
    standby = Standby(ARGUMENTS, MAX_LAG)
    now = time.monotonic()
    history.add(now - 9, 300)
    history.add(now, 400)
    standby.record_position(300, history)
    assert 9 <= standby.lag() < 10
    assert standby.is_usable()
    # The position is too old to be kept, and the standby still has it.
    history.add(now + 5, 500)
    standby.record_position(300, history)
    assert standby.replayed_until == now - 9


def test_standby_that_is_too_far_behind_is_not_used(
    history: PrimaryHistory, caplog: pytest.LogCaptureFixture
) -> None:
    standby = Standby(ARGUMENTS, MAX_LAG)
    history.add(time.monotonic() - MAX_LAG, 300)
    standby.record_position(300, history)
    assert not standby.is_usable()
    history.add(time.monotonic(), 300)
    with caplog.at_level("INFO"):
        standby.record_position(300, history)
    assert standby.is_usable()
    assert [record.getMessage() for record in caplog.records] == [
        "standby one:1 is not used: it is more than 10 seconds behind the primary",
        "standby one:1 is used",
    ]


def test_silent_standby_is_not_used(standbys: StandbyRouter) -> None:
    standby = standbys.standbys[0]
    assert standby.is_usable()
    standby.answered_at -= MAX_SILENCE
    assert not standby.is_usable()
    assert {standbys.choose() for _ in range(100)} == {*standbys.standbys[1:]}


def test_failed_standby_has_no_known_lag(standbys: StandbyRouter) -> None:
    standby = standbys.standbys[0]
    standby.record_failure(psycopg2.OperationalError("refused"))
    assert not standby.is_usable()
    assert standby.lag() == inf


@pytest.mark.parametrize(
    "headers, on_standby",
    [
        ({}, True),
        ({"Read-Consistency": "eventual"}, True),
        ({"Read-Consistency": "strong"}, False),
        ({"Read-Consistency": "other"}, False),
    ],
)
def test_request_chooses_the_consistency(
    test_app: Flask, standbys: StandbyRouter, headers: dict[str, str], on_standby: bool
) -> None:
    reads = Reads()
    with test_app.test_request_context(headers=headers):
        assert standbys.read(reads.fetch) == "a row"
    assert len(reads.binds) == 1
    assert (reads.binds != [AUTOCOMMIT]) is on_standby


def test_reads_are_distributed(test_app: Flask, standbys: StandbyRouter) -> None:
    reads = Reads()
    with test_app.test_request_context():
        for _ in range(100):
            standbys.read(reads.fetch)
    assert set(reads.binds) == {standby.bind for standby in standbys.standbys}


@pytest.mark.parametrize(
    "error, attempts, usable",
    [
        # Another standby, then the primary.
        (psycopg2.OperationalError("refused"), 3, 1),
        (psycopg2.InterfaceError("connection already closed"), 3, 1),
        # A conflict with recovery.
        (errors.SerializationFailure(), 2, 3),
        # A standby that replays the lock of a migration.
        (errors.LockNotAvailable(), 2, 3),
        # A standby that has not replayed a migration yet.
        (errors.UndefinedColumn(), 2, 3),
    ],
)
def test_read_that_fails_on_standbys_succeeds_on_the_primary(
    test_app: Flask,
    standbys: StandbyRouter,
    error: Exception,
    attempts: int,
    usable: int,
) -> None:
    reads = Reads(error)
    with test_app.test_request_context():
        assert standbys.read(reads.fetch) == "a row"
    assert len(set(reads.binds)) == len(reads.binds) == attempts
    assert reads.binds[-1] == AUTOCOMMIT
    assert sum(standby.is_usable() for standby in standbys.standbys) == usable


@pytest.mark.parametrize("error", [errors.QueryCanceled(), exc.TimeoutError()])
def test_overload_is_not_passed_on(
    test_app: Flask, standbys: StandbyRouter, error: Exception
) -> None:
    reads = Reads(error)
    with test_app.test_request_context(), pytest.raises(type(error)):
        standbys.read(reads.fetch)
    assert len(reads.binds) == 1


def test_read_that_waited_for_a_frozen_standby_is_retried(
    test_app: Flask, standbys: StandbyRouter
) -> None:
    def fetch(bind: str) -> str:
        if bind == AUTOCOMMIT:
            return "a row"
        for standby in standbys.standbys:
            standby.answered_at -= MAX_SILENCE
        raise exc.TimeoutError()

    with test_app.test_request_context():
        assert standbys.read(fetch) == "a row"


@pytest.mark.parametrize(
    "url, expected",
    [
        ("//one/users", [("one", "5432")]),
        ("//one:1/users", [("one", "1")]),
        ("//ada@/users?host=one:1&host=two:2", [("one", "1"), ("two", "2")]),
        ("///users?host=one,two", [("one", "5432"), ("two", "5432")]),
        ("///users?host=one&host=two:2", [("one", "5432"), ("two", "2")]),
        ("///users", [("", "5432")]),
    ],
)
def test_each_host_has_its_port(url: str, expected: list[tuple[str, str]]) -> None:
    hosts = host_arguments(f"postgresql+psycopg2:{url}")
    assert [(host["host"], host["port"]) for host in hosts] == expected
