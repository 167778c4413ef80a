"""Make the mailbox of an e-mail address unique, instead of the address in lower case.

Two users may have one mailbox, in spellings that the index of migration 0001 takes for
different addresses. Then the migration changes nothing and lists them. Writes to the
table wait until it has ended; reads wait for the last two statements only.
"""

import sqlalchemy as sa
from alembic import context, op

from project.database.schema import SchemaError, check_encoding

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# A copy of that in project/api/users/mailbox.py, which a later version may change.
CREATE_FUNCTION = r"""
CREATE OR REPLACE FUNCTION users_mailbox(email text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    key text := lower(email COLLATE "C");
    domain text;
    labels text[] := '{}';
    label text;
    encoded text;
    decoded text;
    digit int;
    t int;
    k int;
    bias int;
    n bigint;
    i bigint;
    old_i bigint;
    w bigint;
    delta bigint;
BEGIN
    IF octet_length(email) = length(email) AND strpos(key, 'xn--') = 0 THEN
        RETURN key;
    END IF;
    key := email;
    FOR pass IN 1..2 LOOP
        key := replace(normalize(key, NFKC), E'\u0130', E'i\u0307');
        key := translate(
            key,
            E'\u1c80\u1c81\u1c82\u1c83\u1c84\u1c85\u1c86\u1c87\u1c88',
            E'\u0432\u0434\u043e\u0441\u0442\u0442\u044a\u0463\ua64b'
        );
        key := normalize(lower(key COLLATE pg_c_utf8), NFKC);
        domain := replace(split_part(key, '@', -1), E'\u3002', '.');
        key := left(key, length(key) - length(domain));
        key := replace(key, E'\u03C2', E'\u03C3');
        -- The second pass folds what the first one has decoded.
        IF pass = 2 OR strpos(domain, 'xn--') = 0 THEN
            RETURN key || domain;
        END IF;
        FOREACH label IN ARRAY string_to_array(domain, '.') LOOP
            encoded := substring(label FROM '^xn--([ -~]*)$');
            decoded := substring(encoded FROM '^(.*)-');
            encoded := substr(encoded, coalesce(length(decoded) + 2, 1));
            decoded := coalesce(decoded, '');
            n := 128;
            i := 0;
            bias := 72;
            <<decode>>
            WHILE encoded <> '' LOOP
                old_i := i;
                w := 1;
                k := 36;
                LOOP
                    digit := strpos(
                        'abcdefghijklmnopqrstuvwxyz0123456789', left(encoded, 1)
                    ) - 1;
                    IF encoded = '' OR digit < 0 OR w > 1e12 THEN
                        decoded := '';
                        EXIT decode;
                    END IF;
                    encoded := substr(encoded, 2);
                    i := i + digit * w;
                    t := least(greatest(k - bias, 1), 26);
                    EXIT WHEN digit < t;
                    w := w * (36 - t);
                    k := k + 36;
                END LOOP;
                delta := (i - old_i) / CASE old_i WHEN 0 THEN 700 ELSE 2 END;
                delta := delta + delta / (length(decoded) + 1);
                bias := 0;
                WHILE delta > 455 LOOP
                    delta := delta / 35;
                    bias := bias + 36;
                END LOOP;
                bias := bias + 36 * delta / (delta + 38);
                n := n + i / (length(decoded) + 1);
                i := mod(i, length(decoded) + 1);
                IF n > 1114111 OR n BETWEEN 55296 AND 57343 THEN
                    decoded := '';
                    EXIT decode;
                END IF;
                decoded := left(decoded, i::int) || chr(n::int)
                    || substr(decoded, i::int + 1);
                i := i + 1;
            END LOOP;
            IF octet_length(decoded) > length(decoded) THEN
                label := decoded;
            END IF;
            labels := labels || label;
        END LOOP;
        key := key || array_to_string(labels, '.');
    END LOOP;
END
$$
"""
FIND_COLLISIONS = """
    SELECT array_agg(id ORDER BY id), array_agg(email ORDER BY id) FROM users
    GROUP BY users_mailbox(email) HAVING count(*) > 1 ORDER BY min(id)
"""


def check_collisions(connection: sa.Connection) -> None:
    """Check that each mailbox belongs to one user.

    Raises:
        SchemaError: some belong to several; the message lists them.
    """
    collisions = connection.exec_driver_sql(FIND_COLLISIONS).all()
    if not collisions:
        return
    listed = [
        # repr() escapes control characters, which a terminal would interpret.
        ", ".join(f"{id_} {email!r}" for id_, email in zip(ids, emails))
        for ids, emails in collisions
    ]
    raise SchemaError(
        f"{len(collisions)} mailbox(es) belong to several users, as different spellings"
        " of one address. Nothing was changed. Delete all but one user of each, or"
        " change their addresses, with the version of the service that ran before or"
        " with `python manage.py psql`, then run `python manage.py db upgrade` again:\n"
        + "\n".join(listed)
    )


def upgrade() -> None:
    """Apply the migration.

    Raises:
        SchemaError: several users have one mailbox, or the encoding of the database is
            not UTF8.
    """
    # No other session may add a user between the check and the index.
    op.execute("LOCK TABLE users IN SHARE MODE")
    if not context.is_offline_mode():
        check_encoding(op.get_bind())
    op.execute(CREATE_FUNCTION)
    if not context.is_offline_mode():
        check_collisions(op.get_bind())
    op.create_index(
        "users_mailbox_key", "users", [sa.text("users_mailbox(email)")], unique=True
    )
    op.drop_index("users_email_key", "users")
    op.execute("ALTER INDEX users_mailbox_key RENAME TO users_email_key")


def downgrade() -> None:
    """Revert the migration."""
    op.drop_index("users_email_key", "users")
    op.create_index("users_email_key", "users", [sa.text("lower(email)")], unique=True)
    op.execute("DROP FUNCTION users_mailbox")
