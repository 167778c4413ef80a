"""The mailbox of an e-mail address: the same for all spellings of the address.

Spellings differ in letter case, in Unicode compatibility forms (full-width letters,
composed and decomposed accents), and in the form of an international domain
(`bücher.example` or `xn--bcher-kva.example`).
"""

import unicodedata
from typing import Any

import sqlalchemy as sa

from project.database.schema import check_encoding

# The capital letters of these small letters have another small letter.
OTHER_SMALL_LETTERS = "\u1c80\u1c81\u1c82\u1c83\u1c84\u1c85\u1c86\u1c87\u1c88"
SMALL_LETTERS = "\u0432\u0434\u043e\u0441\u0442\u0442\u044a\u0463\ua64b"


def escape(text: str) -> str:
    r"""Return a text with `\uXXXX` for each character that is not ASCII."""
    return text.encode("unicode_escape").decode()


# PostgreSQL's function of the unique index. A change needs a migration that replaces it
# and rebuilds the index. It uses only functions and collations of
# pg_catalog, because pg_dump and REINDEX call it with an empty search_path. Its result
# does not depend on the locale of the database.
#
# Most addresses are ASCII and end at the first RETURN. The others are folded:
# - lower() maps one letter to one; `İ`, which has two small ones, is replaced before.
# - NFKC follows again, because it composes some small letters but not their capitals:
#   `J̌` is two characters, `ǰ` is one.
# - In a domain, the final sigma is a letter of its own (RFC 5892).
#
# The inner loops decode a label of a domain; the names are those of RFC 3492. A label
# that is not valid stays as it is. An error would prevent the index on a table that
# has such an address.
CREATE_FUNCTION = rf"""
CREATE OR REPLACE FUNCTION users_mailbox(email text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    key text := lower(email COLLATE "C");
    domain text;
    labels text[] := '{{}}';
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
            E'{escape(OTHER_SMALL_LETTERS)}',
            E'{escape(SMALL_LETTERS)}'
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


def create_function(connection: sa.Connection) -> None:
    """Create the function in the database.

    Raises:
        SchemaError: the encoding of the database is not UTF8.
    """
    check_encoding(connection)
    connection.exec_driver_sql(CREATE_FUNCTION)


def mailbox(email: sa.SQLColumnExpression[Any]) -> sa.ColumnElement[str]:
    """Return the SQL expression of the mailbox of an address."""
    return sa.func.users_mailbox(email, type_=sa.Text)


def fold(text: str) -> str:
    """Return the domain of an address as the function of the database folds it."""
    table = str.maketrans(OTHER_SMALL_LETTERS, SMALL_LETTERS)
    text = unicodedata.normalize("NFKC", text).translate(table)
    # One character at a time: otherwise a sigma at the end becomes a final sigma.
    text = unicodedata.normalize("NFKC", "".join(map(str.lower, text)))
    return text.replace("\u3002", ".")


def decode_label(label: str) -> str:
    """Return a label of a domain without Punycode; a label that is invalid stays."""
    try:
        decoded = label.removeprefix("xn--").encode("ascii").decode("punycode")
        decoded.encode()
    except UnicodeError:
        return label
    return label if decoded.isascii() or not label.startswith("xn--") else decoded


def fold_domain(domain: str) -> str:
    """Return the domain of an address as `users_mailbox` returns it."""
    return fold(".".join(map(decode_label, fold(domain).split("."))))
