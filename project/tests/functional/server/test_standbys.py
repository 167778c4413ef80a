"""Reads on standbys, with real servers that fail."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from signal import SIGCONT, SIGSTOP
from typing import NamedTuple
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from devtools.postgres import Postgres
from devtools.servers import ROOT, clean_environment, free_port, start_gunicorn
from project import create_app, db
from project.config import ProductionConfig
from project.database import migrations
from project.tests.databases import dispose_engines
from project.tests.http_client import HttpResult, send
from project.tests.users import user_body
from project.tests.waiting import wait_until

pytestmark = pytest.mark.server

MAX_LAG = 3
# The default of DATABASE_STATEMENT_TIMEOUT.
STATEMENT_TIMEOUT = 5
CLIENTS = 8


class Cluster(NamedTuple):
    """A primary with its standbys, and the service on them.

    Attributes:
        url: of the service.
        metrics_url: of its metrics.
    """

    primary: Postgres
    standbys: list[Postgres]
    url: str
    metrics_url: str

    @property
    def user_url(self) -> str:
        """URL of the only user."""
        return f"{self.url}/users/1"

    def read(self, **headers: str) -> str:
        """Return the name of the user."""
        return read_name(self.user_url, **headers)

    def rename(self, name: str) -> HttpResult:
        """Change the name of the user."""
        return send(self.user_url, "PATCH", {"username": name})

    def lag(self, standby: Postgres) -> float | None:
        """Return the metric of a standby, or None if it has none yet."""
        with urlopen(self.metrics_url, timeout=20) as response:
            text = response.read().decode()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == "database_standby_lag_seconds" and sample.labels[
                    "host"
                ] == address(standby):
                    return sample.value
        return None

    def wait_until_used(self, *standbys: Postgres) -> None:
        """Wait until the service reads on standbys. A read lets it watch them."""
        self.read()
        for standby in standbys:
            wait_until(lambda: (self.lag(standby) or MAX_LAG) < MAX_LAG / 2)


class Readers:
    """Clients that read the user without a pause.

    Attributes:
        failures: responses other than 200.
        slowest: the time of the slowest response in seconds.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.failures: list[HttpResult] = []
        self.slowest = 0.0
        self.is_stopped = threading.Event()

    def run(self, path: str) -> None:
        while not self.is_stopped.is_set():
            started_at = time.monotonic()
            result = send(f"{self.url}{path}")
            self.slowest = max(self.slowest, time.monotonic() - started_at)
            if result.status != 200:
                self.failures.append(result)


def address(server: Postgres) -> str:
    return f"127.0.0.1:{server.port}"


def read_name(url: str, **headers: str) -> str:
    """Return the name in a response with a user."""
    result = send(url, **headers)
    assert result.status == 200
    name: str = result.body["data"]["username"]
    return name


def migrate(server: Postgres) -> None:
    """Create the schema as the service's role."""
    settings = {"DATABASE_URL": server.url(user="service")}
    app = create_app(type("Settings", (ProductionConfig,), settings))
    with app.app_context(), db.engine.begin() as connection:
        migrations.upgrade(connection)
    dispose_engines(app)


@contextmanager
def start_cluster(number_of_standbys: int, max_lag: int = MAX_LAG) -> Iterator[Cluster]:
    with ExitStack() as stack:
        primary, *standbys = (
            stack.enter_context(Postgres()) for _ in range(1 + number_of_standbys)
        )
        primary.create()
        migrate(primary)
        for standby in standbys:
            standby.start_standby(primary)
        # A standby can be promoted, so the primary may be either of them.
        hosts = ",".join(address(server) for server in (primary, *standbys))
        database = f"postgresql://service@{hosts}/users_chaos"
        metrics_port = str(free_port())
        url, _ = stack.enter_context(
            start_gunicorn(
                f"{database}?target_session_attrs=read-write",
                DATABASE_READ_URL=f"{database}?target_session_attrs=prefer-standby",
                DATABASE_READ_MAX_LAG=str(max_lag),
                DATABASE_CONNECT_TIMEOUT="2",
                METRICS_PORT=metrics_port,
                WEB_CONCURRENCY="1",
            )
        )
        ada = user_body(username="Ada")
        assert send(f"{url}/users", "POST", ada).status == 201
        metrics_url = f"http://127.0.0.1:{metrics_port}/metrics"
        cluster = Cluster(primary, standbys, url, metrics_url)
        cluster.wait_until_used(*standbys)
        yield cluster


@pytest.fixture(scope="module")
def running_cluster() -> Iterator[Cluster]:
    with start_cluster(2) as cluster:
        yield cluster


@pytest.fixture
def cluster(running_cluster: Cluster) -> Cluster:
    """A cluster that the test leaves as it was."""
    running_cluster.wait_until_used(*running_cluster.standbys)
    return running_cluster


@contextmanager
def paused_replay(*standbys: Postgres) -> Iterator[None]:
    """Let standbys receive the WAL without replaying it."""
    for standby in standbys:
        standby.execute("SELECT pg_wal_replay_pause()")
        paused = "SELECT pg_get_wal_replay_pause_state() = 'paused'"
        wait_until(lambda: bool(standby.execute(paused)[0][0]))
    try:
        yield
    finally:
        for standby in standbys:
            standby.execute("SELECT pg_wal_replay_resume()")


@contextmanager
def readers(cluster: Cluster) -> Iterator[Readers]:
    """Let clients read in the meantime."""
    readers = Readers(cluster.url)
    paths = ["/users/1", "/users?limit=10"]
    threads = [
        threading.Thread(target=readers.run, args=(paths[number % 2],))
        for number in range(CLIENTS)
    ]
    for thread in threads:
        thread.start()
    try:
        yield readers
    finally:
        readers.is_stopped.set()
        for thread in threads:
            thread.join()


def seconds_until(condition: Callable[[], bool]) -> float:
    started_at = time.monotonic()
    wait_until(condition)
    return time.monotonic() - started_at


def test_read_is_at_most_as_old_as_the_limit(cluster: Cluster) -> None:
    cluster.rename("before")
    cluster.wait_until_used(*cluster.standbys)
    wait_until(lambda: {cluster.read() for _ in range(10)} == {"before"})
    with paused_replay(*cluster.standbys):
        renamed = cluster.rename("after")
        assert cluster.read() == "before"
        found = send(f"{cluster.url}/users?username=after")
        assert found.body["data"]["users"] == []
        assert cluster.read(**{"Read-Consistency": "strong"}) == "after"
        # Writes check the version on the primary.
        again = {"username": "after", "email": "after@example.com"}
        conditional = {"If-Match": renamed.etag}
        replaced = send(cluster.user_url, "PUT", again, **conditional)
        assert replaced.status == 200
        assert seconds_until(lambda: cluster.read() == "after") < MAX_LAG + 5
        assert (cluster.lag(cluster.standbys[0]) or 0) > MAX_LAG - 1


def test_concurrent_reads_of_both_kinds_do_not_share_a_statement(
    cluster: Cluster,
) -> None:
    cluster.rename("before")
    cluster.wait_until_used(*cluster.standbys)
    wait_until(lambda: {cluster.read() for _ in range(10)} == {"before"})
    with paused_replay(*cluster.standbys), readers(cluster):
        cluster.rename("after")
        for _ in range(50):
            assert cluster.read(**{"Read-Consistency": "strong"}) == "after"


def test_reads_are_distributed_over_the_standbys(cluster: Cluster) -> None:
    cluster.rename("before")
    wait_until(lambda: {cluster.read() for _ in range(10)} == {"before"})
    with paused_replay(cluster.standbys[0]):
        cluster.rename("after")
        # The other standby replays it in a moment.
        wait_until(lambda: cluster.read() == "after")
        assert {cluster.read() for _ in range(20)} == {"before", "after"}
        wait_until(lambda: {cluster.read() for _ in range(20)} == {"after"})


def test_standby_of_an_idle_primary_is_current(cluster: Cluster) -> None:
    """The next position of the WAL is at the beginning of a segment."""
    cluster.primary.execute("SELECT pg_switch_wal()")
    time.sleep(MAX_LAG)
    for standby in cluster.standbys:
        # The WAL writer sleeps for up to 5 seconds.
        wait_until(lambda: (cluster.lag(standby) or MAX_LAG) < 2)
    assert cluster.lag(cluster.primary) == float("inf")


@pytest.mark.parametrize("number", [1, 2])
def test_killed_standbys_fail_no_request(cluster: Cluster, number: int) -> None:
    killed = cluster.standbys[:number]
    with readers(cluster) as reading:
        time.sleep(0.5)
        for standby in killed:
            standby.kill()
        time.sleep(2)
    for standby in killed:
        (standby.data / "postmaster.pid").unlink(missing_ok=True)
        standby.start()
    assert reading.failures == []
    assert reading.slowest < STATEMENT_TIMEOUT


@pytest.mark.parametrize("number", [1, 2])
def test_frozen_standbys_fail_no_request(cluster: Cluster, number: int) -> None:
    frozen = cluster.standbys[:number]
    try:
        with readers(cluster) as reading:
            time.sleep(0.5)
            for standby in frozen:
                standby.send_signal(SIGSTOP)
            time.sleep(1)
        assert reading.failures == []
        assert reading.slowest < STATEMENT_TIMEOUT + 1
        with readers(cluster) as reading:
            time.sleep(1)
        assert reading.failures == []
        assert reading.slowest < STATEMENT_TIMEOUT
    finally:
        for standby in frozen:
            standby.send_signal(SIGCONT)


def test_reads_continue_during_a_failover() -> None:
    # The failover must not take longer than the limit.
    with start_cluster(2, max_lag=10) as cluster:
        promoted, _ = cluster.standbys
        with readers(cluster) as reading:
            cluster.primary.kill()
            promoted.promote()
            wait_until(lambda: cluster.rename("after").status == 200)
            # The other standby follows nobody.
            wait_until(lambda: {cluster.read() for _ in range(20)} == {"after"})
        assert reading.failures == []
        assert cluster.lag(promoted) == float("inf")


def test_promoted_standby_is_not_read() -> None:
    """Otherwise a server with an own history would be read."""
    with start_cluster(1) as cluster:
        [promoted] = cluster.standbys
        promoted.promote()
        wait_until(lambda: cluster.lag(promoted) == float("inf"))
        promoted.execute("UPDATE users SET username = 'wrong'")
        assert {cluster.read() for _ in range(20)} == {"Ada"}


def test_standby_is_not_read_without_a_primary() -> None:
    """It could be behind by any time."""
    with start_cluster(1) as cluster:
        cluster.primary.kill()
        assert cluster.read() == "Ada"
        strong = send(cluster.user_url, **{"Read-Consistency": "strong"})
        assert strong.status == 503
        waited = seconds_until(lambda: send(cluster.user_url).status == 503)
        assert waited < MAX_LAG + 5


@pytest.mark.subprocess
def test_service_without_standbys_does_not_load_the_module() -> None:
    check = "import manage, sys; assert 'project.database.standbys' not in sys.modules"
    variables = {
        "APP_SETTINGS": "project.config.ProductionConfig",
        "DATABASE_URL": "postgresql://127.0.0.1:1/users",
    }
    subprocess.run(
        [sys.executable, "-c", check],
        env=clean_environment() | variables,
        cwd=ROOT,
        check=True,
    )
