"""Schemathesis hooks for rules that the OpenAPI document cannot express."""

import os
from collections.abc import Callable
from functools import cache
from typing import Any
from urllib.parse import urlencode

import psycopg2
import schemathesis
from psycopg2.extensions import connection as Connection

from project.api.users.schemas import (
    WRITABLE_FIELDS,
    check_search,
    check_visible,
)

FREE_EMAIL = """
    UPDATE users SET email = gen_random_uuid() || '@renamed.example'
    WHERE users_mailbox(email) = users_mailbox(%s) AND id::text <> %s
"""


@cache
def connect() -> Connection:
    """Return a connection to the service's database."""
    connection = psycopg2.connect(os.environ["DATABASE_TEST_URL"])
    connection.autocommit = True
    return connection


@schemathesis.hook
def filter_query(
    context: schemathesis.HookContext, query: dict[str, Any] | None
) -> bool:
    """Skip queries that the service may refuse although they have the right schema.

    They are too long for a URL, or a word of `search` has no letter and no digit, or a
    username has an invisible character beyond U+FFFF.
    """
    query = query or {}
    return (
        len(urlencode(query, errors="replace")) < 8000
        and passes(check_search, query.get("search"))
        and passes(check_visible, query.get("username"))
    )


@schemathesis.hook
def filter_body(context: schemathesis.HookContext, body: Any) -> bool:
    """Skip bodies that the service may refuse although they have the right schema.

    A username has an invisible character beyond U+FFFF, or a PATCH no known member.
    """
    if not isinstance(body, dict):
        return True
    is_change = context.operation is not None and context.operation.method == "patch"
    if is_change and body and body.keys().isdisjoint(WRITABLE_FIELDS):
        return False
    return passes(check_visible, body.get("username"))


def passes(check: Callable[[str], str], value: object) -> bool:
    """Return whether a value is valid, or is no text."""
    if isinstance(value, str):
        try:
            check(value)
        except ValueError:
            return False
    return True


@schemathesis.hook
def before_call(
    context: schemathesis.HookContext,
    case: schemathesis.Case[Any],
    kwargs: dict[str, Any],
) -> None:
    """Free the e-mail address of the body if another user has it.

    The service refuses a valid body with a taken address. Schemathesis would report
    that as a valid body that was refused.
    """
    email = case.body.get("email") if isinstance(case.body, dict) else None
    if isinstance(email, str) and email.isprintable():
        user_id = (case.path_parameters or {}).get("user_id")
        with connect().cursor() as cursor:
            cursor.execute(FREE_EMAIL, [email, str(user_id)])
