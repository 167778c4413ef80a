"""The scenarios: each breaks something and reports how the service responded."""

import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from secrets import token_hex
from statistics import quantiles
from subprocess import DEVNULL

import psutil

from chaos import attacks, clients, faults
from chaos.attacks import start_attack
from chaos.load import LoadGenerator, RequestResult
from devtools.postgres import Postgres, prepare_database
from devtools.servers import start_gunicorn

# Shorter than the defaults, so that a scenario takes less time.
SHORT_TIMEOUTS = {
    "DATABASE_POOL_TIMEOUT": "2",
    "DATABASE_CONNECT_TIMEOUT": "2",
    "DATABASE_STATEMENT_TIMEOUT": "2",
    "DATABASE_LOCK_TIMEOUT": "2",
}
# The worst case with these timeouts: wait for a connection of the pool, find it dead,
# open another, wait for the statement. One second more, because the machine is busy.
MAX_RESPONSE_SECONDS = 2 + 2 + 2 + 3 + 1

# Milliseconds. The aim is 200, and the machine may be busy.
MAX_P99 = 1000

SLOW_CONNECTIONS = 500
IDLE_CONNECTIONS = 2000
ABORTED_CONNECTIONS = 500
ENDURANCE_REQUESTS = 200_000
STOPS = 8
STOP_CLIENTS = 32
# Settings that enable the login of the admin site.
LOGIN = {"SECRET_KEY": token_hex()}


@dataclass
class Result:
    """The result of a scenario.

    Attributes:
        requests: how many requests were sent.
        violations: how many responses the service must not give.
        lost_writes: how many successful writes are missing afterwards.
        recovery_seconds: the time from the end of the fault to the last failed request.
        note: other measured values.
    """

    requests: int
    violations: int
    lost_writes: int = 0
    recovery_seconds: float = 0
    note: str = ""


@dataclass(frozen=True)
class Scenario:
    """A scenario of the command line.

    Attributes:
        label: describes the fault in the printed table.
        is_long: whether `--short` omits it.
    """

    label: str
    run: Callable[[], Result]
    is_long: bool = False


@dataclass(frozen=True)
class Service:
    """A running service and its database."""

    url: str
    gunicorn: psutil.Process
    database: Postgres

    def workers(self) -> list[psutil.Process]:
        return self.gunicorn.children()

    def memory(self) -> int:
        """Return the resident memory of the workers in bytes."""
        return sum(worker.memory_info().rss for worker in self.workers())


@contextmanager
def start_service(
    settings: Mapping[str, str], folder: Path | None = None
) -> Iterator[Service]:
    """Start a PostgreSQL server with 1000 users, and the service on it.

    Args:
        settings: environment variables of the service.
        folder: holds PostgreSQL's data; None makes a temporary folder.
    """
    with Postgres(folder) as server:
        server.create()
        prepare_database(server)
        database_url = server.url(user="service")
        with start_gunicorn(database_url, DEVNULL, **settings) as (url, process):
            yield Service(url, psutil.Process(process.pid), server)


def count_unavailable(results: Sequence[RequestResult]) -> int:
    """Return how many responses are 503."""
    return sum(result.status == 503 for result in results)


def count_violations(
    results: Sequence[RequestResult], max_seconds: float = MAX_RESPONSE_SECONDS
) -> int:
    return sum(not result.is_allowed(max_seconds) for result in results)


def evaluate(load: LoadGenerator, server: Postgres, fault_ended_at: float) -> Result:
    """Return the result of a load that has ended.

    Args:
        server: the database with the writes.
        fault_ended_at: in seconds of the monotonic clock.
    """
    results = load.results
    failures_ended_at = [result.ended_at for result in results if not result.succeeded]
    return Result(
        requests=len(results),
        violations=count_violations(results) + load.count_stale_reads(),
        lost_writes=load.count_lost_writes(server.execute),
        recovery_seconds=max([fault_ended_at, *failures_ended_at]) - fault_ended_at,
        note=f"{count_unavailable(results)} × 503",
    )


def break_database(
    fault: Callable[[Postgres], None], folder: Path | None = None
) -> Result:
    """Run a database fault under load; a worker that dies is a violation."""
    with start_service(SHORT_TIMEOUTS, folder) as service:
        workers = service.workers()
        with LoadGenerator(service.url) as load:
            time.sleep(2)
            fault(service.database)
            fault_ended_at = time.monotonic()
            time.sleep(3)
        dead_workers = sum(not worker.is_running() for worker in workers)
        result = evaluate(load, service.database, fault_ended_at)
        result.violations += dead_workers
        return result


def fill_disk() -> Result:
    with faults.small_file_system() as folder:
        return break_database(faults.fill_disk, folder)


def fail_over(number: signal.Signals) -> Result:
    """Send a signal to the primary, and promote its standby."""
    with Postgres() as primary, Postgres() as standby:
        primary.create()
        prepare_database(primary)
        standby.start_standby(primary)
        # Without synchronous replication a committed write may be lost.
        primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        primary.execute("SELECT pg_reload_conf()")
        hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
        database_url = (
            f"postgresql://service@{hosts}/users_chaos?target_session_attrs=read-write"
        )
        with start_gunicorn(database_url, DEVNULL, **SHORT_TIMEOUTS) as (url, _):
            with LoadGenerator(url) as load:
                time.sleep(2)
                primary.send_signal(number)
                time.sleep(1)
                standby.promote()
                fault_ended_at = time.monotonic()
                time.sleep(3)
            return evaluate(load, standby, fault_ended_at)


def stop_service() -> Result:
    """Stop the service several times while clients use keep-alive connections.

    A request without a response is a violation.
    """
    with Postgres() as server:
        server.create()
        prepare_database(server)
        clients_before_stop: list[Future[clients.ConnectionResult]] = []
        stop_seconds = []
        for _ in range(STOPS):
            with (
                ThreadPoolExecutor(STOP_CLIENTS) as executor,
                start_gunicorn(server.url(user="service"), DEVNULL) as (url, process),
            ):
                clients_before_stop += [
                    executor.submit(clients.send_until_closed, url)
                    for _ in range(STOP_CLIENTS)
                ]
                time.sleep(1)
                stopped_at = time.monotonic()
                process.terminate()
                process.wait()
                stop_seconds.append(time.monotonic() - stopped_at)
        failed = [c for c in clients_before_stop if c.exception()]
        results = [c.result() for c in clients_before_stop if not c.exception()]
        stored = {email for (email,) in server.execute("SELECT email FROM users")}
        return Result(
            requests=sum(result.requests for result in results),
            violations=len(failed),
            lost_writes=sum(len(result.added_emails - stored) for result in results),
            note=(
                f"{len(failed)} of {len(clients_before_stop)} connections lost a"
                f" response; stopped after {max(stop_seconds):.1f} s at most"
            ),
        )


def kill_worker() -> Result:
    with start_service({}) as service:
        with LoadGenerator(service.url) as load:
            time.sleep(2)
            service.workers()[0].kill()
            fault_ended_at = time.monotonic()
            time.sleep(3)
        result = evaluate(load, service.database, fault_ended_at)
        interrupted = sum(request.status is None for request in load.results)
        # Each client has at most one request in flight, and only these may fail.
        result.violations -= min(interrupted, len(load.clients))
        result.note = f"{interrupted} in flight broke"
        return result


def serve_beside(
    misbehave: Callable[[str], AbstractContextManager[None]], seconds: float = 5
) -> Result:
    """Measure well-behaved clients without and with misbehaving ones.

    A worker that dies is a violation, and so is a 99th percentile of the latency over
    MAX_P99.

    Args:
        misbehave: starts the misbehaving clients of the service with a URL.
    """
    with start_service(LOGIN) as service:
        workers = service.workers()
        with LoadGenerator(service.url, clients=6) as load_before:
            time.sleep(seconds)
        memory_before = service.memory()
        with (
            misbehave(service.url),
            LoadGenerator(service.url, clients=6) as load,
        ):
            time.sleep(seconds)
            growth = (service.memory() - memory_before) / 2**20
        dead_workers = sum(not worker.is_running() for worker in workers)
        result = evaluate(load, service.database, fault_ended_at=time.monotonic())
        p99 = p99_milliseconds(load)
        result.violations += dead_workers + (p99 > MAX_P99)
        result.note = (
            f"p99 {p99_milliseconds(load_before):.0f} ms before, {p99:.0f} ms beside"
            f" them; {growth:.0f} MiB more; {dead_workers} workers died"
        )
        return result


def p99_milliseconds(load: LoadGenerator) -> float:
    return quantiles((result.seconds for result in load.results), n=100)[-1] * 1000


def overload(seconds: float = 10) -> Result:
    """Send twice as many requests as the service can serve."""
    with start_service(SHORT_TIMEOUTS | {"WEB_CONCURRENCY": "1"}) as service:
        # Make the database the bottleneck: each row takes 50 ms. The service reads two
        # rows for a page of one.
        service.database.execute("""
            ALTER TABLE users ENABLE ROW LEVEL SECURITY;
            ALTER TABLE users FORCE ROW LEVEL SECURITY;
            CREATE POLICY slow ON users USING (pg_sleep(0.05) IS NOT NULL)
            """)
        capacity = clients.measure_capacity(service.url, seconds=4)
        memory_before = service.memory()
        results = clients.send_at_rate(service.url, 2 * capacity, seconds)
        growth = (service.memory() - memory_before) / 2**20
        served = sum(result.status == 200 for result in results) / seconds
        return Result(
            requests=len(results),
            violations=count_violations(results),
            note=(
                f"{capacity:.0f}/s alone, {served:.0f}/s of {2 * capacity:.0f}/s;"
                f" {count_unavailable(results)} × 503; {growth:.0f} MiB more"
            ),
        )


def endure(requests: int) -> Result:
    """Send many valid and invalid requests; a memory leak is a violation."""
    with start_service({}) as service:
        # Fill the caches before the first measurement.
        clients.count_server_errors(service.url, requests // 4)
        memory_before = service.memory() / 2**20
        violations = clients.count_server_errors(service.url, requests)
        growth = service.memory() / 2**20 - memory_before
        # 100 bytes per request are a leak.
        violations += growth > max(5, requests * 100 / 2**20)
        note = f"the workers grew by {growth:.1f} MiB from {memory_before:.0f} MiB"
        return Result(requests, violations, note=note)


def beside(
    label: str,
    misbehave: Callable[[str], AbstractContextManager[None]],
    is_long: bool = True,
) -> Scenario:
    """Return the scenario of misbehaving clients; see `serve_beside`."""
    return Scenario(label, partial(serve_beside, misbehave), is_long)


SCENARIOS = {
    "kill": Scenario(
        "PostgreSQL killed (SIGKILL), started after 2 s",
        partial(break_database, faults.kill),
    ),
    "freeze": Scenario(
        "PostgreSQL frozen (SIGSTOP) for 8 s",
        partial(break_database, faults.freeze),
    ),
    "failover": Scenario(
        "The primary killed (SIGKILL), its standby promoted",
        partial(fail_over, signal.SIGKILL),
    ),
    "silent": Scenario(
        "The primary frozen (SIGSTOP), its standby promoted",
        partial(fail_over, signal.SIGSTOP),
    ),
    "worker": Scenario("A worker killed (SIGKILL)", kill_worker),
    "slow": beside(
        f"{SLOW_CONNECTIONS} connections that send a byte per second, of headers or of"
        " a body",
        partial(clients.slow_connections, number=SLOW_CONNECTIONS),
        is_long=False,
    ),
    "pipeline": beside(
        f"{attacks.CLIENTS} clients that pipeline requests without end",
        partial(start_attack, attacks.pipeline),
        is_long=False,
    ),
    "endless": beside(
        f"{attacks.CLIENTS} clients that send a body without end",
        partial(start_attack, attacks.send_endless_body),
        is_long=False,
    ),
    "unread": beside(
        f"{attacks.UNREAD_CONNECTIONS} connections that request pages and never read",
        partial(start_attack, attacks.never_read),
        is_long=False,
    ),
    "pages": beside(
        f"{attacks.CLIENTS} clients that pipeline requests for pages of 1000 users",
        partial(start_attack, attacks.pipeline_pages),
    ),
    "chunks": beside(
        f"{attacks.CLIENTS} clients that send a body in chunks of one byte",
        partial(start_attack, attacks.send_small_chunks),
    ),
    "head": beside(
        f"{attacks.CLIENTS} clients that send a long head, then single bytes",
        partial(start_attack, attacks.send_slow_head),
    ),
    "flood": beside(
        f"{attacks.FLOOD_CONNECTIONS} connections from one address, with unfinished"
        " bodies",
        partial(start_attack, attacks.flood),
    ),
    "login": beside(
        f"{attacks.LOGINS} clients that log in with wrong passwords without end",
        partial(start_attack, attacks.log_in),
    ),
    "sigterm": Scenario(
        f"The service stopped (SIGTERM) {STOPS} times under {STOP_CLIENTS} clients",
        stop_service,
        is_long=True,
    ),
    "stop": Scenario(
        "PostgreSQL stopped, started after 2 s",
        partial(break_database, faults.stop),
        is_long=True,
    ),
    "restart": Scenario(
        "PostgreSQL restarted immediately",
        partial(break_database, faults.restart),
        is_long=True,
    ),
    "exhaust": Scenario(
        "All of PostgreSQL's connections in use by others for 4 s",
        partial(break_database, faults.exhaust_connections),
        is_long=True,
    ),
    "lock": Scenario(
        "The table locked by another session for 6 s",
        partial(break_database, faults.lock_table),
        is_long=True,
    ),
    "disk": Scenario("PostgreSQL's disk full for 4 s", fill_disk, is_long=True),
    "idle": beside(
        f"{IDLE_CONNECTIONS} keep-alive connections that are idle after one request",
        partial(clients.idle_connections, number=IDLE_CONNECTIONS),
    ),
    "vanish": beside(
        f"{ABORTED_CONNECTIONS} connections reset in the middle of a request or of its"
        " response",
        partial(clients.aborted_connections, number=ABORTED_CONNECTIONS),
    ),
    "overload": Scenario(
        "Twice as many requests as can be served", overload, is_long=True
    ),
    "endure": Scenario(
        f"{ENDURANCE_REQUESTS} requests, valid and invalid",
        partial(endure, ENDURANCE_REQUESTS),
        is_long=True,
    ),
}
