"""The database's schema: the migrations define it, these functions run them."""

from pathlib import Path

import sqlalchemy as sa

from project import db

MIGRATIONS = Path(__file__).parent / "db" / "migrations"


def with_commands(app):
    """Return an application with the commands `db …`, which are Flask-Migrate's.

    Only a command line has use for them: to load them takes a sixth of the time in
    which a server starts.

    Args:
        app: the application; it is returned.
    """
    from flask_migrate import Migrate

    Migrate(app, db, directory=MIGRATIONS)
    return app


def upgrade(connection):
    """Bring the schema up to date, in the connection's transaction.

    Args:
        connection: a connection of the default engine.
    """
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    command.upgrade(config, "head")


def recreate():
    """Drop the schema with all that is in it, and build it anew: both or neither."""
    with db.engine.begin() as connection:
        db.metadata.drop_all(connection)
        connection.execute(sa.text("DROP TABLE IF EXISTS alembic_version"))
        upgrade(connection)


def count_users():
    """Return how many users there are; none where there is no table for them."""
    with db.engine.connect() as connection:
        if not sa.inspect(connection).has_table("users"):
            return 0
        return connection.scalar(sa.text("SELECT count(*) FROM users"))
