"""`manage.py db upgrade`."""

from sqlalchemy import NullPool, create_engine, make_url

from project.config import normalize_url
from project.tests.functional.cli.helpers import run_manage
from project.tests.types import RunCommand


def test_upgrade_prints_sql(run_command: RunCommand) -> None:
    assert "CREATE TABLE users" in run_command("db", "upgrade", "--sql").output


def test_upgrade_without_permission_names_the_extension_to_create(
    database_url: str,
) -> None:
    """On a managed PostgreSQL, only an administrator may create an extension."""
    server_url = make_url(normalize_url(database_url))
    server = create_engine(server_url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    database = create_engine(
        server_url.set(database="restricted_test"), poolclass=NullPool
    )
    role_url = make_url(database_url).set(
        database="restricted_test", username="restricted", password="x"
    )
    settings = {
        "APP_SETTINGS": "project.config.ProductionConfig",
        "DATABASE_URL": role_url.render_as_string(False),
    }
    with server.connect() as connection:
        connection.exec_driver_sql("CREATE ROLE restricted LOGIN PASSWORD 'x'")
        connection.exec_driver_sql("CREATE DATABASE restricted_test")
    try:
        with database.begin() as transaction:
            transaction.exec_driver_sql("GRANT CREATE ON SCHEMA public TO restricted")
        refused = run_manage("db", "upgrade", **settings)
        assert refused.returncode == 1
        assert "run `CREATE EXTENSION pg_trgm;`" in refused.stderr
        assert "Traceback" not in refused.stderr
        with database.begin() as transaction:
            transaction.exec_driver_sql("CREATE EXTENSION pg_trgm")
        assert run_manage("db", "upgrade", **settings).returncode == 0
    finally:
        with server.connect() as connection:
            connection.exec_driver_sql("DROP DATABASE restricted_test WITH (FORCE)")
            connection.exec_driver_sql("DROP ROLE restricted")
