"""The report: tables in Markdown."""

import os
import platform
from collections import defaultdict
from datetime import date
from statistics import median

from benchmarks.servers import OURS, PEERS, SERVERS, WORKS

NAMES = {
    "one": "one user by id",
    "page": "a page of 100",
    "post": "POST",
    "put": "PUT",
    "email": "a page by e-mail",
    "mix": "a mix, 90 % reads",
}


def summarise(runs):
    """Return the median of each figure, as `{(server, work, connections): figures}`.

    Args:
        runs: what was measured, each with its server, work and connections.
    """
    groups = defaultdict(list)
    for run in runs:
        groups[run["name"], run["work"], run["connections"]].append(run)
    return {
        key: {
            figure: median(run[figure] for run in group)
            for figure in group[0].keys() - {"name", "work", "connections"}
        }
        for key, group in groups.items()
    }


def table(header, rows):
    """Return a table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def costs(figures, connections):
    """Return the table of the CPU time per request, and its ratio to this service."""

    def cell(name, work):
        found = figures.get((name, work, connections))
        if not found:
            return ""
        ratio = found["cpu"] / figures[OURS, work, connections]["cpu"]
        return f"{found['cpu']:.0f} ({ratio:.2f})"

    rows = [[name, *(cell(name, work) for work in WORKS)] for name in SERVERS]
    return table(["", *(NAMES[work] for work in WORKS)], rows)


def best(figures, connections):
    """Return the table of this service's cost beside that of the best peer."""
    rows = []
    for work in WORKS:
        ours = figures[OURS, work, connections]["cpu"]
        name = min(PEERS, key=lambda peer: figures[peer, work, connections]["cpu"])
        theirs = figures[name, work, connections]["cpu"]
        rows.append([NAMES[work], f"{ours:.0f}", f"{theirs:.0f}", name, ours / theirs])
        rows[-1][-1] = f"{ours / theirs:.2f}"
    return table(["", "here", "best peer", "which", "ratio"], rows)


def details(figures):
    """Return the table of all figures."""
    header = ["work", "connections", "server", "CPU µs", "server", "PostgreSQL", "wrk"]
    header += ["requests/s", "p50 ms", "p99 ms", "MB", "errors"]
    order = list(SERVERS)
    keys = sorted(figures, key=lambda k: (WORKS.index(k[1]), k[2], order.index(k[0])))
    rows = []
    for name, work, connections in keys:
        f = figures[name, work, connections]
        times = [f"{f[part]:.0f}" for part in ("cpu", "server", "postgres", "client")]
        row = [NAMES[work], connections, name, *times, f"{f['rate']:.0f}"]
        row += [f"{f['p50']:.1f}", f"{f['p99']:.1f}", f"{f['memory']:.0f}"]
        rows.append([*row, f"{f['errors']:.0f}"])
    return table(header, rows)


def growth(runs, sizes):
    """Return the tables of the costs and of the space by the number of users.

    Args:
        runs: what was measured, the number of users in place of the connections.
        sizes: the space, as `{users: {relation: bytes}}`.
    """
    figures = summarise(runs)
    rows = []
    for work in WORKS:
        each = [figures[OURS, work, users]["cpu"] for users in sizes]
        change = f"{max(each) / each[0] - 1:+.0%}"
        rows.append([NAMES[work], *(f"{cost:.0f}" for cost in each), change])
    time = table(
        ["CPU µs per request", *(f"{users:,} users" for users in sizes), "most"], rows
    )
    relations = list(next(iter(sizes.values())))
    space = table(
        ["bytes per user", *(f"{users:,} users" for users in sizes)],
        [
            [r, *(f"{s[r] / users:.0f}" for users, s in sizes.items())]
            for r in relations
        ],
    )
    return f"{time}\n\n{space}"


def machine():
    """Return what the figures were measured on."""
    with open("/proc/cpuinfo") as info:
        names = [line.split(":")[1].strip() for line in info if "model name" in line]
    return (
        f"{date.today()}, {os.cpu_count()} cores of {names[0] if names else '?'},"
        f" Python {platform.python_version()}, {platform.system()}"
    )


def render(runs, settings, versions):
    """Return the whole report.

    Args:
        runs: what was measured.
        settings: how, as one line.
        versions: of what, as one line.
    """
    figures = summarise(runs)
    least = min(connections for _, _, connections in figures)
    return f"""\
CPU time per request in microseconds: the server's, PostgreSQL's and the client's
processes together, the kernel's part included; in brackets the ratio to this service.
{machine()}; {settings}; {least} keep-alive connections.

{costs(figures, least)}

{best(figures, least)}

<details><summary>All figures</summary>

{details(figures)}

</details>

{versions}
"""
