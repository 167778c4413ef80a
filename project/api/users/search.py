"""What the admin's search box and filters ask of the database."""

import sqlalchemy as sa
from flask_admin.contrib.sqla import filters

from project.api.users import schemas
from project.api.users.models import User

# Characters that the trigram index needs to look inside a text.
TRIGRAM = 3


def escape(term):
    """Return a text as a LIKE pattern that means nothing but itself.

    Raises:
        ValueError: it has a control character.
    """
    for special in "\\%_":
        term = term.replace(special, f"\\{special}")
    return schemas.check_printable(term)


def prepare(text):
    """Return what to search, as Flask-Admin takes it.

    A term of one or two characters finds the beginnings of names and addresses: what
    is inside them takes three characters to look up in the index.
    """
    terms = schemas.CONTROL.sub(" ", text or "").split()
    return " ".join(
        escape(term) if len(term) >= TRIGRAM or term[0] in "^=" else f"^{escape(term)}"
        for term in terms
    )


class Contains(filters.FilterLike):
    """Filter: the text has the value in it."""

    def clean(self, value):
        """Return the value as a pattern, or raise a ValueError."""
        return escape(value)


class SameEmail(filters.FilterEqual):
    """Filter: the address is the value, in any letter case."""

    def clean(self, value):
        """Return the value, or raise a ValueError."""
        return schemas.check_printable(value)

    def apply(self, query, value, alias=None):
        """Return the query with this condition."""
        return query.filter(sa.func.lower(User.email) == sa.func.lower(value))


class After(filters.DateTimeGreaterFilter):
    """Filter: the moment is later."""

    def operation(self):
        """Return the filter's name."""
        return "after"


class Before(filters.DateTimeSmallerFilter):
    """Filter: the moment is earlier."""

    def operation(self):
        """Return the filter's name."""
        return "before"
