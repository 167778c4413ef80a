"""Running the migrations, which define the schema."""

from collections import defaultdict
from typing import TYPE_CHECKING, cast

import click
import sqlalchemy as sa
from flask import Flask, current_app
from flask_sqlalchemy import SQLAlchemy
from psycopg2.errors import DependentObjectsStillExist

from project.config import ROOT
from project.database.schema import SchemaError, check_tables

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.util import CommandError

# Alembic is imported where it is used. Only the command line needs it, and importing
# it takes a sixth of the time in which a server starts.

MIGRATIONS = ROOT / "migrations"

# Seconds that a migration waits for a lock. Meanwhile, the writes to the table wait
# behind it. Longer than PostgreSQL's `deadlock_timeout` of one second, after which it
# cancels an autovacuum that is in the way; shorter than DATABASE_LOCK_TIMEOUT, after
# which the writes would fail.
LOCK_TIMEOUT = 2
# How often a migration that gets no lock is tried, and the seconds in between, in which
# the writes that waited are executed.
ATTEMPTS = 10
RETRY_SECONDS = 3


def init_migrate(app: Flask, db: SQLAlchemy) -> None:
    """Add Flask-Migrate's `db` commands.

    The commands that write a migration number it, unless they get a `--rev-id`.
    """
    from flask_migrate import Migrate

    Migrate(app, db, directory=str(MIGRATIONS))
    # Alembic's hook for new migrations, process_revision_directives, is not called for
    # `db merge`, and cannot tell an id that was given from a random one.
    group = cast(click.Group, app.cli.commands["db"])
    for name in ("migrate", "revision", "merge"):
        for option in group.commands[name].params:
            if option.name == "rev_id":
                option.default = next_number


def group_by_number() -> dict[str, list[str]]:
    """Return the file names of the migrations by their number; usually one each."""
    files = defaultdict(list)
    for path in sorted((MIGRATIONS / "versions").glob("*.py")):
        files[path.name.split("_")[0]].append(path.name)
    return files


def check_numbers() -> None:
    """Check that no two migrations have the same number.

    Two branches may have added them. Alembic would ignore one of them.

    Raises:
        SchemaError: two have.
    """
    for number, names in group_by_number().items():
        if len(names) > 1:
            raise SchemaError(
                f"{' and '.join(names)} have the same number: in one of them, change"
                " the number in its name and its `revision` to the next number, and"
                f' its `down_revision` to "{number}"'
            )


def next_number() -> str:
    """Return the number of the next migration.

    Raises:
        SchemaError: two migrations have the same number.
    """
    check_numbers()
    numbers = [int(number) for number in group_by_number() if number.isdecimal()]
    return f"{max(numbers, default=0) + 1:04}"


def alembic_config() -> "Config":
    """Return Alembic's configuration."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def upgrade(connection: sa.Connection | None = None) -> None:
    """Upgrade the schema to the latest version.

    Args:
        connection: all migrations run in its transaction; None runs each migration in a
            transaction of its own.
    """
    from alembic import command

    config = alembic_config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def current_revisions(connection: sa.Connection) -> set[str]:
    """Return the latest migrations that the database has run: usually one."""
    from alembic.runtime.migration import MigrationContext

    return set(MigrationContext.configure(connection).get_current_heads())


def check_revision(connection: sa.Connection) -> None:
    """Check that this version of the service has the database's latest migration.

    Raises:
        SchemaError: a newer version or another application has migrated the database.
    """
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(alembic_config()).walk_revisions()
    unknown = current_revisions(connection) - {script.revision for script in scripts}
    if not unknown:
        return
    reason = (
        f"the database {connection.engine.url.database} has run the migration"
        f" {', '.join(sorted(unknown))}, which this version of the service lacks"
    )
    if current_app.config["USES_EMBEDDED_DATABASE"]:
        remedy = (
            "switch to the version that has it, and revert it there with `python"
            " manage.py db downgrade`; or delete the folder instance/postgres to start"
            " with an empty database"
        )
    else:
        remedy = (
            "use the version that has it; or, if another application uses this"
            " database, point DATABASE_URL to another one"
        )
    raise SchemaError(f"{reason}: {remedy}")


def check_ownership(connection: sa.Connection, metadata: sa.MetaData) -> None:
    """Check that `recreate` would drop no table of another application.

    Raises:
        SchemaError: it would.
    """
    check_revision(connection)
    check_tables(connection, metadata)
    # Other applications number their migrations, too: without a table of the models,
    # a known number says nothing about the other tables.
    tables = set(sa.inspect(connection).get_table_names()) - {"alembic_version"}
    if tables and not tables & set(metadata.tables) and current_revisions(connection):
        raise SchemaError(
            f"the migrations in the database {connection.engine.url.database} are"
            " another application's (it has other tables, but none of this service):"
            " point DATABASE_URL to another database"
        )


def explain_command_error(error: "CommandError") -> str:
    """Return the message of an error of Alembic, with the command that helps."""
    from alembic.script.revision import MultipleHeads

    if isinstance(error.__cause__, MultipleHeads):
        return (
            "more than one migration is the latest"
            f" ({', '.join(sorted(error.__cause__.heads))}): set the `down_revision` of"
            " one to the other, or run `python manage.py db merge heads -m Merge`"
        )
    if str(error) == "Target database is not up to date.":
        return (
            "the database has not run all migrations: run `python manage.py db"
            " upgrade`, then try again"
        )
    return str(error)


def recreate(db: SQLAlchemy) -> None:
    """Drop all tables and create them again, in one transaction.

    Raises:
        SchemaError: an object that is not in the models depends on a table.
    """
    with db.engine.begin() as connection:
        try:
            db.metadata.drop_all(connection)
        except sa.exc.InternalError as error:
            if not isinstance(error.orig, DependentObjectsStillExist):
                raise
            details = str(error.orig.diag.message_detail).replace("\n", "; ")
            raise SchemaError(
                f"{error.orig.diag.message_primary} ({details}): drop them first, then"
                " try again"
            ) from error
        connection.execute(sa.text("DROP TABLE IF EXISTS alembic_version"))
        upgrade(connection)
