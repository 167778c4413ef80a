"""Refused clients cannot fill the log."""

import logging

import gevent
import pytest

from project.server import refusals
from project.server.refusals import RefusalLog


def test_repeated_refusals_are_counted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(refusals, "INTERVAL", 0.01)
    caplog.set_level(logging.WARNING)
    log = RefusalLog()
    for number in range(1000):
        log.add("sent nonsense", f"10.0.0.{number}")
    log.add("sent too much", "10.0.1.1")
    gevent.sleep(0.1)
    log.add("sent nonsense", "10.0.2.2")
    assert caplog.messages == [
        "Client 10.0.0.0 sent nonsense",
        "Client 10.0.1.1 sent too much",
        "999 times more in 0.01 s: client sent nonsense",
        "Client 10.0.2.2 sent nonsense",
    ]
