"""The schema in a database: whose it is, what it contains, and what it needs."""

from collections.abc import Callable

import click
import sqlalchemy as sa
from flask import current_app
from psycopg2 import errors


class SchemaError(click.ClickException):
    """The schema cannot be created or changed; the message says what to do.

    Every command prints it in one line.
    """


def create_extension(execute: Callable[[str], object], name: str) -> None:
    """Create an extension of PostgreSQL unless it exists.

    Args:
        execute: runs a statement in the transaction that creates the schema.

    Raises:
        SchemaError: the role may not create it, or the server does not have it.
    """
    try:
        execute(f"CREATE EXTENSION IF NOT EXISTS {name}")
    except sa.exc.DBAPIError as error:
        if not isinstance(
            error.orig, (errors.InsufficientPrivilege, errors.FeatureNotSupported)
        ):
            raise
        reason = str(error.orig).splitlines()[0]
        raise SchemaError(
            f"{reason}: as an administrator, run `CREATE EXTENSION {name};` in this"
            " database (if the server does not have it, install PostgreSQL's contrib"
            " package first), then try again"
        ) from error


def check_encoding(connection: sa.Connection) -> None:
    """Check that the encoding of the database is UTF8, which Unicode functions need.

    Raises:
        SchemaError: it is another one.
    """
    encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
    if encoding != "UTF8":
        raise SchemaError(
            f"the database {connection.engine.url.database} has the encoding"
            f" {encoding}: create another one with `CREATE DATABASE users TEMPLATE"
            " template0 ENCODING 'UTF8' LOCALE_PROVIDER builtin BUILTIN_LOCALE"
            " 'C.UTF-8'`, copy the data with pg_dump and psql, and point DATABASE_URL"
            " to it"
        )


def check_test_database(
    metadata: sa.MetaData, connection: sa.Connection, **options: object
) -> None:
    """Refuse `db.create_all()` and `db.drop_all()` in tests on another database.

    `app.config.from_object(TestingConfig)` after `create_app` sets TESTING, but the
    application keeps the database that it was created with.

    Raises:
        SchemaError: TESTING is set, and the name does not end in _test.
    """
    database = connection.engine.url.database or ""
    if current_app.testing and not database.endswith("_test"):
        raise SchemaError(
            f"the tests would change the database {database}, which is not a test"
            " database: choose the configuration when the application is created, with"
            ' create_app("project.config.TestingConfig")'
        )


def check_tables(connection: sa.Connection, metadata: sa.MetaData) -> None:
    """Check that the tables with the names of the models are the models' tables.

    A table whose `info` has `identifying_columns` may lack other columns, which a
    migration has yet to add.

    Raises:
        SchemaError: a table is another application's.
    """
    inspector = sa.inspect(connection)
    for table in metadata.sorted_tables:
        if not inspector.has_table(table.name):
            continue
        stored = {column["name"] for column in inspector.get_columns(table.name)}
        expected = table.info.get("identifying_columns", table.columns.keys())
        missing = [name for name in expected if name not in stored]
        if missing:
            raise SchemaError(
                f"the table {table.name} in the database"
                f" {connection.engine.url.database} is another application's (it has no"
                f" column {', '.join(missing)}): point DATABASE_URL to another database"
            )


def count_rows(connection: sa.Connection, metadata: sa.MetaData) -> dict[str, int]:
    """Return the number of rows of each table of the models that has rows."""
    inspector = sa.inspect(connection)
    counts = {
        table.name: connection.scalars(
            sa.select(sa.func.count()).select_from(table)
        ).one()
        for table in metadata.sorted_tables
        if inspector.has_table(table.name)
    }
    return {name: count for name, count in counts.items() if count}
