"""Render measurements as Markdown tables."""

import math
import os
import platform
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from statistics import median
from typing import Any, TypedDict

from benchmarks.database import Database
from benchmarks.measure import CostUnit, Measurement, Run, Start
from benchmarks.servers import (
    HAND_WRITTEN_PEER,
    ORM_PEERS,
    PEER_WITHOUT_RESET,
    THIS_SERVICE,
    WITHOUT_HISTORY,
    WORKLOADS,
    WRITE_WORKLOADS,
)

WORKLOAD_LABELS = {
    "ping": "/ping",
    "one": "one user by id",
    "page": "a page of 100",
    "post": "POST",
    "put": "PUT",
    "email": "a page by e-mail",
    "mix": "a mix, 90 % reads",
    "compressed": "a page of 100, compressed",
    "newest": "`order=desc`",
    "ids": "`id`, 100 ids",
    "username": "`username`, 1 user",
    "inactive": "`active=false`",
    "period": "`created_after` and `created_before`",
    "search": "`search`, 1 user",
    "search_two_words": "`search`, 0.04 % of the users",
    "search_one_word": "`search`, 2 % of the users",
    "all_filters": "six filters and `order=desc`, 1 user",
    "estimated": "`count=estimated`",
    "exact": "`count=exact`",
}
COST_DESCRIPTIONS = {
    CostUnit.CPU_TIME: (
        "CPU time per request in microseconds, user and kernel, of the server,\n"
        "PostgreSQL and the client together"
    ),
    CostUnit.INSTRUCTIONS: (
        "Thousands of instructions per request, of the whole machine"
    ),
}
MEDIAN_FIELDS = (
    "cost",
    "server_cpu",
    "postgres_cpu",
    "client_cpu",
    "requests_per_second",
    "p50",
    "p99",
    "memory",
)

# (server, workload, connections): the median of the rounds.
Medians = dict[tuple[str, str, int], Measurement]
ValueByRound = dict[int, float]


class Chart(TypedDict):
    """The data that plot.py draws; `workloads` is {label: {server: cost}}."""

    unit: str
    workloads: dict[str, dict[str, float]]


def cost_unit(runs: Sequence[Run]) -> CostUnit:
    """Return the unit of the costs, which is the same in all runs on a machine."""
    return runs[0].measurement.cost_unit


def combine(measurements: Sequence[Measurement]) -> Measurement:
    """Return the median of each value, and the total of the errors."""
    medians: dict[str, Any] = {
        name: median(getattr(measurement, name) for measurement in measurements)
        for name in MEDIAN_FIELDS
    }
    return Measurement(
        **medians,
        cost_unit=measurements[0].cost_unit,
        errors=sum(measurement.errors for measurement in measurements),
    )


def compute_medians(runs: Iterable[Run]) -> Medians:
    groups = defaultdict(list)
    for run in runs:
        groups[run.server, run.workload, run.connections].append(run.measurement)
    return {key: combine(measurements) for key, measurements in groups.items()}


def server_names(runs: Iterable[Run]) -> list[str]:
    """Return the servers in the order of their first run."""
    return list(dict.fromkeys(run.server for run in runs))


def table(header: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def latency_table(runs: Sequence[Run]) -> str:
    """Return the median and the 99th percentile of the latency of each server."""
    medians = {
        (server, workload): found
        for (server, workload, _), found in compute_medians(runs).items()
    }

    def cell(server: str, workload: str) -> str:
        found = medians.get((server, workload))
        return f"{found.p50:.1f} / {found.p99:.1f}" if found else ""

    return table(
        ["latency, ms: p50 / p99", *(WORKLOAD_LABELS[name] for name in WORKLOADS)],
        [
            [server, *(cell(server, workload) for workload in WORKLOADS)]
            for server in server_names(runs)
        ],
    )


def peer_table(runs: Sequence[Run]) -> str:
    """Return this service's CPU time next to that of the cheapest peers.

    The client is not part of it. The 99th percentile of the latency is compared with
    that of the peer without an ORM, whose second cost is that without resetting its
    connections. The last rows are those without the history.
    """
    compared = [(THIS_SERVICE, workload, "") for workload in WORKLOADS]
    compared += [
        (WITHOUT_HISTORY, name, ", without history") for name in WRITE_WORKLOADS
    ]
    rows = []
    for server, workload, suffix in compared:
        cost, p99 = (
            values_of_servers(runs, workload, part) for part in ("service_cpu", "p99")
        )
        own, hand_written = server.name, HAND_WRITTEN_PEER.name
        not_reset = PEER_WITHOUT_RESET.name
        orm_peer = min(
            (peer.name for peer in ORM_PEERS if peer.name in cost),
            key=lambda name: median(cost[name].values()),
        )
        rows.append(
            [
                WORKLOAD_LABELS[workload] + suffix,
                *(f"{median(cost[name].values()):.0f}" for name in (own, hand_written)),
                f"{median_ratio(cost[own], cost[hand_written]):.2f}",
                f"{median_ratio(p99[own], p99[hand_written]):.1f}",
                f"{median(cost[not_reset].values()):.0f}",
                f"{median_ratio(cost[own], cost[not_reset]):.2f}",
                f"{median(cost[orm_peer].values()):.0f}",
                orm_peer,
                f"{median_ratio(cost[own], cost[orm_peer]):.2f}",
            ]
        )
    header = ["server and PostgreSQL, µs", "here", "without an ORM", "ratio", "p99"]
    header += ["not reset", "ratio", "cheapest with an ORM", "which", "ratio"]
    return table(header, rows)


def details_table(runs: Sequence[Run]) -> str:
    """Return all measured values."""
    medians, servers = compute_medians(runs), server_names(runs)
    header = ["work", "connections", "server", "cost", "server µs", "PostgreSQL µs"]
    header += ["wrk µs", "requests/s", "p50 ms", "p99 ms", "MB", "errors"]
    rows = [
        [
            WORKLOAD_LABELS[workload],
            connections,
            server,
            f"{measurement.cost:.0f}",
            f"{measurement.server_cpu:.0f}",
            f"{measurement.postgres_cpu:.0f}",
            f"{measurement.client_cpu:.0f}",
            f"{measurement.requests_per_second:.0f}",
            f"{measurement.p50:.1f}",
            f"{measurement.p99:.1f}",
            f"{measurement.memory:.0f}",
            measurement.errors,
        ]
        for (server, workload, connections), measurement in sorted(
            medians.items(),
            key=lambda item: (
                list(WORKLOAD_LABELS).index(item[0][1]),
                item[0][2],
                servers.index(item[0][0]),
            ),
        )
    ]
    return table(header, rows)


def relation_size_table(databases: Sequence[Database]) -> str:
    """Return the bytes per user of the table and of each index."""
    return table(
        ["bytes per user", *(f"{database.users:,} users" for database in databases)],
        [
            [
                relation,
                *(
                    f"{database.relation_sizes[relation] / database.users:.0f}"
                    for database in databases
                ),
            ]
            for relation in databases[0].relation_sizes
        ],
    )


def chart(runs: Sequence[Run]) -> Chart:
    """Return the costs at the smallest number of connections."""
    medians = compute_medians(runs)
    connections = min(run.connections for run in runs)
    workloads = {
        WORKLOAD_LABELS[workload]: {
            server: medians[server, workload, connections].cost
            for server in server_names(runs)
            if (server, workload, connections) in medians
        }
        for workload in dict.fromkeys(run.workload for run in runs)
    }
    return {"unit": cost_unit(runs), "workloads": workloads}


def describe_cost(runs: Sequence[Run], reference: str) -> str:
    """Explain the cells of the cost table.

    Args:
        reference: the server or size that the ratio refers to.
    """
    return (
        f"{COST_DESCRIPTIONS[cost_unit(runs)]}; the median\n"
        f"of the rounds; in parentheses the median of the ratios to {reference}."
    )


def describe_machine() -> str:
    """Return the date, the CPU, the Python version and the operating system."""
    with open("/proc/cpuinfo") as info:
        cpus = [line.split(":")[1].strip() for line in info if "model name" in line]
    return (
        f"{date.today()}, {os.cpu_count()} cores of {cpus[0] if cpus else '?'},"
        f" Python {platform.python_version()}, {platform.system()}"
    )


def render_comparison(runs: Sequence[Run], settings: str, versions: str) -> str:
    """Return the report that compares this service with the peers.

    Args:
        settings: one line about the number of rounds, their duration and the users.
        versions: one line about the packages.
    """
    return f"""\
{describe_cost(runs, "this service in the same round")}
{describe_machine()}; {settings}.

{"".join(map(render_connections, group_by_connections(runs)))}\
<details><summary>All measured values</summary>

{details_table(runs)}

</details>

{versions}
"""


def group_by_connections(runs: Sequence[Run]) -> list[list[Run]]:
    """Return the runs with each number of connections, in ascending order."""
    return [
        [run for run in runs if run.connections == number]
        for number in sorted({run.connections for run in runs})
    ]


def render_connections(runs: Sequence[Run]) -> str:
    """Return the tables about runs with the same number of connections."""
    return f"""\
{runs[0].connections} keep-alive connections:

{server_table("", runs)}

{peer_table(runs)}

{latency_table(runs)}

"""


def values_by_round(
    values: Iterable[tuple[str, int, float]],
) -> dict[str, ValueByRound]:
    """Return the values of each row and round.

    Args:
        values: the name of the row, the number of the round, and the value.
    """
    rows: dict[str, ValueByRound] = defaultdict(dict)
    for name, round_, value in values:
        rows[name][round_] = value
    return dict(rows)


def values_of_servers(
    runs: Iterable[Run], workload: str, part: str
) -> dict[str, ValueByRound]:
    """Return the values of each server and round for a workload.

    Args:
        part: the name of a value of `Measurement`.
    """
    return values_by_round(
        (run.server, run.round, getattr(run.measurement, part))
        for run in runs
        if run.workload == workload
    )


def median_ratio(values: ValueByRound, reference: ValueByRound) -> float:
    """Return the median of the ratios of two values of the same round.

    Other load on the machine affects both of them. NaN if they share no round.
    """
    shared = values.keys() & reference.keys()
    if not shared:
        return math.nan
    return median(values[round_] / reference[round_] for round_ in shared)


def relative_to_first(values: Mapping[str, ValueByRound]) -> dict[str, str]:
    """Return the median of each row, and of its ratios to the first row.

    Args:
        values: by the name of the row.
    """
    first = next(iter(values.values()))
    return {
        name: f"{median(row.values()):.0f} ({median_ratio(row, first):.2f})"
        for name, row in values.items()
    }


def ratios_by_workload(
    runs: Sequence[Run], part: str = "cost"
) -> dict[str, dict[str, str]]:
    """Return a cell for each workload and server, relative to the first server.

    Args:
        part: the name of a value of `Measurement`.
    """
    return {
        workload: relative_to_first(values_of_servers(runs, workload, part))
        for workload in dict.fromkeys(run.workload for run in runs)
    }


def server_table(title: str, runs: Sequence[Run], part: str = "cost") -> str:
    """Return a table with a row for each server and a column for each workload."""
    columns = ratios_by_workload(runs, part)
    return table(
        [title, *(WORKLOAD_LABELS[workload] for workload in columns)],
        [
            [server, *(column.get(server, "") for column in columns.values())]
            for server in server_names(runs)
        ],
    )


def query_table(runs: Sequence[Run]) -> str:
    """Return the cost of each query of `GET /users`, and PostgreSQL's part of it."""
    columns = [
        relative_to_first(
            values_by_round(
                (run.workload, run.round, getattr(run.measurement, part))
                for run in runs
            )
        )
        for part in ("cost", "postgres_cpu")
    ]
    return table(
        ["", "cost", "PostgreSQL µs"],
        [
            [WORKLOAD_LABELS[workload], *(column[workload] for column in columns)]
            for workload in columns[0]
        ],
    )


def render_rounds(
    runs: Sequence[Run], settings: str, reference: str, result: str
) -> str:
    """Return a report whose ratios are those of the same round.

    Args:
        settings: see `render_comparison`.
        reference: what the first row is.
        result: the table with the ratios.
    """
    return f"""\
{describe_cost(runs, f"{reference} in the same round")}
{describe_machine()}; {settings}.

{result}

<details><summary>All measured values</summary>

{details_table(runs)}

</details>
"""


def render_starts(starts: Sequence[Start]) -> str:
    """Return the report of the time to the first response, and of the memory."""
    columns = [
        relative_to_first(
            values_by_round((s.server, s.round, getattr(s, part)) for s in starts)
        )
        for part in ("milliseconds", "cpu_milliseconds", "memory")
    ]
    rows = [[server, *(column[server] for column in columns)] for server in columns[0]]
    return f"""\
The time from the start to the first response; the CPU time and the memory when all
workers are idle; the median of the rounds; in parentheses the median of the ratios to
the first row in the same round.
{describe_machine()}.

{table(["", "ms", "CPU ms", "MB"], rows)}
"""


def growth_table(runs: Sequence[Run]) -> str:
    """Return the cost of each workload by the number of users.

    A cell is empty if no request was completed in the time of a measurement.
    """
    sizes = server_names(runs)
    return table(
        ["", *sizes],
        [
            [WORKLOAD_LABELS[workload], *(row.get(size, "") for size in sizes)]
            for workload, row in ratios_by_workload(runs).items()
        ],
    )


def render_growth(runs: Sequence[Run], databases: Sequence[Database]) -> str:
    """Return the report of the cost and of the disk space by the number of users."""
    connections = runs[0].connections
    return f"""\
{describe_cost(runs, "the smallest in the same round")}
{describe_machine()}; {connections} keep-alive connections.

{growth_table(runs)}

{relation_size_table(databases)}

<details><summary>All measured values</summary>

{details_table(runs)}

</details>
"""
