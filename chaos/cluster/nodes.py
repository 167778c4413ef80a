"""etcd, and PostgreSQL servers under Patroni, which elects the primary."""

import json
import os
import signal
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from chaos.cluster.programs import Program
from devtools import sql
from devtools.environments import create_environment
from devtools.postgres import server_processes
from devtools.processes import kill, send_signal
from devtools.servers import ROOT, free_port
from project.database.postgres_programs import (
    as_server_user,
    find_programs,
    server_user,
)

CONFIGURATION = ROOT / "deploy" / "cluster" / "patroni.yml"
REQUIREMENTS = ROOT / "deploy" / "cluster" / "requirements.txt"
PASSWORD = "password"
# The service's database, and its owner.
DATABASE = "users_chaos"
OWNER = "service"
LINK_CONFIGURATION = """
defaults
    mode tcp
    timeout connect 2s
    timeout client 1h
    timeout server 1h
listen link
    bind 127.0.0.1:{port}
    server etcd 127.0.0.1:{etcd_port}
"""


def make_folder(parent: Path, name: str) -> Path:
    """Make a folder that belongs to the user who runs PostgreSQL."""
    folder = parent / name
    folder.mkdir()
    os.chown(folder, server_user().pw_uid, -1)
    return folder


class Etcd(Program):
    """The store in which Patroni's nodes agree on the leader."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        clients = f"http://127.0.0.1:{self.port}"
        peers = f"http://127.0.0.1:{free_port()}"
        super().__init__(
            [
                *("etcd", "--name", "etcd", "--data-dir", folder / "etcd"),
                *("--listen-client-urls", clients, "--advertise-client-urls", clients),
                *("--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers),
                *("--initial-cluster", f"etcd={peers}"),
            ],
            folder / "etcd.log",
        )


class EtcdLink(Program):
    """The connection of one node to etcd. While it is frozen, packets are lost."""

    def __init__(self, folder: Path, etcd_port: int) -> None:
        self.port = free_port()
        configuration = folder / "link.cfg"
        configuration.write_text(
            LINK_CONFIGURATION.format(port=self.port, etcd_port=etcd_port)
        )
        super().__init__(["haproxy", "-db", "-f", configuration], folder / "link.log")


class Node:
    """A PostgreSQL server, its Patroni, and its connection to etcd.

    Attributes:
        patroni: the program that starts and stops PostgreSQL.
    """

    def __init__(self, name: str, parent: Path, etcd_port: int) -> None:
        self.name = name
        self.folder = make_folder(parent, name)
        self.data = self.folder / "data"
        self.port = free_port()
        self.rest_port = free_port()
        self.link = EtcdLink(self.folder, etcd_port)
        programs = create_environment("patroni", REQUIREMENTS)
        self.patroni = Program(
            as_server_user(
                [programs / "patroni", CONFIGURATION],
                *(programs, CONFIGURATION, find_programs(), self.folder),
            ),
            self.folder / "patroni.log",
            {
                "PATRONI_NAME": name,
                "PATRONI_ETCD3_HOSTS": f"127.0.0.1:{self.link.port}",
                # Otherwise Patroni asks etcd for its own address, and connects to that.
                "PATRONI_ETCD3_USE_PROXIES": "true",
                "PATRONI_RESTAPI_LISTEN": f"127.0.0.1:{self.rest_port}",
                "PATRONI_RESTAPI_CONNECT_ADDRESS": f"127.0.0.1:{self.rest_port}",
                "PATRONI_POSTGRESQL_LISTEN": f"127.0.0.1:{self.port}",
                "PATRONI_POSTGRESQL_CONNECT_ADDRESS": f"127.0.0.1:{self.port}",
                "PATRONI_POSTGRESQL_DATA_DIR": str(self.data),
                "PATRONI_POSTGRESQL_PGPASS": str(self.folder / "pgpass"),
                "PATRONI_POSTGRESQL_BIN_DIR": str(find_programs()),
                "PATRONI_SUPERUSER_USERNAME": "postgres",
                "PATRONI_SUPERUSER_PASSWORD": PASSWORD,
                "PATRONI_REPLICATION_USERNAME": "replicator",
                "PATRONI_REPLICATION_PASSWORD": PASSWORD,
                "PATRONI_REWIND_USERNAME": "rewinder",
                "PATRONI_REWIND_PASSWORD": PASSWORD,
            },
        )

    def start(self) -> None:
        self.link.start()
        self.patroni.start()

    def stop(self) -> None:
        """Stop PostgreSQL and Patroni as for a maintenance of the machine."""
        self.patroni.stop()
        self.link.stop()

    def processes(self) -> list[psutil.Process]:
        """Return all processes of the node. PostgreSQL is not a child of Patroni."""
        programs = [*self.patroni.processes(), *self.link.processes()]
        return [*programs, *server_processes(self.data)]

    def kill(self) -> None:
        """Kill everything that runs on the node, as if it had lost its power."""
        kill(self.processes())

    def freeze(self) -> None:
        """Stop everything that runs on the node, as if its network had been lost."""
        send_signal(self.processes(), signal.SIGSTOP)

    def thaw(self) -> None:
        send_signal(self.processes(), signal.SIGCONT)

    def url(self, database: str = DATABASE) -> str:
        """Return the superuser's URL of a database."""
        address = f"127.0.0.1:{self.port}"
        return f"postgresql://postgres:{PASSWORD}@{address}/{database}"

    def execute(
        self, statement: str, database: str = DATABASE
    ) -> list[tuple[Any, ...]]:
        """Execute a statement as superuser and return its rows, if it has any."""
        return sql.execute(self.url(database), statement)

    def request(
        self, path: str, body: dict[str, Any] | None = None, timeout: float = 5
    ) -> Any:
        """Send a request to Patroni's API; return the decoded response, or its text.

        Args:
            body: sent as JSON; None sends a GET request.

        Raises:
            OSError: Patroni does not run, or refuses.
        """
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.rest_port}{path}",
            json.dumps(body).encode() if body is not None else None,
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=timeout) as response:
            text = response.read().decode()
        with suppress(ValueError):
            return json.loads(text)
        return text
