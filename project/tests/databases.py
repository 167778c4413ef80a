"""Databases of test processes, which share a server."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask
from sqlalchemy import make_url

from devtools.sql import execute
from project import db
from project.database.embedded import CREATE_DATABASE


def may_create(url: str) -> bool:
    """Return whether the user of the URL may create databases."""
    may = "SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user"
    return bool(execute(url, may)[0][0])


def own_name(prefix: str) -> str:
    """Return the name of a database that no other process of this machine uses."""
    return f"{prefix}_{os.getpid()}_test"


@contextmanager
def temporary_database(
    server_url: str, name: str, template: str | None = None
) -> Iterator[str]:
    """Create a database, yield its URL, and drop it.

    Args:
        server_url: the URL of another database on the server.
        template: the database to copy; None creates an empty one.
    """
    drop = f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"
    # A killed process may have left it.
    execute(server_url, drop)
    if template:
        execute(server_url, f"CREATE DATABASE {name} TEMPLATE {template}")
    else:
        execute(server_url, CREATE_DATABASE.format(name))
    try:
        yield make_url(server_url).set(database=name).render_as_string(False)
    finally:
        execute(server_url, drop)


def drop_leftovers(server_url: str) -> None:
    """Drop the databases of `own_name` whose process was killed."""
    # Comes with the embedded PostgreSQL.
    import psutil

    for (name,) in execute(server_url, "SELECT datname FROM pg_database"):
        match = re.fullmatch(r"[a-z]+_(\d+)_test", name)
        if match and not psutil.pid_exists(int(match[1])):
            execute(server_url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def dispose_engines(app: Flask) -> None:
    """Close the connections of an application; the server limits their number."""
    with app.app_context():
        for engine in db.engines.values():
            engine.dispose()
