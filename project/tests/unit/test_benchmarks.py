"""The benchmark's reports and profile, and the lock file of the peers' packages."""

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip(
    "psutil", reason="psutil comes with the embedded PostgreSQL: not installed"
)

from benchmarks import profile, report  # noqa: E402
from benchmarks.database import Database  # noqa: E402
from benchmarks.measure import (  # noqa: E402
    CostUnit,
    Measurement,
    Run,
    Start,
    parse_instructions,
)
from benchmarks.servers import (  # noqa: E402
    FEATURE_WORKLOADS,
    GROWTH_WORKLOADS,
    HAND_WRITTEN_PEER,
    ORM_PEERS,
    PEER_WITHOUT_RESET,
    SERVERS,
    WITHOUT_HISTORY,
)


def make_runs(server: str, workload: str, *costs: float) -> list[Run]:
    """Return a run for each cost, which is all the server's CPU time.

    The latency is 1 ms in all of them.
    """
    return [
        Run(
            server=server,
            workload=workload,
            connections=16,
            round=number,
            measurement=Measurement(
                cost=cost,
                cost_unit=CostUnit.CPU_TIME,
                server_cpu=cost,
                postgres_cpu=0,
                client_cpu=0,
                requests_per_second=0,
                p50=1,
                p99=1,
                memory=0,
                errors=0,
            ),
        )
        for number, cost in enumerate(costs, 1)
    ]


@pytest.fixture
def runs() -> list[Run]:
    """The runs of a whole comparison; the last of three rounds is an outlier."""
    return [
        run
        for number, server in enumerate(SERVERS, 1)
        for workload in server.workloads
        for run in make_runs(
            server.name, workload, number * 100, number * 100 + 1, 9999
        )
    ]


def test_comparison_shows_medians_and_the_cheapest_peers(runs: list[Run]) -> None:
    text = report.render_comparison(runs, "settings", "versions")
    assert "CPU time per request" in text
    assert "| this service | 101 (1.00) |" in text
    hand_written = SERVERS.index(HAND_WRITTEN_PEER) * 100 + 101
    not_reset = SERVERS.index(PEER_WITHOUT_RESET) * 100 + 101
    with_orm = SERVERS.index(ORM_PEERS[0]) * 100 + 101
    assert (
        f"| POST | 101 | {hand_written} | {101 / hand_written:.2f} | 1.0 |"
        f" {not_reset} | {101 / not_reset:.2f} |"
        f" {with_orm} | {ORM_PEERS[0].name} | {101 / with_orm:.2f} |"
    ) in text
    without_history = SERVERS.index(WITHOUT_HISTORY) * 100 + 101
    assert f"| POST, without history | {without_history} | {hand_written} |" in text
    assert "settings" in text and "versions" in text


def test_comparison_shows_the_latency_of_every_server(runs: list[Run]) -> None:
    runs = [
        replace(run, measurement=replace(run.measurement, p50=2, p99=number))
        for number, run in enumerate(runs)
    ]
    text = report.render_comparison(runs, "settings", "versions")
    # The first server has the first three runs of each workload.
    assert "| this service | 2.0 / 1.0 | 2.0 / 4.0 | 2.0 / 7.0 |" in text
    assert text.count(" 2.0 / ") == sum(len(server.workloads) for server in SERVERS)


def test_comparison_names_instructions_as_the_unit(runs: list[Run]) -> None:
    runs = [
        replace(
            run,
            measurement=replace(
                run.measurement, server_cpu=1, cost_unit=CostUnit.INSTRUCTIONS
            ),
        )
        for run in runs
    ]
    text = report.render_comparison(runs, "settings", "versions")
    assert "Thousands of instructions per request" in text


def test_chart_shows_the_medians_of_every_server(runs: list[Run]) -> None:
    chart = report.chart(runs)
    assert chart["unit"] == "CPU microseconds"
    assert chart["workloads"]["POST"]["this service"] == 101
    assert set(chart["workloads"]["/ping"]) == {
        server.name for server in SERVERS if "ping" in server.workloads
    }


def test_growth_shows_cost_and_disk_space_per_user() -> None:
    databases = [
        Database(
            "url", 10, Path("emails"), {"all": 1000}, server_pid=1, log=Path("log")
        ),
        Database(
            "url", 1000, Path("emails"), {"all": 90_000}, server_pid=1, log=Path("log")
        ),
    ]
    runs = [
        run
        for workload in GROWTH_WORKLOADS
        for users, cost in (("10 users", 100), ("1,000 users", 110))
        for run in make_runs(users, workload, cost)
    ]
    text = report.render_growth(runs, databases)
    assert "|  | 10 users | 1,000 users |" in text
    assert "| one user by id | 100 (1.00) | 110 (1.10) |" in text
    assert "| all | 100 | 90 |" in text


def test_growth_leaves_out_what_did_not_respond_in_time() -> None:
    runs = [
        *make_runs("10 users", "page", 100, 100),
        *make_runs("1,000 users", "page", 100),
        *make_runs("10,000 users", "page", 100),
        *make_runs("10 users", "search", 100),
        *make_runs("10,000 users", "search", 300),
    ]
    table = report.growth_table(runs)
    assert "| a page of 100 | 100 (1.00) | 100 (1.00) | 100 (1.00) |" in table
    assert "| `search`, 1 user | 100 (1.00) |  | 300 (3.00) |" in table


@pytest.mark.parametrize(
    "perf_output, instructions",
    [
        ("53213,,instructions,53213,100.00,,\n", 53213),
        ("<not supported>,,instructions,0,100.00,,\n", None),
        ("", None),
    ],
)
def test_parse_instructions_returns_none_if_not_counted(
    perf_output: str, instructions: int | None
) -> None:
    assert parse_instructions(perf_output) == instructions


def test_layer_shares_attribute_samples_to_layers() -> None:
    flask = "Flask.wsgi_app (/packages/flask/app.py:9)"
    query = "fetch_all (/here/project/api/users/queries.py:9)"
    wait = "WaitCallback.__call__ (/here/project/server/cooperative.py:9)"
    samples = [
        f"process 1:gunicorn;{flask};match (/packages/werkzeug/routing/map.py:9) 5",
        f"process 1:gunicorn;{flask};choice (/python/random.py:9) 1",
        f"{flask};{query} 1",
        f"{flask};{query};{wait} 1",
        f"{flask};{query};{wait};wait (/packages/gevent/hub.py:9) 2",
        "unknown (/python/threading.py:9) 1",
    ]
    shares = profile.layer_shares(samples)
    assert shares["Werkzeug: find the view"] == 0.5
    assert shares["Flask: contexts, hooks, signals, dispatch"] == 0.1
    assert shares[profile.DATABASE_LAYER] == 0.4


def test_cost_of_a_feature_is_compared_within_each_round() -> None:
    runs = [
        run
        for workload in FEATURE_WORKLOADS
        for server, costs in (("none", (100, 200, 400)), ("log", (110, 210, 440)))
        for run in make_runs(server, workload, *costs)
    ]
    table = report.server_table("", runs)
    assert "| none | 200 (1.00) | 200 (1.00) | 200 (1.00) |" in table
    assert "| log | 210 (1.10) | 210 (1.10) | 210 (1.10) |" in table


def test_ratio_needs_values_of_the_same_round() -> None:
    values = {"first": {1: 10.0, 2: 20.0, 3: 90.0}, "second": {2: 10.0, 3: 45.0}}
    assert report.relative_to_first(values) == {
        "first": "20 (1.00)",
        "second": "28 (0.50)",
    }
    values = {"first": {1: 10.0}, "second": {2: 10.0}}
    assert report.relative_to_first(values)["second"] == "10 (nan)"


def test_start_report_compares_with_the_first_server() -> None:
    starts = [
        Start(server, number, milliseconds, milliseconds / 2, 80)
        for number, (first, second) in enumerate([(700, 1400), (800, 1200)])
        for server, milliseconds in (("here", first), ("there", second))
    ]
    text = report.render_starts(starts)
    assert "| here | 750 (1.00) | 375 (1.00) | 80 (1.00) |" in text
    assert "| there | 1300 (1.75) | 650 (1.75) | 80 (1.00) |" in text
