"""A PostgreSQL cluster: etcd, and three nodes under Patroni."""

import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple, Self

import psutil
import psycopg2

from chaos.cluster.nodes import DATABASE, OWNER, PASSWORD, Etcd, Node
from devtools.postgres import server_processes

# Seconds. A node that returns may have to copy the data of another one.
HEALTHY_TIMEOUT = 90
# Seconds. Longer than the time in which Patroni replaces a lost leader.
FAILOVER_TIMEOUT = 60
POLL_SECONDS = 0.1


class Member(NamedTuple):
    """What Patroni reports about a node.

    Attributes:
        role: `leader`, `sync_standby` or `replica`.
        state: `running` or `streaming` if all is well.
    """

    name: str
    role: str
    state: str


HEALTHY = [
    ("leader", "running"),
    ("replica", "streaming"),
    ("sync_standby", "streaming"),
]


class Cluster:
    """A context manager that starts the cluster, and stops and deletes it at the end.

    Attributes:
        folder: contains the data, and the logs of all programs.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="cluster_"))
        # PostgreSQL's user opens the folders in it.
        self.folder.chmod(0o711)
        self.etcd = Etcd(self.folder)
        self.nodes = [Node(f"node{n}", self.folder, self.etcd.port) for n in (1, 2, 3)]

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.callback(self.stop)
            self.etcd.start()
            for node in self.nodes:
                node.start()
            self.wait_until_healthy()
            self.create_database()
            stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def stop(self) -> None:
        for node in self.nodes:
            node.kill()
        self.etcd.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def create_database(self) -> None:
        """Create the service's database and its owner."""
        leader = self.find("leader")
        create_owner = f"CREATE ROLE {OWNER} LOGIN PASSWORD '{PASSWORD}'"
        leader.execute(create_owner, "postgres")
        leader.execute(f"CREATE DATABASE {DATABASE} OWNER {OWNER}", "postgres")

    def url(self) -> str:
        """Return the URL that names all nodes and selects the primary."""
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        return (
            f"postgresql://{OWNER}:{PASSWORD}@{hosts}/{DATABASE}"
            "?target_session_attrs=read-write"
        )

    def members(self) -> list[Member]:
        """Return what a node that answers reports about all of them."""
        for node in self.nodes:
            with suppress(OSError):
                members = node.request("/cluster")["members"]
                return [Member(m["name"], m["role"], m["state"]) for m in members]
        return []

    def wait_until_healthy(self) -> None:
        """Wait until there are a leader and two standbys, one of them synchronous.

        Raises:
            TimeoutError: the nodes need more than HEALTHY_TIMEOUT.
        """
        self.wait_until(
            lambda: sorted((m.role, m.state) for m in self.members()) == HEALTHY,
            HEALTHY_TIMEOUT,
        )

    def wait_for_other_primary(self, former: Node) -> None:
        """Wait until another node than the former primary accepts writes.

        Raises:
            TimeoutError: no node does so within FAILOVER_TIMEOUT.
        """
        others = [node for node in self.nodes if node is not former]
        self.wait_until(lambda: any(map(is_primary, others)), FAILOVER_TIMEOUT)

    def wait_until(self, condition: Callable[[], bool], timeout: float) -> None:
        """Wait until a condition is true.

        Raises:
            TimeoutError: it is false for `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"after {timeout} seconds: {self.members()}")
            time.sleep(POLL_SECONDS)

    def find(self, role: str) -> Node:
        """Return the node that has a role, of which there must be one."""
        [name] = [member.name for member in self.members() if member.role == role]
        return next(node for node in self.nodes if node.name == name)


class PrimaryMonitor(threading.Thread):
    """Measures for how long no node of a cluster accepts writes."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(daemon=True)
        self.cluster = cluster
        self.stop = threading.Event()
        self.seconds_without_primary = 0.0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop.set()
        self.join()

    def run(self) -> None:
        checked_at = time.monotonic()
        while not self.stop.wait(POLL_SECONDS):
            has_primary = any(map(is_primary, self.cluster.nodes))
            previous, checked_at = checked_at, time.monotonic()
            if not has_primary:
                self.seconds_without_primary += checked_at - previous


def is_primary(node: Node) -> bool:
    """Return whether a node runs and accepts writes."""
    try:
        processes = server_processes(node.data)
        if not processes or processes[0].status() == psutil.STATUS_STOPPED:
            return False
        return node.execute("SELECT pg_is_in_recovery()", "postgres") == [(False,)]
    except (psycopg2.Error, psutil.NoSuchProcess):
        return False
