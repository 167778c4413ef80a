"""How reads scale with the number of standbys: `python -m benchmarks.standbys`.

Each PostgreSQL server may use a small share of a core, as if it ran on a machine of its
own that is as much slower. So PostgreSQL is the bottleneck, not the service or the
client, which use the rest of this machine. Requires wrk, and root for the control
groups, of version 1 or 2.
"""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import DEVNULL

import click

from benchmarks.measure import cpu_seconds, run_wrk
from devtools.postgres import Postgres, prepare_database
from devtools.servers import start_gunicorn
from project.database.standbys import INTERVAL

USERS = 10_000
CONNECTIONS = 32
MAX_STANDBYS = 2
CGROUPS = Path("/sys/fs/cgroup")
# Microseconds. Shorter than the default, so that a server pauses for shorter times.
PERIOD = 20_000


@contextmanager
def limited_group(name: str, share: float) -> Iterator[Path]:
    """Yield a control group, which is removed when its processes have ended.

    Args:
        share: of one core, the CPU time of all its processes.
    """
    quota = int(share * PERIOD)
    if (CGROUPS / "cgroup.controllers").exists():
        group = CGROUPS / name
        group.mkdir()
        (group / "cpu.max").write_text(f"{quota} {PERIOD}")
    else:
        group = CGROUPS / "cpu" / name
        group.mkdir()
        (group / "cpu.cfs_period_us").write_text(str(PERIOD))
        (group / "cpu.cfs_quota_us").write_text(str(quota))
    try:
        yield group
    finally:
        group.rmdir()


def start_servers(stack: ExitStack, share: float) -> list[Postgres]:
    """Start a primary with users, and its standbys, with limited CPU time."""
    servers: list[Postgres] = []
    groups = []
    for number in range(1 + MAX_STANDBYS):
        # The servers end before their groups.
        groups.append(
            stack.enter_context(limited_group(f"users_{os.getpid()}_{number}", share))
        )
        server = stack.enter_context(Postgres())
        if servers:
            server.start_standby(servers[0])
        else:
            server.create()
            prepare_database(server, USERS)
            server.execute("VACUUM ANALYZE")
        servers.append(server)
    for server, group in zip(servers, groups):
        for process in server.processes():
            (group / "cgroup.procs").write_text(str(process.pid))
    return servers


def measure_reads(
    servers: Sequence[Postgres], standbys: int, workload: str, seconds: int
) -> tuple[float, float]:
    """Return the reads per second, and the primary's share of a core.

    Args:
        standbys: how many of them the service uses.
        workload: a function of workloads.lua.
    """
    primary, *others = servers
    variables = {"LOG_LEVEL": "WARNING"}
    if standbys:
        hosts = ",".join(f"127.0.0.1:{s.port}" for s in others[:standbys])
        variables["DATABASE_READ_URL"] = f"postgresql://service@{hosts}/users_chaos"
    pid = primary.processes()[0].pid
    arguments = [workload, str(USERS), os.devnull, "standbys"]
    with start_gunicorn(primary.url(user="service"), DEVNULL, **variables) as (url, _):
        # Until the workers know the standbys.
        run_wrk(url, CONNECTIONS, 2 + round(2 * INTERVAL), arguments, ())
        before, started_at = cpu_seconds(pid), time.monotonic()
        summary = run_wrk(url, CONNECTIONS, seconds, arguments, ()).summary
        elapsed = time.monotonic() - started_at
        if summary["errors"]:
            raise RuntimeError(f"{summary['errors']} requests failed")
        share = (cpu_seconds(pid) - before) / elapsed
        return summary["requests"] / summary["seconds"], share


@click.command()
@click.option("--seconds", default=10, help="Duration of each measurement.")
@click.option("--share", default=0.1, help="Of a core, for each PostgreSQL server.")
@click.option("--workload", default="page", help="A function of workloads.lua.")
def main(seconds: int, share: float, workload: str) -> None:
    """Print the reads per second with different numbers of servers.

    With one, the primary serves all reads. The others are standbys, which serve all.
    """
    click.echo("| servers | reads per second | ratio | the primary's share of a core |")
    click.echo("| --- | ---: | ---: | ---: |")
    with ExitStack() as stack:
        servers = start_servers(stack, share)
        first = None
        for standbys in range(MAX_STANDBYS + 1):
            reads, primary = measure_reads(servers, standbys, workload, seconds)
            first = first or reads
            ratio = reads / first
            click.echo(
                f"| {1 + standbys} | {reads:.0f} | {ratio:.2f} | {primary:.3f} |"
            )


if __name__ == "__main__":
    main()
