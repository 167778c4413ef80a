"""Create the indexes for pages of users by username and by creation date.

Writes to the table wait while the indexes are built.
"""

import sqlalchemy as sa
from alembic import op

from project.database.schema import create_extension

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the migration.

    Raises:
        SchemaError: the server does not have the extension, or the role may not create
            it.
    """
    create_extension(op.execute, "btree_gist")
    op.create_index(
        "users_username_idx",
        "users",
        [sa.text("lower(username COLLATE pg_c_utf8)"), "id"],
    )
    op.create_index(
        "users_created_idx",
        "users",
        ["active", "created_date", "id"],
        postgresql_using="gist",
    )
    # PostgreSQL has no statistics of an expression before.
    op.execute("ANALYZE users")


def downgrade() -> None:
    """Revert the migration. The extension stays: others may use it."""
    op.drop_index("users_created_idx", "users")
    op.drop_index("users_username_idx", "users")
