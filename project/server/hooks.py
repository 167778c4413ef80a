"""gunicorn's server hooks."""

import gc
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
from project.server.startup import startup_warnings
from project.server.worker import DrainingWorker


class ServerHooks:
    """The hooks, named as in gunicorn's documentation.

    Args:
        metrics_dir: see `startup.create_metrics_dir`.
    """

    def __init__(self, settings: Settings, metrics_dir: str | None) -> None:
        self.settings = settings
        self.metrics_dir = metrics_dir

    def on_starting(self, server: Arbiter) -> None:
        """Raise the limit of open files. Each connection of a client needs one."""
        hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        # macOS reports "infinity" and allows 10,240.
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit, hard_limit))

    def when_ready(self, server: Arbiter) -> None:
        """Log which settings are missing, once, in the master process."""
        for warning in startup_warnings(self.settings):
            server.log.warning(warning)

    def pre_fork(self, server: Arbiter, worker: Worker) -> None:
        """Keep the application out of garbage collections.

        They write to each object, so the worker could not share its memory any more.
        """
        gc.freeze()
        gc.enable()

    def post_fork(self, server: Arbiter, worker: DrainingWorker) -> None:
        """Give a worker the settings, and its own database connections."""
        worker.settings = self.settings
        # Until the worker installs its own handlers it has the master's, which would
        # ignore SIGTERM.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        app = worker.app.wsgi()
        # The benchmark also runs a plain WSGI application with this configuration.
        if isinstance(app, Flask):
            with app.app_context():
                for engine in db.engines.values():
                    # Connections from before the fork belong to the master process,
                    # so they are not closed.
                    engine.dispose(close=False)
        install_wait_callback(self.settings)

    def child_exit(self, server: Arbiter, worker: Worker) -> None:
        """Remove the gauges of a worker that has ended."""
        if self.metrics_dir:
            from prometheus_client import multiprocess

            multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]

    def on_exit(self, server: Arbiter) -> None:
        """Remove the metrics of all workers."""
        if self.metrics_dir:
            shutil.rmtree(self.metrics_dir, ignore_errors=True)
