"""The search and the filters of the admin site's user list."""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from flask_admin.contrib.sqla import filters
from markupsafe import Markup
from sqlalchemy.orm import Query

from project.admin.formatting import format_boolean, format_datetime
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


class ActiveFilter(filters.BooleanEqualFilter):
    """Matches active or inactive users."""

    input_type = "select"

    def describe(self, value: str) -> str:
        """Return the filter in words."""
        return f"{self.name}: {format_boolean(value == '1')}"


class TextFilter(filters.BaseSQLAFilter):
    """The base class of filters with a text."""

    input_type = "text"

    def clean(self, value: str) -> str:
        """Validate the value; Flask-Admin ignores a filter that raises ValueError."""
        return check_printable(value)

    def describe(self, value: str) -> str:
        """Return the filter in words."""
        return f"{self.name} {self.operation()} {value}"


class ContainsFilter(TextFilter, filters.FilterLike):
    """Matches texts that contain the value."""

    def clean(self, value: str) -> str:
        """Escape the wildcards of a valid value."""
        return escape_like(super().clean(value))


class SameEmailFilter(TextFilter, filters.FilterEqual):
    """Matches any spelling of the address, by the unique index."""

    def operation(self) -> str:
        """Return the label."""
        return "is"

    def apply(self, query: Query[User], value: str, alias: Any = None) -> Query[User]:
        """Add the condition to a query."""
        return query.filter(mailbox(User.email) == mailbox(sa.literal(value)))


class TimeFilter(filters.BaseSQLAFilter):
    """The base class of filters with a point in time, which is in UTC by default."""

    input_type = "datetime-local"

    def clean(self, value: str) -> datetime:
        """Parse the value; Flask-Admin ignores a filter that raises ValueError."""
        time = datetime.fromisoformat(value)
        return time if time.tzinfo else time.replace(tzinfo=UTC)

    def describe(self, value: str) -> str:
        """Return the filter in words, as HTML."""
        template = Markup("{} {} {}")
        time = format_datetime(self.clean(value).astimezone(UTC))
        return template.format(self.name, self.operation(), time)


class AfterFilter(TimeFilter, filters.FilterGreater):
    """Matches later points in time."""

    def operation(self) -> str:
        """Return the label."""
        return "after"


class BeforeFilter(TimeFilter, filters.FilterSmaller):
    """Matches earlier points in time."""

    def operation(self) -> str:
        """Return the label."""
        return "before"


FILTERS = (
    ActiveFilter(User.active, "Active"),
    ContainsFilter(User.username, "Username"),
    ContainsFilter(User.email, "E-mail"),
    SameEmailFilter(User.email, "E-mail"),
    AfterFilter(User.created_date, "Created"),
    BeforeFilter(User.created_date, "Created"),
)
