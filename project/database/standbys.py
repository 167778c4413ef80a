"""Reads on standbys, which may be a few seconds behind the primary.

Loaded only if DATABASE_READ_URL is set. Each of its hosts has an engine of its own.

In each process, one thread per server asks it about twice a second for its position in
the write-ahead log (WAL). If a standby has replayed a position that the primary had at
a time, it has everything that was committed until then. If that is too long ago, the
standby is not used.
"""

import logging
import os
import random
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from functools import partial
from math import inf
from socket import SHUT_RDWR, socket
from threading import Lock, Thread
from typing import Any, TypeVar
from weakref import WeakSet

import psycopg2
from blinker import Namespace
from flask import Flask, current_app, request
from psycopg2 import errors
from psycopg2.errors import QueryCanceled
from psycopg2.extensions import TransactionRollbackError
from psycopg2.extensions import connection as PsycopgConnection
from sqlalchemy import exc
from sqlalchemy.pool import Pool

from project.config import DRIVER
from project.database.availability import DatabaseNotConfigured
from project.database.engines import AUTOCOMMIT, STANDBYS, driver_arguments
from project.database.multihost import split_hosts
from project.database.pool import FifoPool

# The value of the request header `Read-Consistency` that allows a read on a standby,
# and its default.
EVENTUAL = "eventual"

# Seconds between two probes of a server.
INTERVAL = 0.5
# A standby that has not answered for this number of seconds is not used. The probe
# itself has the timeouts of all statements, which are longer.
MAX_SILENCE = 2
# Seconds. A process that sleeps this long between two probes is busy itself.
MAX_PAUSE = 2 * INTERVAL
# The number of standbys on which a read is tried before the primary.
MAX_ATTEMPTS = 2

# The position up to which the WAL is flushed: it contains all commits that were
# confirmed, and only what standbys can receive. It is an error on a standby.
PRIMARY_POSITION = "SELECT pg_current_wal_flush_lsn() - '0/0'"
# The position up to which the WAL is replayed; no row if the server is not a standby.
STANDBY_POSITION = "SELECT pg_last_wal_replay_lsn() - '0/0' WHERE pg_is_in_recovery()"
CONNECTION_ERRORS = (psycopg2.Error, exc.SQLAlchemyError, DatabaseNotConfigured)
# A statement conflicts with the replay of a write or of a migration, or a migration has
# not been replayed yet.
TEMPORARY_ERRORS = (
    errors.LockNotAvailable,
    TransactionRollbackError,
    psycopg2.ProgrammingError,
)

Result = TypeVar("Result")

log = logging.getLogger(__name__)

# Sent with a `Standby` as sender after each probe.
lag_measured = Namespace().signal("lag-measured")


class NotStandby(Exception):
    """The server is a primary, or it has not replayed any WAL yet."""

    def __init__(self) -> None:
        super().__init__("it is not a standby")


class NoAnswer(Exception):
    """The server accepts connections, and does not answer."""

    def __init__(self) -> None:
        super().__init__(f"it has not answered for {MAX_SILENCE} seconds")


class PrimaryHistory:
    """The positions of the primary's WAL, and when it had them.

    Args:
        period: for how many seconds a position is kept.
    """

    def __init__(self, period: float) -> None:
        self.period = period
        # Replaced as a whole, because other threads read it.
        self.samples: tuple[tuple[float, int], ...] = ()

    def add(self, sampled_at: float, position: int) -> None:
        """Add the position that the primary had at a time, or soon after."""
        kept = [s for s in self.samples if s[0] >= sampled_at - self.period]
        if kept and position < kept[-1][1]:
            # After a failover, the new primary may reuse positions of the old one.
            kept.clear()
        self.samples = (*kept, (sampled_at, position))

    def time_of(self, position: int) -> float:
        """Return the last time at which the WAL ended there or before, or -inf."""
        for sampled_at, written in reversed(self.samples):
            if written <= position:
                return sampled_at
        return -inf


class Standby:
    """A host of DATABASE_READ_URL.

    Times are in seconds of the monotonic clock.

    Args:
        arguments: those of `psycopg2.connect`.
        max_lag: see DATABASE_READ_MAX_LAG.

    Attributes:
        host: with the port.
        bind: the name of its engine.
        answered_at: when it last answered that it is a standby.
        replayed_until: the last time of which it is known that the standby has replayed
            everything that was committed until then.
        failure: why it is not used.
    """

    def __init__(self, arguments: dict[str, Any], max_lag: float) -> None:
        self.arguments = arguments
        self.max_lag = max_lag
        self.host = "{host}:{port}".format_map(arguments)
        self.bind = f"standby {self.host}"
        self.answered_at = -inf
        self.replayed_until = -inf
        self.failure: str | None = "it has not been probed yet"
        self.read_connections: WeakSet[PsycopgConnection] = WeakSet()
        self.lock = Lock()

    def connect(self) -> PsycopgConnection:
        """Return a new connection."""
        connection: PsycopgConnection = psycopg2.connect(**self.arguments)
        return connection

    def connect_for_reads(self) -> PsycopgConnection:
        """Return a new connection for reads.

        Raises:
            OperationalError: the standby is not available, or is not used any more. A
                server that has stopped answering would let the read wait.
        """
        if self.failure:
            raise psycopg2.OperationalError(self.failure)
        connection = self.connect()
        with self.lock:
            self.read_connections.add(connection)
        return connection

    def disconnect_reads(self) -> None:
        """Let the reads that wait for the standby fail."""
        with self.lock:
            connections = list(self.read_connections)
        for connection in connections:
            # It may be closed.
            with suppress(OSError, psycopg2.InterfaceError):
                with socket(fileno=os.dup(connection.fileno())) as duplicate:
                    duplicate.shutdown(SHUT_RDWR)

    def lag(self) -> float:
        """Return the age of its state in seconds; infinity if it is not known."""
        return time.monotonic() - self.replayed_until

    def is_usable(self) -> bool:
        """Return whether it answers, and is not too far behind."""
        return not self.failure and not self.is_silent() and self.lag() <= self.max_lag

    def is_silent(self) -> bool:
        """Return whether it has not answered for MAX_SILENCE."""
        return time.monotonic() - self.answered_at > MAX_SILENCE

    def record_position(self, position: int, history: PrimaryHistory) -> None:
        """Record up to which position the standby has replayed the primary's WAL."""
        self.answered_at = time.monotonic()
        self.replayed_until = max(self.replayed_until, history.time_of(position))
        behind = f"it is more than {self.max_lag:g} seconds behind the primary"
        self.set_failure(behind if self.lag() > self.max_lag else None)

    def record_failure(self, error: Exception) -> None:
        """Do not use it until it answers again. It may then have another state."""
        self.replayed_until = -inf
        # A primary among the hosts is no failure.
        level = logging.INFO if isinstance(error, NotStandby) else logging.WARNING
        self.set_failure(str(error).split("\n")[0], level)

    def set_failure(self, failure: str | None, level: int = logging.WARNING) -> None:
        """Set why it is not used, and log it if it has changed."""
        if failure == self.failure:
            return
        self.failure = failure
        if failure:
            log.log(level, "standby %s is not used: %s", self.host, failure)
        else:
            log.info("standby %s is used", self.host)


class StandbyRouter:
    """Chooses a standby for each read, and watches them.

    Args:
        arguments: those of `psycopg2.connect` for each standby.
        max_lag: see DATABASE_READ_MAX_LAG.
    """

    def __init__(self, arguments: Iterable[dict[str, Any]], max_lag: float) -> None:
        self.standbys = [Standby(each, max_lag) for each in arguments]
        self.history = PrimaryHistory(max_lag)
        self.is_watching = False
        self.lock = Lock()

    def read(self, fetch: Callable[[str], Result]) -> Result:
        """Read on a standby, or on the primary if the request asks for it.

        If a standby fails, another one is tried, and then the primary.

        Args:
            fetch: reads from the engine of a bind.

        Raises:
            QueryCanceled: the statement takes too long. It would on the primary, too.
        """
        # Not before the first request: a thread does not survive a fork.
        if not self.is_watching:
            self.watch()
        if request.environ.get("HTTP_READ_CONSISTENCY", EVENTUAL) != EVENTUAL:
            return fetch(AUTOCOMMIT)
        for _ in range(MAX_ATTEMPTS):
            standby = self.choose()
            if standby is None:
                break
            try:
                return fetch(standby.bind)
            except QueryCanceled:
                raise
            except TEMPORARY_ERRORS:
                # The other standbys are likely in the same state, so read on the
                # primary.
                break
            except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
                # Otherwise the cause is already known.
                if standby.is_usable():
                    standby.record_failure(error)
            except exc.TimeoutError:
                # The load of a busy standby is not passed on to another server. But its
                # connections are also in use if it has stopped answering.
                if standby.is_usable():
                    raise
        return fetch(AUTOCOMMIT)

    def choose(self) -> Standby | None:
        """Return one of the usable standbys, if there are any."""
        usable = [standby for standby in self.standbys if standby.is_usable()]
        return random.choice(usable) if usable else None

    def watch(self) -> None:
        """Start a thread for each server.

        While one of them waits for a server, the others continue.
        """
        with self.lock:
            if self.is_watching:
                return
            self.is_watching = True
        engines = current_app.extensions["sqlalchemy"].engines
        primary = engines[AUTOCOMMIT].pool.recreate()
        watches: list[tuple[Callable[[], None], float]] = [
            (self.disconnect_unresponsive, INTERVAL),
            (partial(self.probe_primary, primary), 0),
        ]
        for standby in self.standbys:
            probe = partial(self.probe_standby, standby, FifoPool(standby.connect))
            # When there is a position of the primary to compare with.
            watches.append((probe, INTERVAL))
        for watch in watches:
            Thread(target=repeat, args=watch, daemon=True).start()

    def disconnect_unresponsive(self) -> None:
        """Disconnect standbys that do not answer any more.

        The reads that wait for them then continue on another server, before the timeout
        of their statements.
        """
        for standby in self.standbys:
            if standby.is_silent():
                if not standby.failure:
                    standby.record_failure(NoAnswer())
                    lag_measured.send(standby)
                standby.disconnect_reads()

    def probe_primary(self, pool: Pool) -> None:
        """Record the primary's position."""
        started_at = time.monotonic()
        try:
            position = read_position(pool, PRIMARY_POSITION)
        except CONNECTION_ERRORS as error:
            # The lag of all standbys grows.
            log.debug("the primary has no position: %s", error)
        else:
            self.history.add(started_at, position)

    def probe_standby(self, standby: Standby, pool: Pool) -> None:
        """Record a standby's position."""
        try:
            position = read_position(pool, STANDBY_POSITION)
        except (*CONNECTION_ERRORS, NotStandby) as error:
            standby.record_failure(error)
        else:
            standby.record_position(position, self.history)
        lag_measured.send(standby)


def repeat(watch: Callable[[], None], delay: float) -> None:
    """Call a function every INTERVAL.

    Args:
        delay: seconds until the first call.
    """
    time.sleep(delay)
    while True:
        try:
            watch()
        except Exception:
            log.exception("the standbys were not watched")
        started_at = time.monotonic()
        time.sleep(INTERVAL)
        if time.monotonic() - started_at > MAX_PAUSE:
            # This process was busy. Responses may have arrived in the meantime: let the
            # other threads read them first.
            time.sleep(INTERVAL)


def read_position(pool: Pool, statement: str) -> int:
    """Return a position as a number of bytes.

    Args:
        pool: its own, so that it does not wait for the connections of requests.

    Raises:
        NotStandby: there is no position.
        CONNECTION_ERRORS: the server is not available.
    """
    with closing(pool.connect()) as connection:
        cursor = connection.cursor()
        try:
            cursor.execute(statement)
            row = cursor.fetchone()
        except psycopg2.Error:
            connection.invalidate()
            raise
    if row is None or row[0] is None:
        raise NotStandby()
    return int(row[0])


def host_arguments(url: str) -> Iterator[dict[str, Any]]:
    """Yield psycopg2's arguments for each host of a URL."""
    arguments = driver_arguments(url)
    # They choose between several hosts.
    for name in ("target_session_attrs", "load_balance_hosts"):
        arguments.pop(name, None)
    for host, port in split_hosts(arguments):
        yield {**arguments, "host": host, "port": port or "5432"}


def init_app(app: Flask) -> None:
    """Add an engine for each host of DATABASE_READ_URL, before `db.init_app`."""
    binds = app.config["SQLALCHEMY_BINDS"]
    options = binds[AUTOCOMMIT]
    router = StandbyRouter(
        (
            arguments | options["connect_args"]
            for arguments in host_arguments(app.config["DATABASE_READ_URL"])
        ),
        app.config["DATABASE_READ_MAX_LAG"],
    )
    for standby in router.standbys:
        url = f"{DRIVER}://"
        binds[standby.bind] = {
            **options,
            "url": url,
            "creator": standby.connect_for_reads,
        }
    app.extensions[STANDBYS] = router
