"""The command line of the failure tests. CI runs the tests themselves."""

import os
import subprocess
import sys

import pytest

from devtools.servers import ROOT, clean_environment

pytest.importorskip("psutil", reason="the embedded PostgreSQL is not installed")

pytestmark = pytest.mark.subprocess


def run_cluster(**variables: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m chaos cluster` where no program can be found."""
    environment = clean_environment() | {"PATH": os.devnull}
    environment.pop("CI", None)
    return subprocess.run(
        [sys.executable, "-m", "chaos", "cluster"],
        cwd=ROOT,
        env=environment | variables,
        capture_output=True,
        text=True,
    )


def test_cluster_without_its_programs_is_skipped_with_the_reason() -> None:
    result = run_cluster()
    assert result.returncode == 0
    assert result.stderr == (
        "skipped: `cluster` needs the Debian packages etcd-server, haproxy, pgbouncer\n"
    )


def test_cluster_without_its_programs_fails_in_ci() -> None:
    result = run_cluster(CI="true")
    assert result.returncode == 1
    assert "needs the Debian packages etcd-server" in result.stderr
