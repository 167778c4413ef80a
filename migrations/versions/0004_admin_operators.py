"""Create the tables of the admin site: operators, sessions, login attempts."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def timestamp(name: str) -> sa.Column[object]:
    """Return a column for a point in time, by default the current one."""
    return sa.Column(
        name, sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()
    )


def upgrade() -> None:
    """Apply the migration."""
    op.create_table(
        "admin_operators",
        sa.Column("username", sa.String(64), primary_key=True),
        sa.Column("password_hash", sa.String, nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        timestamp("created_at"),
        sa.CheckConstraint(
            "role IN ('reader', 'editor')", name="admin_operators_role_check"
        ),
    )
    op.create_table(
        "admin_sessions",
        sa.Column("token_digest", sa.LargeBinary, primary_key=True),
        sa.Column(
            "username",
            sa.String(64),
            sa.ForeignKey("admin_operators.username", ondelete="CASCADE"),
            nullable=False,
        ),
        timestamp("created_at"),
        timestamp("seen_at"),
    )
    op.create_index("ix_admin_sessions_username", "admin_sessions", ["username"])
    op.create_table(
        "admin_login_attempts",
        sa.Column("client", sa.String(64), primary_key=True),
        sa.Column("period", sa.Integer, primary_key=True),
        timestamp("started_at"),
        sa.Column("attempts", sa.Integer, nullable=False),
    )


def downgrade() -> None:
    """Revert the migration."""
    for table in ("admin_sessions", "admin_operators", "admin_login_attempts"):
        op.drop_table(table)
