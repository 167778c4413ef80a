"""The values of gunicorn.conf.py that depend on the settings or on the machine."""

import os
import resource
import sys
import tempfile
from collections.abc import Iterator
from functools import cache

from project.config import (
    METRICS_DIR_VARIABLE,
    ConfigError,
    Settings,
    load_config,
    removed_variables,
)

# The maximum number of connections of clients to a worker. Each needs about 20 KiB.
MAX_CONNECTIONS = 10_000
# Open files of a worker that are not connections of clients.
RESERVED_FILES = 200
# PostgreSQL's default is 100 connections. The rest is for migrations and commands.
MAX_DATABASE_CONNECTIONS = 80


@cache
def load_settings_or_exit() -> Settings:
    """Load the configuration, or exit with the reason.

    It is loaded once, because gunicorn executes gunicorn.conf.py again on SIGHUP, and
    the application that the new workers inherit was created with the first settings.
    """
    try:
        settings = load_config()
        if settings.METRICS_PORT == settings.PORT:
            raise ConfigError("METRICS_PORT must differ from PORT: choose another port")
    except ConfigError as error:
        sys.exit(f"Error: {error}")
    return settings


def bind_addresses(settings: Settings) -> list[str]:
    """Return the addresses to listen on."""
    ports = [settings.PORT, settings.METRICS_PORT]
    return [f"0.0.0.0:{port}" for port in ports if port]


def worker_count(settings: Settings) -> int:
    """Return the number of workers: WEB_CONCURRENCY, or one per core.

    Requests are bound by the CPU: on two cores two workers served more than one, and
    four no more than two. The pools of all workers stay within
    MAX_DATABASE_CONNECTIONS.
    """
    cores = (
        len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    )
    max_workers = max(1, MAX_DATABASE_CONNECTIONS // settings.DATABASE_POOL_SIZE)
    return settings.WEB_CONCURRENCY or min(cores, max_workers)


def connection_limit(settings: Settings) -> int:
    """Return the maximum number of connections to each address of a worker.

    Idle keep-alive connections count. Each connection needs an open file, and other
    files must remain for the database.
    """
    max_files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if max_files == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    addresses = len(bind_addresses(settings))
    return max(1, min(MAX_CONNECTIONS, (max_files - RESERVED_FILES) // addresses))


def create_metrics_dir(settings: Settings) -> str | None:
    """Create the folder in which the workers share metrics, if METRICS_PORT is set."""
    if not settings.METRICS_PORT:
        return None
    os.environ[METRICS_DIR_VARIABLE] = temporary_folder()
    return os.environ[METRICS_DIR_VARIABLE]


@cache
def temporary_folder() -> str:
    """Create a folder, once: see `load_settings_or_exit`."""
    return tempfile.mkdtemp(prefix="metrics_")


def startup_warnings(settings: Settings) -> Iterator[str]:
    """Yield a line for each setting that is missing or no longer valid."""
    if not settings.IS_PRODUCTION:
        yield (
            f"{settings.APP_SETTINGS} is not meant for production: in production, set"
            " APP_SETTINGS=project.config.ProductionConfig"
        )
    if settings.IS_PRODUCTION and not settings.DATABASE_URL:
        yield "DATABASE_URL is not set: /users and /health are answered with 503"
    requires_token = settings.API_TOKENS or settings.OIDC_ISSUER
    if settings.IS_PRODUCTION and not requires_token:
        yield (
            "API_TOKENS is not set: every client that reaches this service can read,"
            " change and delete every user"
        )
    for token in settings.API_TOKENS:
        if token.has_expired():
            yield (
                f"API_TOKENS: the token {token.name or f'number {token.position}'} has"
                f" expired; its last day was {token.last_day}: give the client a new"
                " token, and remove this one"
            )
    if settings.IS_PRODUCTION and not settings.TRUSTED_HOSTS:
        yield (
            "TRUSTED_HOSTS is not set: links in responses contain the host name that"
            " the client sends, whatever it is"
        )
    if settings.REQUIRE_HTTPS and not settings.TRUSTED_PROXIES:
        yield (
            "REQUIRE_HTTPS is set and TRUSTED_PROXIES is not: requests through a proxy"
            " count as plain HTTP and are redirected again and again"
        )
    if settings.IS_PRODUCTION and (names := removed_variables()):
        yield (
            f"{' and '.join(names)} no longer have an effect: add operators with"
            " `python manage.py set_operator`, and set only SECRET_KEY"
        )
