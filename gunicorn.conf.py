"""How production serves: `gunicorn` alone, or `gunicorn manage:app`."""

# Before anything else is imported, so that every socket and lock is cooperative.
from gevent import monkey

monkey.patch_all()

import os  # noqa: E402
import resource  # noqa: E402
import shutil  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
from contextlib import suppress  # noqa: E402

from gevent.socket import wait_read, wait_write  # noqa: E402
from gunicorn import glogging, util  # noqa: E402
from psycopg2 import OperationalError, extensions  # noqa: E402

from project import db  # noqa: E402
from project.config import ConfigError, gaps, load_config  # noqa: E402
from project.jsend import answer  # noqa: E402
from project.observability import logging_config  # noqa: E402
from project.worker import Worker  # noqa: E402

try:
    variables = load_config()
except ConfigError as error:
    sys.exit(f"Error: {error}")
if variables["METRICS_PORT"] == variables["PORT"]:
    sys.exit("Error: METRICS_PORT is the public PORT: take another")

wsgi_app = "manage:app"
bind = f"0.0.0.0:{variables['PORT']}"
# One a core: requests are bound by the CPU. On two cores, two served more than one
# did, and four no more than two; each costs some 10 MiB. But no more than
# PostgreSQL's usual 100 connections have room for, with a fifth left for others.
cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
most = 80 // variables["DATABASE_POOL_SIZE"] or 1
workers = variables["WEB_CONCURRENCY"] or min(cores, most)
# A greenlet a connection: a client that sends a byte a second holds no worker. What
# fast clients cost differed less from threads than one measurement from the next.
worker_class = Worker
# Idle keep-alive connections count, too; one costs some 20 KiB and an open file.
worker_connections = 10_000
most_files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
with suppress(ValueError, OSError):  # macOS says "infinity" and means 10,240
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))
# The code is read once, and the workers share its memory.
preload_app = True
# Heroku's router keeps a connection for 90 s; the side that opened it should end it.
keepalive = 95
# Heroku kills after 30 s.
graceful_timeout = 25
# The workers' sign of life is a file: in memory, where the disk cannot delay it.
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None
logconfig_dict = logging_config(variables)


class Logger(glogging.Logger):
    """gunicorn's log, without a line for each request: the application has its own."""

    def access(self, *_):
        """Do nothing: to prepare a line that nobody reads takes a third of a ping."""


logger_class = Logger
# RFC 9110 asks for 8000 bytes at least.
limit_request_line = 8190
# Who the client is, project/observability.py decides, by TRUSTED_PROXIES.
forwarded_allow_ips = ""
# It would be a socket in the home folder, which a container need not have.
control_socket_disable = True


def wait_for_database(connection):
    """Let other requests run while PostgreSQL works on this one's statement.

    Args:
        connection: psycopg2's, which calls this instead of blocking.

    Raises:
        OperationalError: it has not answered for longer than a statement may take.
    """
    if connection.status == extensions.STATUS_SETUP:
        patience = variables["DATABASE_CONNECT_TIMEOUT"]
    else:
        # A second more than the server has to end the statement by itself.
        patience = variables["DATABASE_STATEMENT_TIMEOUT"] + 1
    wait = {extensions.POLL_READ: wait_read, extensions.POLL_WRITE: wait_write}
    late = OperationalError(f"PostgreSQL has not answered for {patience} seconds")
    while (state := connection.poll()) != extensions.POLL_OK:
        wait[state](connection.fileno(), timeout=patience, timeout_exc=late)


def write_error(sock, status_int, reason, mesg):
    """Answer a request that gunicorn refuses by itself in the API's shape.

    Args:
        sock: the client's connection.
        status_int: the status code.
        reason: its phrase.
        mesg: what is wrong, if gunicorn tells.
    """
    refused = answer(status_int, mesg or reason, {"Connection": "close"})
    head = f"HTTP/1.1 {refused.status}\r\n{refused.headers}"
    util.write_nonblock(sock, head.encode("latin1") + refused.data)


# Its own is a page of HTML, and there is no setting for it.
util.write_error = write_error


def when_ready(server):
    """Tell once, as the service starts, what its settings lack."""
    for gap in gaps(variables):
        server.log.warning(gap)


def post_fork(server, worker):
    """Give a worker its own connections, and make psycopg2 cooperative."""
    # Until it sets its own handlers it has the master's, which would swallow a stop.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    from manage import app

    with app.app_context():
        for engine in db.engines.values():
            # Left open: one that was made before the fork is the parent's.
            engine.dispose(close=False)
    extensions.set_wait_callback(wait_for_database)


if variables["METRICS_PORT"]:
    bind = [bind, f"0.0.0.0:{variables['METRICS_PORT']}"]
    # The workers keep their counts in files here, so that each can add up them all.
    metrics_folder = tempfile.mkdtemp(prefix="metrics_")
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = metrics_folder

    def child_exit(server, worker):
        """Forget the gauges of a worker that has ended."""
        from prometheus_client import multiprocess

        multiprocess.mark_process_dead(worker.pid)

    def on_exit(server):
        """Remove the counts."""
        shutil.rmtree(metrics_folder, ignore_errors=True)
