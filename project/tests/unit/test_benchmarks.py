"""The benchmark's report, and the lock of its peers."""

import re

from benchmarks import report
from benchmarks.servers import OURS, PEERS, REQUIREMENTS, SERVERS

FIGURES = ("cpu", "server", "postgres", "client", "rate", "p50", "p99", "memory")


def runs(name, work, *costs):
    """Return a run for each cost."""
    figures = dict.fromkeys(FIGURES, 1.0) | {"errors": 0}
    key = {"name": name, "work": work, "connections": 16}
    return [{**key, **figures, "cpu": cost} for cost in costs]


def test_report():
    measured = []
    for number, name in enumerate(SERVERS, 1):
        for work in SERVERS[name][-1]:
            measured += runs(name, work, number * 100, number * 100 + 1, 9999)
    text = report.render(measured, "settings", "versions")
    assert "| this service | 101 (1.00) |" in text, "the median of the rounds"
    first = list(SERVERS).index(PEERS[0]) * 100 + 101
    assert f"| POST | 101 | {first} | {PEERS[0]} | {101 / first:.2f} |" in text
    assert "settings" in text and "versions" in text


def test_growth():
    measured = [
        {**run, "connections": users}
        for work in report.WORKS
        for users, cost in ((10, 100), (100, 110))
        for run in runs(OURS, work, cost)
    ]
    text = report.growth(measured, {10: {"all": 1000}, 100: {"all": 9000}})
    assert "| PUT | 100 | 110 | +10% |" in text
    assert "| all | 100 | 90 |" in text


def test_peers_are_locked_by_hash_from_any_index():
    locked = REQUIREMENTS.read_text()
    packages = re.findall(r"^[a-z].*==.*\\$", locked, re.M)
    assert len(packages) > 50
    assert locked.count("\n    --hash=") >= len(packages)
    assert "://" not in locked
