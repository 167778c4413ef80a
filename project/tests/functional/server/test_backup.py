"""A backup that is taken under write load restores what was acknowledged.

The commands are those of docs/data-protection.md.
"""

import http.client
import json
import os
import random
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from sqlalchemy import make_url

from devtools import sql
from devtools.servers import ROOT, clean_environment, start_gunicorn
from project.database.availability import DatabaseNotConfigured
from project.tests.databases import own_name, temporary_database
from project.tests.functional.cli.helpers import HEAD
from project.tests.http_client import send
from project.tests.requirements import skip_or_fail
from project.tests.types import CreateProductionApp, RunCommand
from project.tests.users import user_body

PAGE = (ROOT / "docs" / "data-protection.md").read_text()
# The first block sets the variables, of which the test has its own values.
VARIABLES, BACK_UP, CREATE, RESTORE, ERASE = re.findall(
    r"^```sh\n(.*?)^```$", PAGE, re.M | re.S
)
WRITERS = 4
# Roles belong to the server, which other test processes use, too.
ROLE = f"restoring_{os.getpid()}"


def find_programs(server_url: str) -> Path:
    """Return the folder of a pg_dump that is not older than the server."""
    folders = []
    if installed := shutil.which("pg_dump"):
        folders.append(Path(installed).parent)
    try:
        # Windows lacks the modules that this one imports.
        from project.database import postgres_programs

        folders.append(postgres_programs.find_programs())
    except (ImportError, DatabaseNotConfigured):
        pass
    ((server_version,),) = sql.execute(server_url, "SHOW server_version_num")
    server_major = int(server_version) // 10_000
    for folder in folders:
        printed = subprocess.check_output([folder / "pg_dump", "--version"], text=True)
        match = re.search(r"\) (\d+)", printed)
        if match and int(match[1]) >= server_major:
            return folder
    skip_or_fail(f"pg_dump of PostgreSQL {server_major} or later")


class Write(NamedTuple):
    """A write that the service has acknowledged."""

    time: float
    user_id: int
    # None if the user was removed.
    user: dict[str, Any] | None


class Writer(threading.Thread):
    """Adds, replaces and removes users of its own until it is stopped."""

    def __init__(self, number: int, url: str) -> None:
        super().__init__()
        self.number = number
        self.connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
        self.random = random.Random(number)
        self.is_stopped = False
        self.writes: list[Write] = []
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            with closing(self.connection):
                while not self.is_stopped:
                    self.write()
        except Exception as error:
            self.error = error

    def write(self) -> None:
        """Send a request. Only recent users change, so that the others stay."""
        name = f"{self.number}.{len(self.writes)}"
        body = user_body(username=name, email=f"{name}@example.com")
        method = self.random.choice(["POST", "POST", "PUT", "DELETE"])
        recent = {write.user_id: write.user for write in self.writes[-10:]}
        ids = [user_id for user_id, user in recent.items() if user]
        if method == "POST" or not ids:
            user = self.send("POST", "/users", body)["data"]
            self.record(user["id"], user)
            return
        user_id = self.random.choice(ids)
        answer = self.send(method, f"/users/{user_id}", body)
        self.record(user_id, answer.get("data"))

    def record(self, user_id: int, user: dict[str, Any] | None) -> None:
        self.writes.append(Write(time.monotonic(), user_id, user))

    def send(self, method: str, path: str, body: Any) -> Any:
        headers = {"Content-Type": "application/json"}
        self.connection.request(method, path, json.dumps(body), headers)
        response = self.connection.getresponse()
        answer = json.load(response)
        assert response.status in (200, 201), answer
        return answer


@contextmanager
def write_load(url: str) -> Iterator[list[Writer]]:
    """Write from several threads, and yield them when many writes are acknowledged."""
    writers = [Writer(number, url) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    try:
        deadline = time.monotonic() + 60
        while len(acknowledged_writes(writers)) < 200:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield writers
    finally:
        for writer in writers:
            writer.is_stopped = True
        for writer in writers:
            writer.join()


def acknowledged_writes(writers: list[Writer]) -> list[Write]:
    """Return the writes so far. Those of a user are in their order."""
    assert [writer.error for writer in writers if writer.error] == []
    return [write for writer in writers for write in writer.writes]


def list_users(url: str) -> dict[int, dict[str, Any]]:
    """Return all users that a service lists, by their id."""
    users = {}
    page = f"{url}/users?limit=1000"
    while page:
        data = send(page).body["data"]
        users.update({user["id"]: user for user in data["users"]})
        page = data["next"]
    return users


@pytest.fixture
def programs(database_url: str) -> Path:
    """The folder of PostgreSQL's client programs."""
    return find_programs(database_url)


@pytest.fixture
def source_url(
    database_url: str,
    create_production_app: CreateProductionApp,
    run_command: RunCommand,
) -> Iterator[str]:
    """URL of a migrated database."""
    with temporary_database(database_url, own_name("source")) as url:
        app = create_production_app(DATABASE_URL=url)
        assert run_command("db", "upgrade", app=app).exit_code == 0
        yield url


@pytest.fixture
def variables(
    database_url: str, source_url: str, programs: Path, tmp_path: Path
) -> Iterator[dict[str, str]]:
    """The variables of the documented commands.

    The restored database will belong to a role that may only log in.
    """
    sql.execute(database_url, f"CREATE ROLE {ROLE} LOGIN PASSWORD 'x'")
    restored = own_name("restored")
    url = make_url(database_url).set(username=ROLE, password="x", database=restored)
    try:
        yield {
            "DATABASE_URL": source_url,
            "ADMIN_URL": database_url,
            "BACKUP": str(tmp_path / "users.dump"),
            "LOG": str(tmp_path / "service.log"),
            "OWNER": ROLE,
            "RESTORED": restored,
            "RESTORED_URL": url.render_as_string(hide_password=False),
        }
    finally:
        sql.execute(database_url, f"DROP DATABASE IF EXISTS {restored} WITH (FORCE)")
        sql.execute(database_url, f"DROP ROLE {ROLE}")


def run_block(block: str, programs: Path, variables: dict[str, str]) -> None:
    """Run documented commands in the project's folder."""
    folders = [str(Path(sys.executable).parent), str(programs), os.environ["PATH"]]
    subprocess.run(
        ["sh", "-ec", block],
        cwd=ROOT,
        env=clean_environment() | {"PATH": os.pathsep.join(folders)} | variables,
        check=True,
    )


def list_objects(url: str, programs: Path) -> list[str]:
    """Return the names of all objects of a schema, and the definitions of indexes.

    `db check` compares the columns. The text of other definitions can differ:
    PostgreSQL prints `x IN ('a', 'b')` in another form after a restore.
    """
    options = ["--schema-only", "--no-owner", "--no-privileges", "--no-comments"]
    dump = subprocess.check_output([programs / "pg_dump", *options, url], text=True)
    return [line for line in dump.splitlines() if re.match("-- Name: |CREATE ", line)]


@pytest.mark.subprocess
@pytest.mark.server
def test_backup_under_load_restores_what_was_acknowledged(
    variables: dict[str, str], programs: Path
) -> None:
    log, restored_url = Path(variables["LOG"]), variables["RESTORED_URL"]
    with log.open("wb") as output:
        service = start_gunicorn(variables["DATABASE_URL"], output, WEB_CONCURRENCY="2")
        with service as (url, _):
            with write_load(url) as writers:
                begin = time.monotonic()
                # What is logged from now on is the log since the backup.
                size_at_begin = log.stat().st_size
                run_block(BACK_UP, programs, variables)
                end = time.monotonic()
    writes = acknowledged_writes(writers)
    before = {write.user_id: write.user for write in writes if write.time < begin}
    after = {write.user_id: write.user for write in writes if write.time >= begin}
    untouched = {
        user_id: user
        for user_id, user in before.items()
        if user and user_id not in after
    }
    removed_before = {user_id for user_id, user in before.items() if user is None}
    removed_after = {user_id for user_id, user in after.items() if user is None}
    assert untouched and removed_before and removed_after
    assert [write for write in writes if begin < write.time < end]

    run_block(CREATE, programs, variables)
    run_block(RESTORE, programs, variables)
    revision = "SELECT version_num FROM alembic_version"
    assert sql.execute(restored_url, revision) == [(HEAD,)]
    objects = list_objects(restored_url, programs)
    assert objects == list_objects(variables["DATABASE_URL"], programs)
    assert any("users_email_key" in line for line in objects)
    with start_gunicorn(restored_url, WEB_CONCURRENCY="1") as (url, _):
        restored = list_users(url)
        assert {user_id: restored.get(user_id) for user_id in untouched} == untouched
        assert not restored.keys() & removed_before

        log.write_bytes(log.read_bytes()[size_at_begin:])
        run_block(ERASE, programs, variables)
        assert list_users(url).keys() == restored.keys() - removed_after

        taken = next(iter(untouched.values()))["email"].upper()
        assert send(f"{url}/users", "POST", user_body(email=taken)).status == 400
        new = send(f"{url}/users", "POST", user_body(email="new@example.com"))
        assert new.status == 201
        assert new.body["data"]["id"] > max(restored)


def test_every_variable_of_the_commands_is_documented() -> None:
    documented = re.findall(r"^export (\w+)=", VARIABLES, re.M)
    commands = "".join([BACK_UP, CREATE, RESTORE, ERASE])
    assert set(documented) == set(re.findall(r"\$([A-Z_]+)", commands))
