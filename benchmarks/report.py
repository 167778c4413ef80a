"""The report: tables in Markdown."""

import os
import platform
from collections import defaultdict
from datetime import date
from statistics import median

from benchmarks.servers import OURS, PEERS, WORKS

PARTS = ("server", "postgres", "client")
FIGURES = ("cost", *PARTS, "rate", "p50", "p99", "memory")
NAMES = {
    "one": "one user by id",
    "page": "a page of 100",
    "post": "POST",
    "put": "PUT",
    "email": "a page by e-mail",
    "mix": "a mix, 90 % reads",
}


def unit(runs):
    """Return what the costs of some runs are counted in."""
    counted = runs[0]["cost"] != sum(runs[0][p] for p in PARTS)
    return "thousands of instructions" if counted else "CPU microseconds"


def summarise(runs):
    """Return the median of each figure, as `{(server, work, connections): figures}`.

    Args:
        runs: what was measured, each with its server, work and connections.
    """
    groups = defaultdict(list)
    for run in runs:
        groups[run["name"], run["work"], run["connections"]].append(run)
    return {
        key: {figure: median(run[figure] for run in group) for figure in FIGURES}
        | {"errors": sum(run["errors"] for run in group)}
        for key, group in groups.items()
    }


def names(runs):
    """Return the servers of some runs, in their order."""
    return list(dict.fromkeys(run["name"] for run in runs))


def table(header, rows):
    """Return a table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def costs(runs, connections):
    """Return the table of what a request costs, and its ratio to the first server's."""
    figures = summarise(runs)
    first, *_ = names(runs)

    def cell(name, work):
        found = figures.get((name, work, connections))
        if not found:
            return ""
        ratio = found["cost"] / figures[first, work, connections]["cost"]
        return f"{found['cost']:.0f} ({ratio:.2f})"

    rows = [[name, *(cell(name, work) for work in WORKS)] for name in names(runs)]
    return table(["", *(NAMES[work] for work in WORKS)], rows)


def best(figures, connections):
    """Return the table of this service's cost beside that of the best peer."""
    rows = []
    for work in WORKS:
        ours = figures[OURS, work, connections]["cost"]
        name = min(PEERS, key=lambda peer: figures[peer, work, connections]["cost"])
        theirs = figures[name, work, connections]["cost"]
        ratio = f"{ours / theirs:.2f}"
        rows.append([NAMES[work], f"{ours:.0f}", f"{theirs:.0f}", name, ratio])
    return table(["", "here", "best peer", "which", "ratio"], rows)


def details(runs):
    """Return the table of all figures."""
    figures, order = summarise(runs), names(runs)
    header = ["work", "connections", "server", "cost", "server µs", "PostgreSQL µs"]
    header += ["wrk µs", "requests/s", "p50 ms", "p99 ms", "MB", "errors"]
    keys = sorted(figures, key=lambda k: (WORKS.index(k[1]), k[2], order.index(k[0])))
    rows = []
    for name, work, connections in keys:
        f = figures[name, work, connections]
        parts = (f"{f[part]:.0f}" for part in ("cost", *PARTS, "rate"))
        times = (f"{f[part]:.1f}" for part in ("p50", "p99"))
        rest = f"{f['memory']:.0f}", f["errors"]
        rows.append([NAMES[work], connections, name, *parts, *times, *rest])
    return table(header, rows)


def growth(runs, databases):
    """Return the report of the costs and of the space by the number of users.

    Args:
        runs: what was measured.
        databases: the Databases, in their order.
    """
    relations = list(databases[0].space)
    space = table(
        ["bytes per user", *(f"{d.users:,} users" for d in databases)],
        [[r, *(f"{d.space[r] / d.users:.0f}" for d in databases)] for r in relations],
    )
    connections = runs[0]["connections"]
    return f"""\
{explain(runs)} the smallest.
{machine()}; {connections} keep-alive connections.

{costs(runs, connections)}

{space}

<details><summary>All figures</summary>

{details(runs)}

</details>
"""


def bars(runs):
    """Return what the plot shows: `{"unit": …, "works": {work: {server: cost}}}`."""
    figures = summarise(runs)
    least = min(run["connections"] for run in runs)
    works = {
        NAMES[work]: {
            name: figures[name, work, least]["cost"]
            for name in names(runs)
            if (name, work, least) in figures
        }
        for work in WORKS
    }
    return {"unit": unit(runs), "works": works}


def explain(runs):
    """Return what the figures are, but for the last words."""
    if unit(runs) == "CPU microseconds":
        what = (
            "CPU time per request in microseconds: the server's, PostgreSQL's and the\n"
            "client's processes together, the kernel's part included"
        )
    else:
        what = "Thousands of instructions per request, of the whole machine"
    return f"{what}; the median\nof the rounds; in brackets the ratio to"


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
    connections = sorted({run["connections"] for run in runs})
    tables = "\n\n".join(
        f"{number} keep-alive connections:\n\n{costs(runs, number)}\n\n"
        f"{best(figures, number)}"
        for number in connections
    )
    return f"""\
{explain(runs)} this service.
{machine()}; {settings}.

{tables}

<details><summary>All figures</summary>

{details(runs)}

</details>

{versions}
"""
