"""The admin site's home page."""

from collections.abc import Callable
from typing import NamedTuple, TypedDict

from flask_admin import AdminIndexView, expose

from project.admin.security import AdminSecurityMixin


class Count(NamedTuple):
    """A number of rows, which may be an estimate."""

    number: int
    is_exact: bool


class Counts(TypedDict):
    """The numbers that the home page shows."""

    users: Count
    active: Count


class HomeView(AdminSecurityMixin, AdminIndexView):
    """Shows how many users there are."""

    def __init__(self, read_counts: Callable[[], Counts]) -> None:
        super().__init__()
        self.read_counts = read_counts

    @expose("/")
    def index(self) -> str:
        """Render the page."""
        page: str = self.render("admin_site/home.html", counts=self.read_counts())
        return page
