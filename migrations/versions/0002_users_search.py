"""Create the index for the search of the admin site.

It finds any part of a username or an e-mail address. Writes to the table wait while
the index is built.
"""

from alembic import op

from project.database.schema import create_extension

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the migration.

    Raises:
        SchemaError: the server does not have the extension, or the role may not create
            it.
    """
    create_extension(op.execute, "pg_trgm")
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
