"""The command line: `python -m benchmarks`."""

import json
import random
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

import click

from benchmarks import report
from benchmarks.database import start_database_server
from benchmarks.measure import Run, measure, measure_start
from benchmarks.plans import show_plans
from benchmarks.profile import profile
from benchmarks.servers import (
    GROWTH_WORKLOADS,
    QUERY_WORKLOADS,
    SERVERS,
    THIS_SERVICE,
    WRITE_WORKLOADS,
    Server,
    Target,
    feature_servers,
    peers_python,
    start_target,
)
from devtools.identity_provider import IdentityProvider
from devtools.servers import ROOT
from project.api.users.models import User

Item = TypeVar("Item")

OUTPUT = ROOT / "instance" / "benchmarks"
FEW_CONNECTIONS = 16
OWN_PACKAGES = ("flask", "flask-restful", "sqlalchemy", "psycopg2-binary", "gunicorn")
PEER_PACKAGES = (
    "starlette",
    "fastapi",
    "litestar",
    "django",
    "djangorestframework",
    "sqlalchemy",
    "asyncpg",
    "psycopg",
    "uvicorn",
    "uvloop",
)


def shuffle(items: Sequence[Item], seed: str) -> list[Item]:
    """Return the items in a random order, which is the same in each run."""
    return random.Random(seed).sample(items, len(items))


def run_rounds(
    targets: Sequence[Target], rounds: int, seconds: int, connections: Sequence[int]
) -> list[Run]:
    """Measure every workload of the targets against each target, in alternation.

    All targets are up at the same time and take turns for each workload, so that other
    load of the machine affects all of them. Their order is random, because all write to
    the same database. Round 0 warms up and is not returned.

    Args:
        seconds: the duration of each measurement.
        connections: each number of connections is measured.

    Returns:
        The runs in the order of the targets.
    """
    runs = []
    workloads = dict.fromkeys(name for target in targets for name in target.workloads)
    for round_number in range(rounds + 1):
        click.echo(
            f"round {round_number} of {rounds}" if round_number else "warm-up", err=True
        )
        for workload in workloads:
            for number in connections:
                supported = [t for t in targets if workload in t.workloads]
                seed = f"{round_number}.{workload}.{number}"
                for place, target in enumerate(shuffle(supported, seed)):
                    tag = f"{seed}.{place}"
                    measurement = measure(target, workload, number, seconds, tag)
                    if not measurement:
                        click.echo(f"{target.name}: no response in {tag}", err=True)
                    elif round_number:
                        runs.append(
                            Run(
                                server=target.name,
                                workload=workload,
                                connections=number,
                                round=round_number,
                                measurement=measurement,
                            )
                        )
    names = [target.name for target in targets]
    return sorted(runs, key=lambda run: names.index(run.server))


def describe_versions() -> str:
    """Return the versions of the measured packages as one line."""
    script = (
        f"from importlib.metadata import version; print(*map(version, {PEER_PACKAGES}))"
    )
    peer_versions = subprocess.run(
        [peers_python(), "-c", script], capture_output=True, text=True, check=True
    ).stdout.split()
    own = ", ".join(f"{name} {version(name)}" for name in OWN_PACKAGES)
    peers = ", ".join(map(" ".join, zip(PEER_PACKAGES, peer_versions)))
    return f"Here: {own}. Peers: {peers}."


def compared_servers(other_checkout: Path | None) -> list[Server]:
    """Return this service and its peers, whose environment is created if needed.

    Args:
        other_checkout: another version of this service, which is added.
    """
    peers_python()
    servers = list(SERVERS)
    if other_checkout:
        name = f"this service in {other_checkout.name}"
        servers.insert(1, replace(THIS_SERVICE, name=name, checkout=other_checkout))
    return servers


def compare(
    rounds: int,
    seconds: int,
    users: int,
    connections: Sequence[int],
    other_checkout: Path | None,
) -> tuple[str, list[Run]]:
    """Measure this service and its peers; return the report and the runs.

    Args:
        other_checkout: see `compared_servers`.
    """
    servers = compared_servers(other_checkout)
    with (
        start_database_server() as database_server,
        ExitStack() as stack,
    ):
        database = database_server.create_database(users)
        targets = [
            stack.enter_context(start_target(server, database)) for server in servers
        ]
        runs = run_rounds(targets, rounds, seconds, connections)
    settings = f"{rounds} rounds of {seconds} s for each work, {users:,} users"
    return report.render_comparison(runs, settings, describe_versions()), runs


def measure_starts(rounds: int, users: int, other_checkout: Path | None) -> str:
    """Measure how this service and its peers start; return the report.

    Args:
        other_checkout: see `compared_servers`.
    """
    servers = compared_servers(other_checkout)
    with start_database_server() as database_server:
        database = database_server.create_database(users)
        starts = [
            measure_start(server, database, round_number)
            for round_number in range(rounds + 1)
            for server in shuffle(servers, str(round_number))
        ]
    names = [server.name for server in servers]
    starts.sort(key=lambda start: names.index(start.server))
    # Round 0 warms up.
    return report.render_starts([start for start in starts if start.round])


def measure_growth(
    rounds: int, seconds: int, sizes: Sequence[int]
) -> tuple[str, list[Run]]:
    """Measure this service with databases of several sizes.

    Args:
        sizes: the numbers of users.

    Returns:
        The report and the runs.
    """
    with (
        start_database_server() as database_server,
        ExitStack() as stack,
    ):
        databases = [database_server.create_database(users) for users in sorted(sizes)]
        server = replace(THIS_SERVICE, workloads=GROWTH_WORKLOADS)
        targets = [
            stack.enter_context(
                start_target(server, database, name=f"{database.users:,} users")
            )
            for database in databases
        ]
        runs = run_rounds(targets, rounds, seconds, [FEW_CONNECTIONS])
    return report.render_growth(runs, databases), runs


def measure_features(rounds: int, seconds: int, users: int) -> tuple[str, list[Run]]:
    """Measure this service with optional features; return the report and the runs."""
    with (
        IdentityProvider() as provider,
        start_database_server() as database_server,
        ExitStack() as stack,
    ):
        database = database_server.create_database(users)
        targets = [
            stack.enter_context(start_target(server, database))
            for server in feature_servers(provider)
        ]
        runs = run_rounds(targets, rounds, seconds, [FEW_CONNECTIONS])
    settings = f"{rounds} rounds of {seconds} s, {users:,} users"
    result = report.server_table("", runs)
    return report.render_rounds(runs, settings, "no optional feature", result), runs


def measure_queries(rounds: int, seconds: int, users: int) -> tuple[str, list[Run]]:
    """Measure the queries of `GET /users`; return the report and the runs."""
    server = replace(THIS_SERVICE, workloads=QUERY_WORKLOADS)
    with start_database_server() as database_server:
        database = database_server.create_database(users)
        with start_target(server, database) as target:
            runs = run_rounds([target], rounds, seconds, [FEW_CONNECTIONS])
    settings = f"{rounds} rounds of {seconds} s, {users:,} users"
    result = report.query_table(runs)
    return report.render_rounds(runs, settings, "a page", result), runs


def measure_indexes(rounds: int, seconds: int, users: int) -> tuple[str, list[Run]]:
    """Measure writes with and without each index; return the report and the runs.

    Unique indexes are needed for correct results, so they are not left out.
    """
    server = replace(THIS_SERVICE, workloads=WRITE_WORKLOADS)
    indexes = sorted(
        str(index.name) for index in User.__table__.indexes if not index.unique
    )
    with (
        start_database_server() as database_server,
        ExitStack() as stack,
    ):
        targets = [
            stack.enter_context(
                start_target(
                    server,
                    database_server.create_database(users, index),
                    name=f"without {index}" if index else "all indexes",
                )
            )
            for index in (None, *indexes)
        ]
        runs = run_rounds(targets, rounds, seconds, [FEW_CONNECTIONS])
    settings = f"{rounds} rounds of {seconds} s, {users:,} users"
    result = report.server_table("PostgreSQL µs", runs, "postgres_cpu")
    return report.render_rounds(runs, settings, "all indexes", result), runs


def save(name: str, text: str, runs: Sequence[Run]) -> None:
    """Print and save a report, and save its runs and its chart."""
    OUTPUT.mkdir(parents=True, exist_ok=True)
    (OUTPUT / f"{name}.md").write_text(text)
    (OUTPUT / f"{name}.json").write_text(json.dumps(list(map(asdict, runs)), indent=1))
    chart = OUTPUT / f"{name}-costs.json"
    chart.write_text(json.dumps(report.chart(runs)))
    plot = ROOT / "benchmarks" / "plot.py"
    image = OUTPUT / f"{name}.png"
    subprocess.run([peers_python(), plot, chart, image], check=True)
    click.echo(text)
    click.echo(f"Saved in {OUTPUT}.", err=True)


def check_failures(runs: Sequence[Run]) -> None:
    """Check that no request failed.

    Raises:
        ClickException: one did.
    """
    failed = {(run.server, run.workload) for run in runs if run.measurement.errors}
    if failed:
        raise click.ClickException(f"requests failed: {sorted(failed)}")


@click.command()
@click.option(
    "--rounds", default=5, show_default=True, help="Measurements of each workload."
)
@click.option(
    "--seconds", default=2, show_default=True, help="Duration of a measurement."
)
@click.option(
    "--connections",
    default=(16, 64),
    multiple=True,
    show_default=True,
    help="Number of keep-alive connections. May be repeated.",
)
@click.option("--users", default=10_000, show_default=True, help="Number of users.")
@click.option(
    "--other",
    type=click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path),
    help="Also measure this service as it is checked out in this directory.",
)
@click.option(
    "--growth",
    type=click.IntRange(min=1000),
    multiple=True,
    help="Measure only this service, with this number of users. May be repeated.",
)
@click.option(
    "--start",
    is_flag=True,
    help="Measure the time from the start to the first response, and the memory.",
)
@click.option(
    "--layers",
    is_flag=True,
    help="Measure only this service, and the CPU time of each layer.",
)
@click.option(
    "--features",
    is_flag=True,
    help="Measure only this service, without and with each optional feature.",
)
@click.option(
    "--queries",
    is_flag=True,
    help="Measure only this service, and each query of GET /users.",
)
@click.option(
    "--plans",
    is_flag=True,
    help="Show how PostgreSQL executes each query of GET /users.",
)
@click.option(
    "--indexes",
    is_flag=True,
    help="Measure only this service, and writes without each of its indexes.",
)
def main(
    rounds: int,
    seconds: int,
    connections: tuple[int, ...],
    users: int,
    other: Path | None,
    growth: tuple[int, ...],
    start: bool,
    layers: bool,
    features: bool,
    queries: bool,
    plans: bool,
    indexes: bool,
) -> None:
    """Measure the cost of a request here and in the peers, and print it as Markdown.

    The exit status is 1 if a request failed.
    """
    if start:
        click.echo(measure_starts(rounds, users, other))
        return
    if layers:
        click.echo(profile(rounds * seconds, users))
        return
    if plans:
        with start_database_server() as database_server:
            click.echo(show_plans(database_server.create_database(users)))
        return
    if features or queries or indexes:
        if features:
            text, runs = measure_features(rounds, seconds, users)
        elif queries:
            text, runs = measure_queries(rounds, seconds, users)
        else:
            text, runs = measure_indexes(rounds, seconds, users)
        click.echo(text)
        check_failures(runs)
        return
    if growth:
        name, (text, runs) = "growth", measure_growth(rounds, seconds, growth)
    else:
        name = "report"
        text, runs = compare(rounds, seconds, users, connections, other)
    save(name, text, runs)
    check_failures(runs)


if __name__ == "__main__":
    main()
