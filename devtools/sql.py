"""Execute single SQL statements."""

from contextlib import closing
from typing import Any

import psycopg2


def connect(url: str) -> psycopg2.extensions.connection:
    """Return a connection in autocommit mode."""
    connection = psycopg2.connect(url, connect_timeout=5)
    connection.autocommit = True
    return connection


def execute(url: str, statement: str) -> list[tuple[Any, ...]]:
    """Execute a statement and return its rows, if it has any."""
    with closing(connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []
