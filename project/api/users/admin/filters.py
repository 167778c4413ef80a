"""The search and the filters of the admin site's user list."""

from typing import Any

import sqlalchemy as sa
from flask_admin.contrib.sqla import filters
from sqlalchemy.orm import Query

from project.api.users.mailbox import mailbox
from project.api.users.models import User
from project.api.users.schemas import CONTROL_CHARACTERS, check_printable

# The trigram index finds this many characters anywhere in a text. It finds fewer
# characters at the start of a word only.
TRIGRAM_LENGTH = 3


def escape_like(text: str) -> str:
    """Escape the wildcards of LIKE.

    Raises:
        PydanticCustomError: the text contains a control character.
    """
    for wildcard in "\\%_":
        text = text.replace(wildcard, f"\\{wildcard}")
    return check_printable(text)


def build_search(text: str | None) -> str:
    """Return the search terms in Flask-Admin's syntax.

    Terms that are too short for the trigram index match prefixes (`^`).
    """
    terms = CONTROL_CHARACTERS.sub(" ", text or "").split()
    return " ".join(
        (
            escape_like(term)
            if len(term) >= TRIGRAM_LENGTH or term[0] in "^="
            else f"^{escape_like(term)}"
        )
        for term in terms
    )


class ContainsFilter(filters.FilterLike):
    """Matches texts that contain the value."""

    def clean(self, value: str) -> str:
        """Validate the value; Flask-Admin ignores a filter that raises ValueError."""
        return escape_like(value)


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
