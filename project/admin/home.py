"""The admin's home page."""

from flask_admin import AdminIndexView, expose

from project.admin.guard import Guarded
from project.api.users import figures


class Home(Guarded, AdminIndexView):
    """What this is, and how many users there are."""

    @expose("/")
    def index(self):
        """Show the page."""
        return self.render("users_admin/home.html", figures=figures.read())
