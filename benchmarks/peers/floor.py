"""The floor: a WSGI application without a framework, and psycopg2. It only reads.

It runs with the service's gunicorn.conf.py. Its cost is that of the server and the
driver, with a statement for each request: the service shares statements.
"""

import os
from collections.abc import Iterable, Sequence
from queue import Empty, LifoQueue
from typing import Any
from urllib.parse import parse_qs
from wsgiref.types import StartResponse, WSGIEnvironment

import orjson
import psycopg2

FIELDS = ("id", "username", "email", "active", "created_date")
COLUMNS = ", ".join(FIELDS)
SELECT_USER = f"SELECT {COLUMNS} FROM users WHERE id = %s"
SELECT_PAGE = f"SELECT {COLUMNS} FROM users WHERE id > %s ORDER BY id LIMIT %s"

pool: LifoQueue[psycopg2.extensions.connection] = LifoQueue()


def fetch_all(statement: str, parameters: Sequence[object]) -> list[dict[str, Any]]:
    """Execute a statement on a pooled connection and return its rows."""
    try:
        connection = pool.get_nowait()
    except Empty:
        connection = psycopg2.connect(os.environ["DATABASE_URL"])
        connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        rows = cursor.fetchall()
    pool.put(connection)
    return [dict(zip(FIELDS, row)) for row in rows]


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Serve `/ping`, `/users` and `/users/<id>`."""
    _, resource, *user_id = environ["PATH_INFO"].split("/")
    document: dict[str, Any] = {"status": "success"}
    if resource == "ping":
        document["message"] = "pong!"
    elif user_id:
        document["data"] = fetch_all(SELECT_USER, (int(user_id[0]),))[0]
    else:
        query = parse_qs(environ["QUERY_STRING"])
        limits = (query["after"][0], query["limit"][0])
        document["data"] = {"users": fetch_all(SELECT_PAGE, limits)}
    body = orjson.dumps(document)
    start_response(
        "200 OK",
        [("Content-Type", "application/json"), ("Content-Length", str(len(body)))],
    )
    return [body]
