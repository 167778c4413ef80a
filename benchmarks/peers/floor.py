"""The floor: a bare WSGI application and psycopg2 alone, which only read.

It runs on the service's own gunicorn.conf.py: what is left is what no Python service
on this server and driver can do without.
"""

import os
from queue import Empty, LifoQueue
from urllib.parse import parse_qs

import orjson
import psycopg2

FIELDS = ("id", "username", "email", "active", "created_date")
COLUMNS = ", ".join(FIELDS)
ONE = f"SELECT {COLUMNS} FROM users WHERE id = %s"
PAGE = f"SELECT {COLUMNS} FROM users WHERE id > %s ORDER BY id LIMIT %s"

idle = LifoQueue()


def run(statement, parameters):
    """Run a statement on a connection of a pool, and return its rows as dicts."""
    try:
        connection = idle.get_nowait()
    except Empty:
        connection = psycopg2.connect(os.environ["DATABASE_URL"])
        connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        rows = cursor.fetchall()
    idle.put(connection)
    return [dict(zip(FIELDS, row)) for row in rows]


def app(environ, start_response):
    """Answer `/users` and `/users/<id>`."""
    path = environ["PATH_INFO"].removeprefix("/users")
    if path:
        data = run(ONE, (int(path[1:]),))[0]
    else:
        query = parse_qs(environ["QUERY_STRING"])
        data = {"users": run(PAGE, (query["after"][0], query["limit"][0]))}
    body = orjson.dumps({"status": "success", "data": data})
    start_response(
        "200 OK",
        [("Content-Type", "application/json"), ("Content-Length", str(len(body)))],
    )
    return [body]
