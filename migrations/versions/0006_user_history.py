"""Create the table of the history of users, and the triggers that write it.

The triggers do nothing until a version of the service that knows them writes users.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# A copy of that in project/api/users/history/entries.py, which a later version may
# change.
CREATE_TRIGGERS = """
CREATE OR REPLACE FUNCTION users_record_history() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO user_history (user_id, action, who)
    SELECT id, TG_ARGV[0], current_setting('users.who') FROM written;
    RETURN NULL;
END;
$$;
CREATE TRIGGER users_history_insert AFTER INSERT ON users
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT
    WHEN (current_setting('users.who', true) <> '')
    EXECUTE FUNCTION users_record_history('added');
CREATE TRIGGER users_history_update AFTER UPDATE ON users
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT
    WHEN (current_setting('users.who', true) <> '')
    EXECUTE FUNCTION users_record_history('updated');
CREATE TRIGGER users_history_delete AFTER DELETE ON users
    REFERENCING OLD TABLE AS written FOR EACH STATEMENT
    WHEN (current_setting('users.who', true) <> '')
    EXECUTE FUNCTION users_record_history('removed');
"""

# The service's role may not be the owner. Its writes would fail without these
# privileges, because the triggers run with them.
GRANT_PRIVILEGES = """
DO $$
DECLARE
    role record;
BEGIN
    FOR role IN
        SELECT DISTINCT grantee
        FROM pg_class, aclexplode(relacl)
        WHERE oid = 'users'::regclass AND privilege_type = 'INSERT'
    LOOP
        EXECUTE format(
            'GRANT SELECT, INSERT, DELETE ON user_history TO %s',
            CASE role.grantee WHEN 0 THEN 'PUBLIC' ELSE role.grantee::regrole::text END
        );
    END LOOP;
END;
$$
"""


def upgrade() -> None:
    """Apply the migration."""
    op.create_table(
        "user_history",
        sa.Column("user_id", sa.BigInteger, primary_key=True),
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column(
            "written_at",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=sa.func.now(),
        ),
    )
    op.execute(CREATE_TRIGGERS)
    op.execute(GRANT_PRIVILEGES)


def downgrade() -> None:
    """Revert the migration."""
    for event in ("insert", "update", "delete"):
        op.execute(f"DROP TRIGGER users_history_{event} ON users")
    op.execute("DROP FUNCTION users_record_history()")
    op.drop_table("user_history")
