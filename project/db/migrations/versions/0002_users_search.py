"""Index what the admin searches: any part of a username or an e-mail address.

While the index is built, writes to the table wait.
"""

import click
from alembic import op
from sqlalchemy.exc import DBAPIError

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade():
    """Apply the change.

    Raises:
        ClickException: the server lacks the extension, or the role may not create it.
    """
    try:
        op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    except DBAPIError as error:
        said = str(error.orig).splitlines()[0]
        raise click.ClickException(
            f"{said}: as the database's administrator, run `CREATE EXTENSION pg_trgm;`"
            " in this database (where the server lacks it, install PostgreSQL's contrib"
            " package first), then try again"
        ) from error
    op.create_index(
        "users_search_idx",
        "users",
        ["username", "email"],
        postgresql_using="gin",
        postgresql_ops={"username": "gin_trgm_ops", "email": "gin_trgm_ops"},
    )


def downgrade():
    """Take the change back; others may use the extension."""
    op.drop_index("users_search_idx", "users")
