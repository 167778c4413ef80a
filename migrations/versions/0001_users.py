"""Create the users table."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the migration."""
    op.create_table(
        "users",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("username", sa.String(128), nullable=False),
        sa.Column("email", sa.String(128), nullable=False),
        sa.Column("active", sa.Boolean, nullable=False, server_default=sa.true()),
        sa.Column(
            "created_date",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=sa.func.now(),
        ),
    )
    op.create_index("users_email_key", "users", [sa.text("lower(email)")], unique=True)
    for name, condition in (
        ("users_active_key", "active"),
        ("users_inactive_key", "NOT active"),
    ):
        op.create_index(name, "users", ["id"], postgresql_where=sa.text(condition))


def downgrade() -> None:
    """Revert the migration."""
    op.drop_table("users")
