"""The database's schema: the migrations define it, these functions run them."""

import sqlalchemy as sa
from alembic import command

from project import db, migrate


def upgrade(connection):
    """Bring the schema up to date, in the connection's transaction.

    Args:
        connection: a connection of the default engine.
    """
    config = migrate.get_config()
    config.attributes["connection"] = connection
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
