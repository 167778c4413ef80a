"""Two instances of the service behind HAProxy, on a cluster."""

import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import psutil

from chaos.cluster.cluster import Cluster
from chaos.cluster.programs import Program
from chaos.scenarios import SHORT_TIMEOUTS
from devtools.postgres import insert_users
from devtools.servers import ROOT, clean_environment, free_port, wait_until_up

HAPROXY_CONFIGURATION = ROOT / "deploy" / "cluster" / "haproxy.cfg"
USERS = 1000


class Instance:
    """One gunicorn, as if it ran on a machine of its own.

    Attributes:
        address: its host and port.
    """

    def __init__(self, log: Path, variables: Mapping[str, str]) -> None:
        self.log = log
        port = str(free_port())
        self.address = f"127.0.0.1:{port}"
        self.variables = {**variables, "PORT": port, "WEB_CONCURRENCY": "2"}
        self.gunicorn = self.make_gunicorn(ROOT)

    def make_gunicorn(self, root: Path) -> Program:
        command = [sys.executable, "-m", "gunicorn", "manage:app"]
        return Program(command, self.log, self.variables, root)

    def start(self, root: Path = ROOT) -> None:
        """Start a version of the service, and wait until it responds.

        Args:
            root: the folder of the version.
        """
        self.gunicorn = self.make_gunicorn(root)
        wait_until_up(f"http://{self.address}/ping", self.gunicorn.start())


class Service:
    """A context manager that starts the service on a cluster.

    Args:
        settings: environment variables, with those of the database.

    Attributes:
        url: of HAProxy.
        variables: the settings of the instances, as environment variables.
    """

    def __init__(self, cluster: Cluster, settings: Mapping[str, str]) -> None:
        self.cluster = cluster
        self.variables = {
            **SHORT_TIMEOUTS,
            # Longer than a migration waits for a lock.
            "DATABASE_LOCK_TIMEOUT": "3",
            "DATABASE_STATEMENT_TIMEOUT": "3",
            **settings,
            "APP_SETTINGS": "project.config.ProductionConfig",
            "TRUSTED_PROXIES": "1",
        }
        self.instances = [
            Instance(cluster.folder / f"gunicorn{number}.log", self.variables)
            for number in (1, 2)
        ]
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.haproxy = Program(
            ["haproxy", "-db", "-f", HAPROXY_CONFIGURATION],
            cluster.folder / "haproxy.log",
            {
                "PORT": str(port),
                "SERVICE1": self.instances[0].address,
                "SERVICE2": self.instances[1].address,
            },
        )

    def __enter__(self) -> Self:
        self.prepare_database()
        with ExitStack() as stack:
            stack.callback(self.stop)
            for instance in self.instances:
                instance.start()
            wait_until_up(f"{self.url}/ping", self.haproxy.start())
            stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def stop(self) -> None:
        self.haproxy.kill()
        for instance in self.instances:
            instance.gunicorn.kill()

    def prepare_database(self) -> None:
        """Run the migrations, and add users."""
        self.migrate(ROOT)
        self.cluster.find("leader").execute(insert_users(USERS))

    def migrate(self, root: Path) -> None:
        """Run the migrations of a version, without PgBouncer.

        Args:
            root: the folder of the version.
        """
        variables = {**self.variables, "DATABASE_URL": self.cluster.url()}
        for command in (["wait_for_db"], ["db", "upgrade"]):
            subprocess.run(
                [sys.executable, "manage.py", *command],
                cwd=root,
                env=clean_environment() | variables,
                stdout=subprocess.DEVNULL,
                check=True,
            )

    def processes(self) -> list[psutil.Process]:
        """Return all processes of the instances."""
        return [
            process
            for instance in self.instances
            for process in instance.gunicorn.processes()
        ]
