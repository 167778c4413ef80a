"""A production server whose DATABASE_URL names several PostgreSQL servers.

`pipenv run chaos` tests failovers of real servers under load.
"""

import pytest
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import make_url

from devtools.servers import start_gunicorn
from project.database.engines import driver_arguments
from project.tests.http_client import send
from project.tests.silent_server import SilentServer
from project.tests.users import user_body

pytestmark = [pytest.mark.server, pytest.mark.waiting]


def test_first_server_that_does_not_respond_delays_only_the_first_request(
    empty_database: SQLAlchemy, database_url: str
) -> None:
    """Its connections were accepted: it crashed, or a firewall drops its packets."""
    real = driver_arguments(database_url)
    with SilentServer() as silent:
        query = {
            "host": f"127.0.0.1,{real['host']}",
            "port": f"{silent.port},{real.get('port', 5432)}",
        }
        url = make_url(database_url).set(host=None, port=None, query=query)
        with start_gunicorn(
            url.render_as_string(hide_password=False),
            DATABASE_CONNECT_TIMEOUT="2",
            WEB_CONCURRENCY="1",
        ) as (service, _):
            assert send(f"{service}/users", "POST", user_body()).status == 201
            attempts = silent.count_connections()
            assert attempts > 0
            for _ in range(10):
                assert send(f"{service}/users").status == 200
            assert silent.count_connections() == attempts
