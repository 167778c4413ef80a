"""gunicorn's server hooks."""

import os
import resource
import shutil
import signal
from contextlib import suppress

from flask import Flask
from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker

from project import db
from project.config import Settings
from project.server.cooperative import install_wait_callback
from project.server.startup import METRICS_DIR_VARIABLE, startup_warnings


def raise_open_file_limit(server: Arbiter) -> None:
    """Raise the limit of open files, one per connection, if allowed (`on_starting`)."""
    hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    # macOS reports "infinity" and allows 10,240.
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit, hard_limit))


def log_startup_warnings(settings: Settings, server: Arbiter) -> None:
    """Log once, in the master process, which settings are missing (`when_ready`)."""
    for warning in startup_warnings(settings):
        server.log.warning(warning)


def prepare_worker(settings: Settings, server: Arbiter, worker: Worker) -> None:
    """Give a worker its own database connections (`post_fork`)."""
    # Until the worker installs its own handlers it has the master's, which would
    # ignore SIGTERM.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    app = worker.app.wsgi()
    if isinstance(app, Flask):
        with app.app_context():
            for engine in db.engines.values():
                # Connections from before the fork belong to the master process, so
                # they are not closed.
                engine.dispose(close=False)
    install_wait_callback(settings)


def mark_worker_dead(server: Arbiter, worker: Worker) -> None:
    """Remove the gauges of a worker that has ended (`child_exit`)."""
    if METRICS_DIR_VARIABLE in os.environ:
        from prometheus_client import multiprocess

        multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def remove_metrics_dir(server: Arbiter) -> None:
    """Remove the metrics of all workers when gunicorn stops (`on_exit`)."""
    if folder := os.environ.get(METRICS_DIR_VARIABLE):
        shutil.rmtree(folder, ignore_errors=True)
