"""The benchmark's report, and the lock of its peers."""

import re

import pytest

pytest.importorskip(
    "psutil", reason="the benchmark's PostgreSQL is the embedded one: not installed"
)

from benchmarks import profile, report  # noqa: E402
from benchmarks.database import Database  # noqa: E402
from benchmarks.measure import parse_count  # noqa: E402
from benchmarks.servers import PEERS, REQUIREMENTS, SERVERS  # noqa: E402


def runs(name, work, *costs):
    """Return a run for each cost, which is all the server's CPU time."""
    figures = dict.fromkeys(report.FIGURES, 0) | {"errors": 0}
    key = {"name": name, "work": work, "connections": 16}
    return [{**key, **figures, "cost": cost, "server": cost} for cost in costs]


@pytest.fixture
def measured():
    """Return what a whole comparison measures; the last of three rounds is odd."""
    return [
        run
        for number, name in enumerate(SERVERS, 1)
        for work in SERVERS[name][-1]
        for run in runs(name, work, number * 100, number * 100 + 1, 9999)
    ]


def test_report(measured):
    text = report.render(measured, "settings", "versions")
    assert "CPU time per request" in text
    assert "| this service | 101 (1.00) |" in text, "the median of the rounds"
    first = list(SERVERS).index(PEERS[0]) * 100 + 101
    assert f"| POST | 101 | {first} | {PEERS[0]} | {101 / first:.2f} |" in text
    assert "settings" in text and "versions" in text


def test_report_of_instructions(measured):
    for run in measured:
        run["server"] = 1
    text = report.render(measured, "settings", "versions")
    assert "Thousands of instructions per request" in text


def test_bars(measured):
    bars = report.bars(measured)
    assert bars["unit"] == "CPU microseconds"
    assert bars["works"]["POST"]["this service"] == 101
    assert len(bars["works"]["one user by id"]) == len(SERVERS)


def test_growth():
    sizes = [
        Database("url", 10, "emails", {"all": 1000}),
        Database("url", 1000, "emails", {"all": 90_000}),
    ]
    measured = [
        run
        for work in report.WORKS
        for users, cost in (("10 users", 100), ("1,000 users", 110))
        for run in runs(users, work, cost)
    ]
    text = report.growth(measured, sizes)
    assert "| 1,000 users | 110 (1.10) | 110 (1.10) |" in text
    assert "| all | 100 | 90 |" in text


@pytest.mark.parametrize(
    "said, count",
    [
        ("53213,,instructions,53213,100.00,,\n", 53213),
        ("<not supported>,,instructions,0,100.00,,\n", None),
        ("", None),
    ],
)
def test_count_of_instructions(said, count):
    assert parse_count(said) == count


def test_peers_are_locked_by_hash_from_any_index():
    locked = REQUIREMENTS.read_text()
    packages = re.findall(r"^[a-z].*==.*\\$", locked, re.M)
    assert len(packages) > 50
    assert locked.count("\n    --hash=") >= len(packages)
    assert "://" not in locked


def test_layers_of_a_profile():
    flask = "Flask.wsgi_app (/packages/flask/app.py:9)"
    query = "run (/here/project/api/users/queries.py:9)"
    samples = [
        f"process 1:gunicorn;{flask};match (/packages/werkzeug/routing/map.py:9) 5",
        f"process 1:gunicorn;{flask};choice (/python/random.py:9) 1",
        f"{flask};{query} 1",
        f"{flask};{query};wait_for_database (/here/gunicorn.conf.py:9) 1",
        f"{flask};{query};wait_for_database (/here/x.py:9);wait (/p/gevent/hub.py:9) 2",
        "unknown (/python/threading.py:9) 1",
    ]
    shares = profile.shares(samples)
    assert shares["Werkzeug: find the view"] == 0.5
    assert shares["Flask: contexts, hooks, signals, dispatch"] == 0.1
    assert shares[profile.DATABASE] == 0.4
