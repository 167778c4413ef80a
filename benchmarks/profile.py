"""Attribute the CPU time of a request to the layers of the service."""

import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence

import click

from benchmarks import report
from benchmarks.database import start_database_server
from benchmarks.measure import Measurement, measure
from benchmarks.servers import THIS_SERVICE, peers_python, start_target

WORKLOAD = "one"
CONNECTIONS = 16
SAMPLES_PER_SECOND = 200
DATABASE_LAYER = "psycopg2: run the statement, wait for PostgreSQL"
DATABASE_WAIT = r"^WaitCallback.__call__ \("
# The layer of a stack frame is that of the first pattern that matches. A frame that
# matches none, for example of the standard library, belongs to its caller's layer.
LAYERS = {
    # psycopg2 is written in C and has no frames of its own.
    r"^fetch_all \(.*project/api/users/queries": DATABASE_LAYER,
    r"gunicorn/|project/server/": "gunicorn: read the request, write the response",
    "gevent/": "gevent: greenlets, sockets, timeouts",
    "sqlalchemy/": "SQLAlchemy: the pool",
    "werkzeug/routing/": "Werkzeug: find the view",
    "werkzeug/": "Werkzeug: request, response, headers, contexts' proxies",
    "flask_restful/": "Flask-RESTful: dispatch",
    "flask/|blinker/": "Flask: contexts, hooks, signals, dispatch",
    "project/": "this service: views, schemas, queries, JSON, request id",
}


def find_layer(stack: Sequence[str]) -> str | None:
    """Return the layer in which a sample was taken, or None if no frame matches.

    Args:
        stack: the frames, outermost first, as `function (file:line)`.
    """
    # The innermost frames of this wait are gevent's.
    if any(re.search(DATABASE_WAIT, frame) for frame in stack):
        return DATABASE_LAYER
    for frame in reversed(stack):
        for pattern, layer in LAYERS.items():
            if re.search(pattern, frame):
                return layer
    return None


def layer_shares(samples: Iterable[str]) -> dict[str, float]:
    """Return the share of each layer, the largest first.

    Args:
        samples: lines of a stack, its frames separated by `;`, and a count.
    """
    counts: Counter[str] = Counter()
    for line in samples:
        stack, _, count = line.rpartition(" ")
        if layer := find_layer(stack.split(";")):
            counts[layer] += int(count)
    total = counts.total()
    return {layer: count / total for layer, count in counts.most_common()}


def start_sampling(pid: int, seconds: int, output: str) -> subprocess.Popen[bytes]:
    """Start py-spy on a process and its descendants."""
    return subprocess.Popen(
        [
            *(peers_python().with_name("py-spy"), "record", "--pid", str(pid)),
            *("--subprocesses", "--full-filenames", "--format", "raw", "-o", output),
            *("--duration", str(seconds), "--rate", str(SAMPLES_PER_SECOND)),
            # Pausing the process for each sample would distort the result.
            "--nonblocking",
        ],
        stdout=subprocess.DEVNULL,
    )


def layer_table(shares: dict[str, float], measurement: Measurement) -> str:
    """Return the CPU time of each layer.

    Args:
        measurement: of a run without sampling.
    """
    rows = [
        (layer, f"{share * measurement.server_cpu:.0f}")
        for layer, share in shares.items()
    ]
    rows += [
        ("PostgreSQL, in its own process", f"{measurement.postgres_cpu:.0f}"),
        ("the client (wrk), in its own process", f"{measurement.client_cpu:.0f}"),
    ]
    header = (f"layer, {report.WORKLOAD_LABELS[WORKLOAD]}", "CPU µs per request")
    return report.table(header, rows)


def profile(seconds: int, users: int) -> str:
    """Profile this service and return the report.

    Raises:
        ClickException: the service did not respond, or py-spy failed.
    """
    with (
        start_database_server() as database_server,
        tempfile.NamedTemporaryFile("r") as samples,
        start_target(THIS_SERVICE, database_server.create_database(users)) as target,
    ):
        measure(target, WORKLOAD, CONNECTIONS, seconds, "warm-up")
        measurement = measure(target, WORKLOAD, CONNECTIONS, seconds, "measured")
        if not measurement:
            raise click.ClickException(f"{target.name} did not respond")
        sampling = start_sampling(target.pid, seconds, samples.name)
        measure(target, WORKLOAD, CONNECTIONS, seconds, "sampled")
        if sampling.wait():
            raise click.ClickException("py-spy failed: it may have to run as root")
        table = layer_table(layer_shares(samples), measurement)
    return f"{report.describe_machine()}.\n\n{table}\n"
