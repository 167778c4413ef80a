"""How PostgreSQL executes the queries of `GET /users`."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import product
from typing import Any, NamedTuple

from psycopg2.extensions import cursor as Cursor

from benchmarks import report
from benchmarks.database import Database
from devtools.sql import connect, execute
from project.api.users.pages import page_statement
from project.api.users.schemas import parse_query

# Users as they are after two years: created one after another.
SPREAD_DATES = """
    UPDATE users SET created_date = timestamptz '2024-12-01 00:00Z'
        + (id - 1) * interval '700 days' / (SELECT max(id) FROM users)
"""
PERIOD = {
    "created_after": "2025-06-01T00:00:00Z",
    "created_before": "2026-01-01T00:00:00Z",
}


class Plan(NamedTuple):
    """A plan with the time and the blocks of its execution.

    Attributes:
        scans: the indexes that it uses, and the tables that it reads as a whole.
        blocks: blocks of 8 KiB, in memory or not.
    """

    scans: tuple[str, ...]
    blocks: int
    milliseconds: float

    @property
    def reads_table(self) -> bool:
        """Whether the whole table is read."""
        return any(scan.startswith("Seq Scan") for scan in self.scans)


def find_scans(node: dict[str, Any]) -> Iterator[str]:
    """Yield the index of each scan in a plan, or the kind of a scan without one."""
    if "Index Name" in node:
        yield node["Index Name"]
    elif "Seq Scan" in node["Node Type"]:
        yield f"Seq Scan on {node['Relation Name']}"
    for child in node.get("Plans", ()):
        yield from find_scans(child)


def explain(cursor: Cursor, arguments: dict[str, str]) -> Plan:
    """Execute a query of `GET /users`, and return its plan."""
    query = parse_query({name: [value] for name, value in arguments.items()})
    statement, parameters = page_statement(query)
    cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", parameters)
    row = cursor.fetchone()
    assert row
    result = row[0][0]
    root = result["Plan"]
    return Plan(
        tuple(dict.fromkeys(find_scans(root))),
        root["Shared Hit Blocks"] + root["Shared Read Blocks"],
        result["Execution Time"],
    )


def parameter_values(cursor: Cursor, users: int) -> dict[str, list[str]]:
    """Return values for each filter; most of them let the middle user through."""
    cursor.execute("SELECT id, username, email FROM users WHERE id = %s", [users // 2])
    row = cursor.fetchone()
    assert row
    user_id, username, email = row
    return {
        "id": [",".join(str(user_id + n) for n in range(100))],
        "email": [email.upper()],
        "username": [username.upper()],
        "search": ["ada lovelace", "nobody"],
        "active": ["true", "false"],
        **{name: [value] for name, value in PERIOD.items()},
    }


def combine(values: dict[str, list[str]], users: int) -> Iterator[dict[str, str]]:
    """Yield each combination of filters, orders, positions and page sizes."""
    choices = [[None, *alternatives] for alternatives in values.values()]
    for chosen in product(*choices):
        filters = {name: v for name, v in zip(values, chosen) if v is not None}
        for order, after, limit in product(
            ("asc", "desc"), (None, users // 2), ("1", "100")
        ):
            position = {"after": str(after)} if after else {}
            yield filters | position | {"order": order, "limit": limit}


def summarize(title: str, plans: Sequence[tuple[dict[str, str], Plan]]) -> list[object]:
    """Return a row with the highest cost of some queries."""
    return [
        f"{title}: the highest of {len(plans)}",
        "",
        max(plan.blocks for _, plan in plans),
        f"{max(plan.milliseconds for _, plan in plans):.2f}",
    ]


def show_plans(database: Database) -> str:
    """Return the plan of each filter, and the highest cost of all combinations."""
    execute(database.url, SPREAD_DATES)
    execute(database.url, "VACUUM (FULL, ANALYZE) users")
    with closing(connect(database.url)) as connection, connection.cursor() as cursor:
        values = parameter_values(cursor, database.users)
        queries = list(combine(values, database.users))
        # The second execution finds the blocks in memory.
        for _ in range(2):
            plans = [(query, explain(cursor, query)) for query in queries]
    first_page = {"order": "asc", "limit": "100"}
    rows: list[list[object]] = [
        [
            ", ".join(
                f"`{name}={query[name]:.12}`"
                for name in query.keys() - first_page.keys()
            ),
            ", ".join(plan.scans),
            plan.blocks,
            f"{plan.milliseconds:.2f}",
        ]
        for query, plan in plans
        if first_page.items() <= query.items() and len(query) <= len(first_page) + 1
    ]
    for is_search, title in (False, "without `search`"), (True, "with `search`"):
        chosen = [item for item in plans if ("search" in item[0]) is is_search]
        rows.append(summarize(title, chosen))
    scans = sum(plan.reads_table for _, plan in plans)
    return (
        f"{report.table(['parameter', 'indexes', 'blocks', 'ms'], rows)}\n\n"
        f"{scans} of {len(plans)} combinations read the whole table of"
        f" {database.users:,} users.\n"
    )
