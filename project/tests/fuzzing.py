"""Schemathesis hooks for rules that the OpenAPI document cannot express."""

import os
from functools import cache
from typing import Any
from urllib.parse import urlencode

import psycopg2
import schemathesis
from psycopg2.extensions import connection as Connection

from project.api.users.schemas import check_search

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

    They are too long for a URL, or the text of `search` is not valid.
    """
    query = query or {}
    if len(urlencode(query, errors="replace")) >= 8000:
        return False
    if isinstance(search := query.get("search"), str):
        try:
            check_search(search)
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
