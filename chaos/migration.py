"""Schema changes under load, while two versions of the service use the database."""

import re
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from subprocess import DEVNULL

from chaos.load import LoadGenerator, RequestResult
from chaos.scenarios import Result, Scenario
from devtools.postgres import Postgres, prepare_database
from devtools.project_copy import ProjectCopy, copy_project_with_new_field
from devtools.servers import start_gunicorn, start_gunicorn_in
from project.database.migrations import LOCK_TIMEOUT

# Of each version. More would measure how the load generator and the service compete for
# the processors.
CLIENTS = 4
# Seconds that the longest write is measured without a migration.
BEFORE = 10
# Seconds. A write may wait for as long as a migration waits for a lock, and then it
# takes some time itself on a busy machine.
MAX_WRITE = LOCK_TIMEOUT + 1


def longest_write(results: Sequence[RequestResult]) -> float:
    """Return the time of the slowest write in seconds."""
    return max(result.seconds for result in results if result.kind == "write")


def upgrade(project: ProjectCopy, revision: str) -> str:
    """Apply one migration, and return the seconds that it took."""
    output = project.run("manage.py", "db", "upgrade", revision)
    match = re.search(rf"upgraded to {revision} in ([\d.]+) s", output)
    assert match
    return match[1]


def migrate(users: int) -> Result:
    """Add a field with the documented migrations, under load.

    The new version starts after the first of the four migrations. A request that fails,
    and a write that takes longer than MAX_WRITE, is a violation.

    Args:
        users: the number of users before the load.
    """
    with tempfile.TemporaryDirectory() as folder, Postgres() as server:
        server.create()
        prepare_database(server, users)
        database_url = server.url(user="service")
        copy = copy_project_with_new_field(Path(folder) / "project")
        project = ProjectCopy(copy, database_url)
        expand, *others = project.migrations()[-4:]
        with (
            start_gunicorn(database_url, DEVNULL) as (old_url, _),
            LoadGenerator(old_url, CLIENTS) as old_load,
        ):
            time.sleep(BEFORE)
            before = longest_write(old_load.results)
            migration_began_at = time.monotonic()
            seconds = [upgrade(project, expand)]
            with (
                start_gunicorn_in(copy, database_url, DEVNULL) as (new_url, _),
                LoadGenerator(new_url, CLIENTS) as new_load,
            ):
                seconds += [upgrade(project, revision) for revision in others]
                # The old version still writes.
                time.sleep(2)
        results = old_load.results + new_load.results
        during = [r for r in results if r.ended_at > migration_began_at]
        return Result(
            requests=len(results),
            violations=sum(not result.succeeded for result in results)
            + sum(r.kind == "write" and r.seconds > MAX_WRITE for r in during),
            lost_writes=sum(
                load.count_lost_writes(server.execute) for load in (old_load, new_load)
            ),
            note=(
                "{} s to add the column, {} s to fill it, {} s to index it,"
                " {} s to make it required;".format(*seconds)
                + f" longest write {before * 1000:.0f} ms before,"
                f" {longest_write(during) * 1000:.0f} ms during the migrations"
            ),
        )


def scenario(users: int, is_long: bool) -> Scenario:
    """Return the scenario with a number of users."""
    label = f"A field added to {users} users, with two versions of the service"
    return Scenario(label, partial(migrate, users), is_long)


SCENARIOS = {
    "migration": scenario(20_000, is_long=False),
    "migration-large": scenario(1_000_000, is_long=True),
}
