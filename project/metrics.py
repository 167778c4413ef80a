"""Metrics for Prometheus, right across gunicorn's workers, on a port of their own."""

import time

from flask import g, request
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    make_wsgi_app,
)
from prometheus_client.multiprocess import MultiProcessCollector

from project import database, db
from project.errors import database_failed
from project.observability import route

# A method that nobody defined is one label for all, or a client could make up
# millions of them.
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

REQUESTS = Counter(
    "http_requests_total", "Requests answered.", ["method", "route", "status"]
)
SECONDS = Histogram(
    "http_request_duration_seconds",
    "Time to answer a request.",
    ["method", "route"],
    buckets=[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
)
IN_FLIGHT = Gauge(
    "http_requests_in_flight",
    "Requests being answered.",
    multiprocess_mode="livesum",
)
POOL = Gauge(
    "database_pool_in_use",
    "Connections of the API's pool in use.",
    multiprocess_mode="livesum",
)
DATABASE_ERRORS = Counter(
    "database_errors_total",
    "Requests refused since the database was not available.",
    ["kind"],
)


def init_app(app):
    """Measure the app's requests, and answer on METRICS_PORT with the metrics."""
    app.before_request(IN_FLIGHT.inc)
    app.after_request(observe)
    database_failed.connect(count_database_error)
    app.wsgi_app = MetricsPort(app.wsgi_app, app.config["METRICS_PORT"])


def observe(response):
    """Count a request and its time, and the connections in use as it ends.

    Args:
        response: the answer; it is returned.
    """
    method = request.method if request.method in METHODS else "other"
    REQUESTS.labels(method, route(), response.status_code).inc()
    SECONDS.labels(method, route()).observe(time.perf_counter() - g.started)
    IN_FLIGHT.dec()
    POOL.set(db.engines[database.AUTOCOMMIT].pool.checkedout())
    return response


def count_database_error(app, error):
    """Count a request that failed since the database was not available.

    Args:
        app: the application.
        error: what the database, or the pool, raised.
    """
    DATABASE_ERRORS.labels(type(error).__name__).inc()


class MetricsPort:
    """The metrics on a port of their own, which need not be public.

    Args:
        app: the WSGI application of every other port.
        port: the metrics' port.
    """

    def __init__(self, app, port):
        self.app = app
        self.port = port
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        self.metrics = make_wsgi_app(registry)

    def __call__(self, environ, start_response):
        """Answer a request; the port is the socket's, since a client names its own."""
        if environ["gunicorn.socket"].getsockname()[1] == self.port:
            return self.metrics(environ, start_response)
        return self.app(environ, start_response)
