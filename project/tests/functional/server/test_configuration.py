"""gunicorn.conf.py and its hooks."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from devtools.servers import (
    ROOT,
    clean_environment,
    free_port,
    start_gunicorn,
    start_process,
    wait_until_up,
)
from project.tests.waiting import wait_until


@pytest.mark.subprocess
def test_gunicorn_prints_its_configuration(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "gunicorn", "--print-config"],
        cwd=ROOT,
        env=clean_environment()
        | {"METRICS_PORT": "9100", "TMPDIR": os.fspath(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert "DrainingWorker" in result.stdout


@pytest.mark.parametrize(
    "variables, limit", [({}, 800), ({"METRICS_PORT": "9100"}, 400)]
)
@pytest.mark.subprocess
def test_connections_leave_open_files_for_the_database(
    tmp_path: Path, variables: dict[str, str], limit: int
) -> None:
    """Each address that gunicorn listens on can have as many connections."""
    command = f"ulimit -n 1000; {sys.executable} -m gunicorn --print-config"
    result = subprocess.run(
        command,
        shell=True,
        cwd=ROOT,
        env=clean_environment() | {"TMPDIR": os.fspath(tmp_path)} | variables,
        capture_output=True,
        text=True,
    )
    assert re.search(rf"^worker_connections += {limit}$", result.stdout, re.M)


@pytest.mark.server
def test_metrics_folder_of_another_program_is_kept(
    database_url: str, tmp_path: Path
) -> None:
    (tmp_path / "kept").touch()
    folder = os.fspath(tmp_path)
    with start_gunicorn(
        database_url, WEB_CONCURRENCY="1", PROMETHEUS_MULTIPROC_DIR=folder
    ):
        pass
    assert (tmp_path / "kept").exists()


@pytest.mark.server
def test_sighup_replaces_the_workers_and_keeps_the_settings(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """gunicorn must not listen on a port that the running application does not know.

    The application would serve the API there, and no metrics.
    """
    psutil = pytest.importorskip("psutil", reason="psutil is not installed")
    monkeypatch.delenv("FLASK_SKIP_DOTENV")
    shutil.copytree(
        ROOT / "project", tmp_path / "project", ignore=shutil.ignore_patterns("tests")
    )
    for name in ("gunicorn.conf.py", "manage.py"):
        shutil.copy(ROOT / name, tmp_path)
    metrics_port = free_port()
    with start_process(
        [sys.executable, "-m", "gunicorn"],
        cwd=tmp_path,
        APP_SETTINGS="project.config.ProductionConfig",
        DATABASE_URL=database_url,
        WEB_CONCURRENCY="1",
    ) as (url, process):
        master = psutil.Process(process.pid)
        before = master.children()
        (tmp_path / ".env").write_text(f"METRICS_PORT={metrics_port}\n")
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: set(master.children()).isdisjoint(before))
        wait_until_up(f"{url}/ping", process)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", metrics_port))


@pytest.mark.server
def test_workers_share_the_memory_of_the_application(database_url: str) -> None:
    """A garbage collection in a worker does not copy the application's objects.

    The first one of all objects comes after about 1,000 connections.
    """
    psutil = pytest.importorskip("psutil", reason="psutil is not installed")
    with start_gunicorn(database_url, WEB_CONCURRENCY="1") as (url, process):
        for _ in range(2000):
            urllib.request.urlopen(f"{url}/ping").close()
        [worker] = psutil.Process(process.pid).children()
        memory = worker.memory_full_info()
    assert memory.uss < 0.3 * memory.rss
