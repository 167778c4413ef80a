"""The servers that are compared, each started as its documentation recommends."""

import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from sqlalchemy import make_url

from benchmarks.database import Database
from devtools.environments import create_environment
from devtools.identity_provider import AUDIENCE, IdentityProvider
from devtools.servers import ROOT, free_port, start_process

REQUIREMENTS = Path(__file__).with_name("requirements.txt")

READ_WORKLOADS = ("ping", "one", "page")
# Those of the comparison. Each is a function of workloads.lua.
WORKLOADS = (*READ_WORKLOADS, "post", "put", "email", "mix")
# A page, and the queries that are compared with it.
QUERY_WORKLOADS = (
    *("page", "compressed", "newest", "ids", "email", "username", "inactive", "period"),
    *("search", "search_two_words", "search_one_word", "all_filters"),
    *("estimated", "exact"),
)
# Without those whose cost does not depend on the number of users, and those that read
# a part of all users.
GROWTH_WORKLOADS = (
    *("one", "page", "post", "put", "email", "mix", "newest", "ids", "username"),
    *("inactive", "period", "search", "search_two_words", "all_filters", "estimated"),
)
WRITE_WORKLOADS = ("post", "put")
FEATURE_WORKLOADS = ("one", "page", "post")


@dataclass(frozen=True)
class Server:
    """A server that is compared.

    Attributes:
        name: its name in the report.
        arguments: Python's command line; `{port}` is replaced.
        is_peer: whether it runs in the peers' environment.
        variables: added to its environment; `{metrics_port}` is replaced.
        workloads: the workloads that it supports.
        checkout: the directory with its code.
        headers: sent with each request, as `name: value`.
    """

    name: str
    arguments: tuple[str, ...]
    is_peer: bool = False
    variables: Mapping[str, str] = field(default_factory=dict)
    workloads: tuple[str, ...] = WORKLOADS
    checkout: Path = ROOT
    headers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Target:
    """A running server that is measured.

    Attributes:
        name: its name in the report.
        pid: its main process.
        headers: see `Server`.
    """

    name: str
    url: str
    pid: int
    workloads: tuple[str, ...]
    database: Database
    headers: tuple[str, ...]


CORES = str(os.cpu_count())
GTHREAD = (
    *("-m", "gunicorn", "-b", "127.0.0.1:{port}", "-w", CORES),
    *("-k", "gthread", "--threads", "4"),
)
UVICORN = (
    *("-m", "uvicorn", "--port", "{port}", "--workers", CORES),
    # The access log is measured separately.
    *("--log-level", "warning", "--no-access-log"),
)

THIS_SERVICE = Server("this service", ("-m", "gunicorn"))
# The peers record no history either.
WITHOUT_HISTORY = Server(
    "this service, without history",
    THIS_SERVICE.arguments,
    variables={"HISTORY_DAYS": "0"},
    workloads=WRITE_WORKLOADS,
)
HAND_WRITTEN_PEER = Server(
    "Starlette, asyncpg without an ORM",
    (*UVICORN, "benchmarks.peers.starlette_asyncpg:app"),
    is_peer=True,
)
# asyncpg's default costs it a statement per request. This service resets nothing.
PEER_WITHOUT_RESET = replace(
    HAND_WRITTEN_PEER,
    name="Starlette, asyncpg, connections not reset",
    variables={"KEEP_STATE": "1"},
)
SERVERS = (
    THIS_SERVICE,
    Server(
        "this service, access log and metrics",
        THIS_SERVICE.arguments,
        variables={"LOG_LEVEL": "INFO", "METRICS_PORT": "{metrics_port}"},
    ),
    WITHOUT_HISTORY,
    Server(
        "floor: bare WSGI, psycopg2",
        ("-m", "gunicorn", "benchmarks.peers.floor:app"),
        workloads=READ_WORKLOADS,
    ),
    Server(
        "the tutorial's way",
        (*GTHREAD, "benchmarks.peers.tutorial:app"),
        is_peer=True,
    ),
    HAND_WRITTEN_PEER,
    PEER_WITHOUT_RESET,
    Server(
        "FastAPI, async SQLAlchemy, asyncpg",
        (*UVICORN, "benchmarks.peers.fastapi_async:app"),
        is_peer=True,
    ),
    Server(
        "FastAPI, SQLAlchemy, psycopg2",
        (*UVICORN, "benchmarks.peers.fastapi_sync:app"),
        is_peer=True,
    ),
    Server(
        "Litestar, async SQLAlchemy, asyncpg",
        (*UVICORN, "benchmarks.peers.litestar_async:app"),
        is_peer=True,
    ),
    Server(
        "Django REST framework",
        (*GTHREAD, "benchmarks.peers.drf:app"),
        is_peer=True,
    ),
)
ORM_PEERS = tuple(
    server
    for server in SERVERS
    if server.is_peer and server not in (HAND_WRITTEN_PEER, PEER_WITHOUT_RESET)
)


def feature_servers(provider: IdentityProvider) -> list[Server]:
    """Return this service without optional features, with each, and with all.

    Compression is a feature of the request.
    """
    token = "a-token-of-the-benchmark"
    # Valid until the end of any measurement.
    access_token = provider.issue(exp=int(time.time()) + 86400)
    history = {"HISTORY_DAYS": "365"}
    access_log = {"LOG_LEVEL": "INFO"}
    metrics = {"METRICS_PORT": "{metrics_port}"}
    tokens = {"API_TOKENS": f"benchmark:{token}@9999-12-31"}
    oidc = {"OIDC_ISSUER": provider.issuer, "OIDC_AUDIENCE": AUDIENCE}
    gzip = "Accept-Encoding: gzip"
    bearer = "Authorization: Bearer"

    def server(name: str, variables: Mapping[str, str], *headers: str) -> Server:
        return replace(
            THIS_SERVICE,
            name=name,
            variables={"HISTORY_DAYS": "0", **variables},
            workloads=FEATURE_WORKLOADS,
            headers=headers,
        )

    return [
        server("no optional feature", {}),
        server("access log", access_log),
        server("metrics", metrics),
        server("history", history),
        server("compression", {}, gzip),
        server("a token in `API_TOKENS`", tokens, f"{bearer} {token}"),
        server("an access token (ES256)", oidc, f"{bearer} {access_token}"),
        server(
            "all",
            {**access_log, **metrics, **history, **tokens, **oidc},
            gzip,
            f"{bearer} {access_token}",
        ),
    ]


def peers_python() -> Path:
    """Return the Python interpreter of the peers' environment, and create it."""
    return create_environment("peers", REQUIREMENTS) / "python"


def server_variables(database_url: str) -> dict[str, str]:
    """Return the environment variables of every server."""
    url = make_url(database_url)

    def with_driver(driver: str) -> str:
        return url.set(drivername=f"postgresql+{driver}").render_as_string(False)

    return {
        "APP_SETTINGS": "project.config.ProductionConfig",
        "LOG_LEVEL": "WARNING",
        "SECRET_KEY": "the benchmark's own secret",
        "DATABASE_URL": database_url,
        "SQLALCHEMY_URL": with_driver("psycopg2"),
        "SQLALCHEMY_ASYNC_URL": with_driver("asyncpg"),
    }


@contextmanager
def start_target(
    server: Server, database: Database, name: str | None = None
) -> Iterator[Target]:
    """Start a server, and stop it at the end.

    Args:
        name: the target's name if it is not the server's.
    """
    metrics_port = str(free_port())
    variables = server_variables(database.url) | {"PYTHONPATH": str(server.checkout)}
    variables |= {
        variable: value.format(metrics_port=metrics_port)
        for variable, value in server.variables.items()
    }
    python = peers_python() if server.is_peer else sys.executable
    with (
        open(database.log, "a") as log,
        start_process(
            [str(python), *server.arguments],
            # gunicorn reads gunicorn.conf.py in its working directory. The peers must
            # not use the service's.
            cwd=REQUIREMENTS.parent if server.is_peer else server.checkout,
            output=log,
            ready_path="/ping" if server.headers else "/users/1",
            **variables,
        ) as (url, process),
    ):
        yield Target(
            name or server.name,
            url,
            process.pid,
            server.workloads,
            database,
            server.headers,
        )
