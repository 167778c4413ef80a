"""The search and the filters of the admin site's user list."""

from typing import Any

import sqlalchemy as sa
from flask_admin.contrib.sqla import filters
from sqlalchemy.orm import Query

from project.api.users.mailbox import mailbox
from project.api.users.models import User
from project.api.users.pages import has_word, is_found
from project.api.users.schemas import check_printable, parse_id
from project.api.users.search import escape_like, parse_words


def matches_search(text: str) -> sa.ColumnElement[bool]:
    """Return the condition that a search finds a user.

    It is that of the API, except that a number also finds an id.

    Raises:
        PydanticCustomError: the text is not valid.
    """
    criteria = []
    for word, pattern in parse_words(check_printable(text)).items():
        criterion = has_word(sa.literal(pattern))
        user_id = parse_id(word)
        if user_id is not None:
            criterion = sa.or_(criterion, User.id == user_id)
        criteria.append(criterion)
    return is_found(criteria)


class ContainsFilter(filters.FilterLike):
    """Matches texts that contain the value."""

    def clean(self, value: str) -> str:
        """Validate the value; Flask-Admin ignores a filter that raises ValueError."""
        return escape_like(check_printable(value))


class SameEmailFilter(filters.FilterEqual):
    """Matches any spelling of the address, by the unique index."""

    def clean(self, value: str) -> str:
        """Validate the value; Flask-Admin ignores a filter that raises ValueError."""
        return check_printable(value)

    def apply(self, query: Query[User], value: str, alias: Any = None) -> Query[User]:
        """Add the condition to a query."""
        return query.filter(mailbox(User.email) == mailbox(sa.literal(value)))


class AfterFilter(filters.DateTimeGreaterFilter):
    """Matches later points in time."""

    def operation(self) -> str:
        """Return the label."""
        return "after"


class BeforeFilter(filters.DateTimeSmallerFilter):
    """Matches earlier points in time."""

    def operation(self) -> str:
        """Return the label."""
        return "before"
