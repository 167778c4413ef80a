"""The admin site's home page."""

from collections.abc import Callable
from typing import TypedDict

from flask_admin import AdminIndexView, expose

from project.admin.formatting import Count
from project.admin.security import AdminSecurityMixin


class Counts(TypedDict):
    """The numbers that the home page shows."""

    users: Count
    active: Count


class HomeView(AdminSecurityMixin, AdminIndexView):
    """Shows how many users there are."""

    def __init__(self, read_counts: Callable[[], Counts]) -> None:
        super().__init__()
        # The files of Flask-Admin's own templates, which this site does not use.
        self.static_folder = None
        self.read_counts = read_counts

    @expose("/")
    def index(self) -> str:
        """Render the page."""
        page: str = self.render("admin_site/home.html", counts=self.read_counts())
        return page
