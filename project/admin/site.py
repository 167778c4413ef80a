"""The admin of an application: one Flask-Admin, its pages and their files."""

from flask import Blueprint
from flask_admin import Admin
from flask_admin.theme import Bootstrap4Theme
from flask_wtf.csrf import generate_csrf

from project import db
from project.admin import login
from project.admin.home import Home
from project.api.users.admin import UsersAdminView
from project.api.users.models import User


def register(app):
    """Serve the admin at `/admin/`.

    Args:
        app: the Flask application; its settings say whether one has to log in.
    """
    files = Blueprint(
        "admin_files",
        __name__,
        template_folder="templates",
        static_folder="static",
        static_url_path="/admin/files",
    )
    app.register_blueprint(files)
    app.jinja_env.globals["csrf_token"] = generate_csrf
    if app.config["ADMIN_LOGIN"]:
        home = login.HomeWithLogin(app.config)
        login.register(app, home)
    else:
        home = Home()
    theme = Bootstrap4Theme(base_template="users_admin/base.html")
    admin = Admin(app, name="Users service", index_view=home, theme=theme)
    admin.add_view(UsersAdminView(User, db, name="Users"))
