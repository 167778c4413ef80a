"""The users microservice: the application factory and its extensions."""

from flask_sqlalchemy import SQLAlchemy

from project import observability
from project.config import load_config
from project.jsend import JsonFlask

db = SQLAlchemy()


def create_app(config=None):
    """Build the application; several in one process do not disturb each other.

    Args:
        config: a configuration class, its import string, or a mapping laid over the
            class that `APP_SETTINGS` names. Without it, `APP_SETTINGS`; without
            that, development.

    Returns:
        The Flask application. No connection to the database is made yet.

    Raises:
        ConfigError: a setting is wrong; the message says how to correct it.
    """
    app = JsonFlask(__name__, static_folder=None)
    app.config.from_mapping(load_config(config, app.instance_path))
    # `//users` is an unknown URL like any other, not a redirect in HTML.
    app.url_map.merge_slashes = False

    db.init_app(app)
    observability.init_app(app)
    register_errors(app)
    register_access(app)
    register_blueprints(app)
    register_admin(app)
    return app


def register_errors(app):
    """Answer every error of the app in the API's JSON shape."""
    from project.errors import answer_error

    app.register_error_handler(Exception, answer_error)


def register_access(app):
    """Let in who has a token, and the pages of other origins, where settings say so."""
    from project import auth, cors

    auth.register_tokens(app)
    cors.register_origins(app)


def register_blueprints(app):
    """Serve the API's resources."""
    from project.api.health import health_blueprint
    from project.api.openapi import openapi_blueprint
    from project.api.ping import ping_blueprint
    from project.api.users import users_blueprint

    for blueprint in (
        ping_blueprint,
        health_blueprint,
        users_blueprint,
        openapi_blueprint,
    ):
        app.register_blueprint(blueprint)


def register_admin(app):
    """Serve the admin where the settings let somebody in."""
    from project.admin import is_open

    if is_open(app.config):
        # Elsewhere not even its libraries are loaded.
        from project.admin.site import register

        register(app)
