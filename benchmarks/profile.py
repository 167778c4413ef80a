"""Where the time of a request goes, layer by layer."""

import re
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

import click

from benchmarks import report
from benchmarks.database import server
from benchmarks.measure import measure
from benchmarks.servers import OURS, peers_python, served

WORK = "one"
CONNECTIONS = 16
DATABASE = "psycopg2: run the statement, wait for PostgreSQL"
WAIT = r"^wait_for_database \("
# What a frame of a stack says of its layer: the first pattern that fits. What fits
# none, as the standard library, belongs to whoever calls it.
LAYERS = {
    # The driver is in C, which has no frames.
    r"^run \(.*project/api/users/queries": DATABASE,
    r"project/worker\.py": "gunicorn: read the request, write the answer",
    "gunicorn/": "gunicorn: read the request, write the answer",
    "gevent/": "gevent: greenlets, sockets, time-outs",
    "sqlalchemy/": "SQLAlchemy: the pool",
    "flask_sqlalchemy/": "SQLAlchemy: the pool",
    "werkzeug/routing/": "Werkzeug: find the view",
    "werkzeug/": "Werkzeug: request, response, headers, contexts' proxies",
    "flask_restful/": "Flask-RESTful: dispatch",
    "flask/": "Flask: contexts, hooks, signals, dispatch",
    "blinker/": "Flask: contexts, hooks, signals, dispatch",
    "project/": "this service: views, schemas, queries, JSON, request id",
}


def layer(stack):
    """Return the layer that a sample was taken in, or None.

    Args:
        stack: its frames, outermost first, as `function (file:line)`.
    """
    if any(re.search(WAIT, frame) for frame in stack):
        return DATABASE  # and not gevent's, by which it waits
    for frame in reversed(stack):
        for pattern, name in LAYERS.items():
            if re.search(pattern, frame):
                return name
    return None


def sample(pid, seconds, path):
    """Start to sample the stacks of a process and its descendants.

    Args:
        pid: the process.
        seconds: for how long.
        path: the file for the samples.

    Returns:
        The sampling process.
    """
    command = [Path(peers_python()).with_name("py-spy"), "record", "--pid", pid]
    command += ["--subprocesses", "--full-filenames", "--format", "raw", "-o", path]
    # Without a stop of the process for each sample, which would be in the picture.
    command += ["--duration", seconds, "--rate", 200, "--nonblocking"]
    return subprocess.Popen(map(str, command), stdout=subprocess.DEVNULL)


def shares(samples):
    """Return the share of each layer, as `{layer: share}`, the largest first.

    Args:
        samples: lines, each a stack and how often it was seen.
    """
    counts = Counter()
    for line in samples:
        stack, _, times = line.rpartition(" ")
        if found := layer(stack.split(";")):
            counts[found] += int(times)
    total = counts.total()
    return {name: times / total for name, times in counts.most_common()}


def render(shared, figures):
    """Return the profile as a table.

    Args:
        shared: the share of each layer.
        figures: what one run without sampling measured.
    """
    rows = [
        [name, f"{share * figures['server']:.0f}"] for name, share in shared.items()
    ]
    rows += [
        ["PostgreSQL, in its own process", f"{figures['postgres']:.0f}"],
        ["the client (wrk), in its own process", f"{figures['client']:.0f}"],
    ]
    header = [f"layer, {report.NAMES[WORK]}", "CPU µs per request"]
    return report.table(header, rows)


def profile(seconds, users):
    """Profile this service, and return the report.

    Args:
        seconds: for how long.
        users: how many there are.

    Raises:
        ClickException: the sampler may not look into the processes.
    """
    with (
        server() as postgres,
        open(postgres.folder / "log", "w") as log,
        tempfile.NamedTemporaryFile("r") as samples,
    ):
        database = postgres.fill(users)
        with served(OURS, database.url, log) as (url, pid):

            def drive(tag):
                arguments = [WORK, *database.wrk(), tag]
                return measure(url, pid, postgres.pid, CONNECTIONS, seconds, arguments)

            drive("warm")
            figures = drive("measured")
            sampling = sample(pid, seconds, samples.name)
            drive("sampled")
            if sampling.wait():
                raise click.ClickException("py-spy failed: it may need to run as root")
        return f"{report.machine()}.\n\n{render(shares(samples), figures)}\n"
