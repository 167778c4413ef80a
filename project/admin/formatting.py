"""How the pages of the admin site show values."""

from datetime import datetime
from typing import NamedTuple

from markupsafe import Markup


class Count(NamedTuple):
    """A number of rows, which may be an estimate."""

    number: int
    is_exact: bool

    def __str__(self) -> str:
        """Return the number as text; an estimate has two significant digits."""
        if self.is_exact:
            return f"{self.number:,}"
        if self.number >= 1_000_000:
            return f"about {self.number / 1_000_000:,.1f} million"
        return f"about {round(self.number, -3):,}"


def format_boolean(value: bool) -> str:
    """Return a boolean as a word."""
    return "Yes" if value else "No"


def format_datetime(value: datetime) -> Markup:
    """Return a point in time in UTC as HTML.

    admin.js shows it in the time zone of the reader.
    """
    template = Markup('<time datetime="{}">{:%d %b %Y, %H:%M} UTC</time>')
    return template.format(value.isoformat(), value)
