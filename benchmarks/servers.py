"""The servers that are compared, and how each is served as it recommends."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
import venv
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from sqlalchemy import make_url

from project.tests.servers import ROOT, free_port, outside

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
PATIENCE = 20
WORKERS = str(os.cpu_count())
OURS = "this service"

ONLY_READS = ("one", "page")
WORKS = (*ONLY_READS, "post", "put", "email", "mix")

GUNICORN = ["-m", "gunicorn", "-b", "127.0.0.1:{port}", "-w", WORKERS]
GTHREAD = [*GUNICORN, "-k", "gthread", "--threads", "4"]
UVICORN = ["-m", "uvicorn", "--port", "{port}", "--workers", WORKERS]
# What every request would log is a row of its own.
UVICORN += ["--log-level", "warning", "--no-access-log"]

# name: the command behind Python, whether it is the peers' Python, variables, works.
SERVERS = {
    OURS: (["-m", "gunicorn"], False, {}, WORKS),
    "this service, access log and metrics": (
        ["-m", "gunicorn"],
        False,
        {"LOG_LEVEL": "INFO", "METRICS_PORT": "{metrics}"},
        WORKS,
    ),
    "floor: bare WSGI, psycopg2": (
        ["-m", "gunicorn", "benchmarks.peers.floor:app"],
        False,
        {},
        ONLY_READS,
    ),
    "the tutorial's way": (
        [*GTHREAD, "benchmarks.peers.tutorial:app"],
        True,
        {},
        WORKS,
    ),
    "FastAPI, async SQLAlchemy, asyncpg": (
        [*UVICORN, "benchmarks.peers.fastapi_async:app"],
        True,
        {},
        WORKS,
    ),
    "FastAPI, SQLAlchemy, psycopg2": (
        [*UVICORN, "benchmarks.peers.fastapi_sync:app"],
        True,
        {},
        WORKS,
    ),
    "Litestar, async SQLAlchemy, asyncpg": (
        [*UVICORN, "benchmarks.peers.litestar_async:app"],
        True,
        {},
        WORKS,
    ),
    "Django REST framework": ([*GTHREAD, "benchmarks.peers.drf:app"], True, {}, WORKS),
}
PEERS = [name for name, (_, theirs, *_) in SERVERS.items() if theirs]


def peers_python():
    """Return the Python of the peers' environment, which is made where it is missing.

    It is in `instance/`, and made anew whenever the locked requirements change.
    """
    folder = ROOT / "instance" / f"peers-{digest(REQUIREMENTS)}"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        print("Making the peers' environment …", file=sys.stderr)
        venv.create(folder, clear=True, with_pip=True)
        install = ["-m", "pip", "install", "-q", "--require-hashes", "-r", REQUIREMENTS]
        subprocess.run([python, *install], check=True)
        (folder / "complete").touch()
    return python


def digest(path):
    """Return a short name for what a file says."""
    return sha256(path.read_bytes()).hexdigest()[:12]


def variables(database_url):
    """Return the environment that every server gets."""
    url = make_url(database_url)

    def with_driver(driver):
        return url.set(drivername=f"postgresql+{driver}").render_as_string(False)

    return outside() | {
        "APP_SETTINGS": "project.config.ProductionConfig",
        "LOG_LEVEL": "WARNING",
        "SECRET_KEY": "the benchmark's own secret",
        "DATABASE_URL": database_url,
        "SQLALCHEMY_URL": with_driver("psycopg2"),
        "SQLALCHEMY_ASYNC_URL": with_driver("asyncpg"),
    }


@contextmanager
def served(name, database_url, log):
    """Start a server on a free port, and end it.

    Args:
        name: a key of SERVERS.
        database_url: the database.
        log: the file that its output goes to.

    Yields:
        Its URL and its process id.
    """
    arguments, theirs, extra, _ = SERVERS[name]
    port, metrics = free_port(), free_port()
    process = subprocess.Popen(
        [
            peers_python() if theirs else sys.executable,
            *(part.format(port=port) for part in arguments),
        ],
        # gunicorn reads the gunicorn.conf.py of the folder that it starts in: ours.
        cwd=REQUIREMENTS.parent if theirs else ROOT,
        env=variables(database_url)
        | {"PYTHONPATH": str(ROOT)}
        | {key: value.format(metrics=metrics) for key, value in extra.items()}
        | {"PORT": str(port)},
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_up(f"{url}/users/1", process)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait(PATIENCE)


def wait_until_up(url, process):
    """Wait until a server answers.

    Raises:
        RuntimeError: it ended, or did not answer in time.
    """
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=PATIENCE).close()
            return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
    raise RuntimeError(f"{url} does not answer: see {process.args} in the log")
