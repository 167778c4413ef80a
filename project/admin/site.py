"""The Flask-Admin site: its home page, templates and static files."""

from collections.abc import Callable

from flask import Blueprint, Flask, Request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from flask_admin import Admin
from flask_admin.base import BaseView
from flask_admin.theme import Theme
from flask_wtf.csrf import generate_csrf

from project.admin.home import Counts, HomeView
from project.config import Settings


class AdminSessionInterface(SecureCookieSessionInterface):
    """Flask's signed cookies, limited to the pages that receive the cookie."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Return the session, or None for a request of the API."""
        if not request.path.startswith(self.get_cookie_path(app)):
            return None
        return super().open_session(app, request)


def init_admin(
    app: Flask, settings: Settings, view: BaseView, read_counts: Callable[[], Counts]
) -> None:
    """Serve the admin site at `/admin/`.

    Args:
        view: the pages of the users.
        read_counts: called by the home page.
    """
    files = Blueprint(
        "admin_files",
        __name__,
        template_folder="templates",
        static_folder="static",
        static_url_path="/admin/files",
    )
    app.register_blueprint(files)
    app.session_interface = AdminSessionInterface()
    app.jinja_env.globals["csrf_token"] = generate_csrf
    home = HomeView
    if settings.ADMIN_REQUIRES_LOGIN:
        from project.admin.login import HomeViewWithLogin

        home = HomeViewWithLogin
    # All templates are in this package and in that of the view.
    theme = Theme(folder="bootstrap4", base_template="admin_site/base.html")
    admin = Admin(app, name="Users service", index_view=home(read_counts), theme=theme)
    admin.add_view(view)
