"""Create the index for the search of the admin site.

It finds any part of a username or an e-mail address. Writes to the table wait while
the index is built.
"""

import click
from alembic import op
from sqlalchemy.exc import DBAPIError

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the migration.

    Raises:
        ClickException: the extension is not installed on the server, or the role may
            not create it.
    """
    try:
        op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    except DBAPIError as error:
        reason = str(error.orig).splitlines()[0]
        raise click.ClickException(
            f"{reason}: as an administrator, run `CREATE EXTENSION pg_trgm;` in this"
            " database (if the server does not have it, install PostgreSQL's contrib"
            " package first), then try again"
        ) from error
    op.create_index(
        "users_search_idx",
        "users",
        ["username", "email"],
        postgresql_using="gin",
        postgresql_ops={"username": "gin_trgm_ops", "email": "gin_trgm_ops"},
    )


def downgrade() -> None:
    """Revert the migration. The extension stays: others may use it."""
    op.drop_index("users_search_idx", "users")
