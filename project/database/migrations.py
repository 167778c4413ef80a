"""Running the migrations, which define the schema."""

import sqlalchemy as sa
from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from project.config import ROOT

MIGRATIONS = ROOT / "migrations"


def init_migrate(app: Flask, db: SQLAlchemy) -> None:
    """Add Flask-Migrate's `db` commands.

    Only the command line needs them. Importing Alembic takes a sixth of the time in
    which a server starts.
    """
    from flask_migrate import Migrate

    Migrate(app, db, directory=str(MIGRATIONS))


def upgrade(connection: sa.Connection) -> None:
    """Upgrade the schema to the latest version, in the connection's transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    command.upgrade(config, "head")


def recreate(db: SQLAlchemy) -> None:
    """Drop all tables and create them again, in one transaction."""
    with db.engine.begin() as connection:
        db.metadata.drop_all(connection)
        connection.execute(sa.text("DROP TABLE IF EXISTS alembic_version"))
        upgrade(connection)
