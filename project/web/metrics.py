"""Prometheus metrics of all gunicorn workers, on a port of their own.

Loaded only if METRICS_PORT is set.
"""

import time
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING

from flask import Flask, Response, current_app
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    make_wsgi_app,
)
from prometheus_client.multiprocess import MultiProcessCollector

from project.database.engines import AUTOCOMMIT
from project.database.pool import FifoPool
from project.web.errors import database_failed
from project.web.proxies import current_globals, current_request
from project.web.request_log import route_label

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from project.database.standbys import Standby

# Every other method has the label "other". Otherwise a client could create any number
# of time series.
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
POOL_IN_USE = Gauge(
    "database_pool_in_use",
    "Connections of the API's pool in use.",
    multiprocess_mode="livesum",
)
STANDBY_LAG = Gauge(
    "database_standby_lag_seconds",
    "By how much a standby may be behind the primary; +Inf if it is not known.",
    ["host"],
    multiprocess_mode="livemax",
)
DATABASE_ERRORS = Counter(
    "database_errors_total",
    "Requests that failed because the database was unavailable.",
    ["kind"],
)


def init_app(app: Flask) -> None:
    """Record metrics of every request, and serve them on METRICS_PORT."""
    app.before_request(IN_FLIGHT.inc)
    app.after_request(record_request)
    database_failed.connect(count_database_error)
    if app.config["DATABASE_READ_URL"]:
        from project.database.standbys import lag_measured

        lag_measured.connect(record_lag)
    app.wsgi_app = MetricsMiddleware(  # type: ignore[method-assign]
        app.wsgi_app, app.config["METRICS_PORT"]
    )


def record_request(response: Response) -> Response:
    """Record a request, its duration, and the connections in use at its end."""
    current = current_request()
    method = current.method if current.method in METHODS else "other"
    requests, seconds = find_series(method, route_label(current), response.status_code)
    requests.inc()
    seconds.observe(time.perf_counter() - current_globals().started)
    IN_FLIGHT.dec()
    pool = current_app.extensions["sqlalchemy"].engines[AUTOCOMMIT].pool
    assert isinstance(pool, FifoPool)
    POOL_IN_USE.set(pool.checkedout())
    return response


@cache
def find_series(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    """Return the time series of a request. `labels` takes longer than the cache."""
    return REQUESTS.labels(method, route, status), SECONDS.labels(method, route)


def count_database_error(app: Flask, error: Exception) -> None:
    """Count an error by its class; a receiver of `database_failed`."""
    DATABASE_ERRORS.labels(type(error).__name__).inc()


def record_lag(standby: "Standby") -> None:
    """Record the lag of a standby; a receiver of `lag_measured`."""
    STANDBY_LAG.labels(standby.host).set(standby.lag())


class MetricsMiddleware:
    """Serves the metrics on one port, and an application on every other port."""

    def __init__(self, app: "WSGIApplication", port: int) -> None:
        self.app = app
        self.port = port
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        self.metrics_app = make_wsgi_app(registry)

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Choose by the port of the socket, since a client can forge the Host."""
        if environ["gunicorn.socket"].getsockname()[1] == self.port:
            response: Iterable[bytes] = self.metrics_app(environ, start_response)
            return response
        return self.app(environ, start_response)
