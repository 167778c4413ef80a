"""`python -m benchmarks`: measure this service beside its peers, and report."""

import json
import subprocess
from contextlib import ExitStack
from importlib.metadata import version
from typing import NamedTuple

import click

from benchmarks import report
from benchmarks.database import Database, server
from benchmarks.measure import measure
from benchmarks.profile import profile
from benchmarks.servers import OURS, ROOT, SERVERS, WORKS, peers_python, served

OUTPUT = ROOT / "instance" / "benchmarks"
OWN_PACKAGES = ("flask", "flask-restful", "sqlalchemy", "psycopg2-binary", "gunicorn")
PEER_PACKAGES = ("fastapi", "litestar", "django", "djangorestframework", "sqlalchemy")
PEER_PACKAGES += ("asyncpg", "psycopg", "uvicorn", "uvloop")


class Target(NamedTuple):
    """A server that is up.

    Attributes:
        label: what the report calls it.
        url: its address.
        pid: its process.
        works: what it can do.
        database: the Database that it serves.
    """

    label: str
    url: str
    pid: int
    works: tuple
    database: Database


def start(stack, name, database, log, label=None):
    """Start a server until the stack ends, and return it as a Target.

    Args:
        stack: an ExitStack.
        name: which, a key of SERVERS.
        database: the Database that it serves.
        log: the file for its output.
        label: what to call it, where that is not its name.
    """
    url, pid = stack.enter_context(served(name, database.url, log))
    return Target(label or name, url, pid, SERVERS[name][-1], database)


def take_turns(targets, postgres, rounds, seconds, connections):
    """Drive every work against every server, and return the figures of each run.

    The servers are up together, and for each work it is one after the other's turn, so
    that what the machine is busy with besides hurts all alike.

    Args:
        targets: the Targets.
        postgres: PostgreSQL's process id.
        rounds: how often; a round before them warms up.
        seconds: how long a turn is.
        connections: the numbers of connections.
    """
    runs = []
    for turn in range(rounds + 1):
        click.echo(f"round {turn} of {rounds}" if turn else "warming up", err=True)
        for work in WORKS:
            for number in connections:
                for place, target in enumerate(t for t in targets if work in t.works):
                    tag = f"{turn}.{place}.{work}.{number}"
                    arguments = [work, *target.database.wrk(), tag]
                    figures = measure(
                        target.url, target.pid, postgres, number, seconds, arguments
                    )
                    if not figures:
                        click.echo(f"{target.label}: no answer to {tag}", err=True)
                        continue
                    key = {"name": target.label, "work": work, "connections": number}
                    runs.append(key | {"round": turn} | figures)
    return [run for run in runs if run["round"]]


def versions(python):
    """Return the versions of what was measured, as one line."""
    own = ", ".join(f"{name} {version(name)}" for name in OWN_PACKAGES)
    script = (
        f"from importlib.metadata import version as v; print(*map(v, {PEER_PACKAGES}))"
    )
    said = subprocess.run(
        [python, "-c", script], capture_output=True, text=True, check=True
    )
    theirs = ", ".join(map(" ".join, zip(PEER_PACKAGES, said.stdout.split())))
    return f"Here: {own}. Peers: {theirs}."


def compare(rounds, seconds, users, connections):
    """Measure this service beside its peers, and return the report and the runs."""
    python = peers_python()
    with server() as postgres, open(postgres.folder / "log", "w") as log:
        database = postgres.fill(users)
        with ExitStack() as stack:
            targets = [start(stack, name, database, log) for name in SERVERS]
            runs = take_turns(targets, postgres.pid, rounds, seconds, connections)
    settings = f"{rounds} rounds of {seconds} s for each work, {users:,} users"
    return report.render(runs, settings, versions(python)), runs


def grow(rounds, seconds, numbers):
    """Measure this service by the number of users; return the report and the runs."""
    with server() as postgres, open(postgres.folder / "log", "w") as log:
        databases = [postgres.fill(users) for users in sorted(numbers)]
        with ExitStack() as stack:
            targets = [
                start(stack, OURS, database, log, f"{database.users:,} users")
                for database in databases
            ]
            runs = take_turns(targets, postgres.pid, rounds, seconds, [16])
    return report.growth(runs, databases), runs


def save(name, text, runs):
    """Write a report, what was measured, and the plot of what each server costs."""
    OUTPUT.mkdir(parents=True, exist_ok=True)
    (OUTPUT / f"{name}.md").write_text(text)
    (OUTPUT / f"{name}.json").write_text(json.dumps(runs, indent=1))
    costs = OUTPUT / f"{name}-costs.json"
    costs.write_text(json.dumps(report.bars(runs)))
    plot = ROOT / "benchmarks" / "plot.py"
    picture = OUTPUT / f"{name}.png"
    subprocess.run([peers_python(), plot, costs, picture], check=True)
    click.echo(text)
    click.echo(f"Saved in {OUTPUT}.", err=True)


@click.command()
@click.option("--rounds", default=5, show_default=True, help="Turns of each server.")
@click.option("--seconds", default=2, show_default=True, help="Time for each work.")
@click.option(
    "--connections",
    default=(16, 64),
    multiple=True,
    show_default=True,
    help="Connections kept alive; may be given several times.",
)
@click.option("--users", default=10_000, show_default=True, help="How many there are.")
@click.option(
    "--growth",
    type=click.IntRange(min=1000),
    multiple=True,
    help="Measure this service alone with so many users; may be given several times.",
)
@click.option(
    "--layers",
    is_flag=True,
    help="Measure this service alone: where the time of a request goes.",
)
def main(rounds, seconds, connections, users, growth, layers):
    """Measure what a request costs here and in the peers; print it as Markdown."""
    if layers:
        click.echo(profile(rounds * seconds, users))
        return
    if growth:
        name, (text, runs) = "growth", grow(rounds, seconds, growth)
    else:
        name = "report"
        text, runs = compare(rounds, seconds, users, connections)
    save(name, text, runs)
    failed = {(run["name"], run["work"]) for run in runs if run["errors"]}
    if failed:
        raise click.ClickException(f"requests failed: {sorted(failed)}")


if __name__ == "__main__":
    main()
