"""The users microservice."""

from project import python_version  # noqa: F401  # isort: skip

import os
from collections.abc import Mapping
from pathlib import Path

import click
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event
from sqlalchemy.orm import DeclarativeBase

from project import admin
from project.config import METRICS_DIR_VARIABLE, load_config
from project.database import commands as database_commands
from project.database.engines import sqlalchemy_settings
from project.database.schema import check_test_database
from project.web import auth, cors, errors, hosts, https, request_log, static_files
from project.web.responses import JsonFlask

__version__ = "1.0.0"


class Base(DeclarativeBase):
    """The base class of the models."""


db = SQLAlchemy(model_class=Base)
for name in ("before_create", "before_drop"):
    event.listen(db.metadata, name, check_test_database)


def create_app(config: type | str | Mapping[str, object] | None = None) -> Flask:
    """Create the application. It does not connect to the database yet.

    Args:
        config: see `project.config.load_config`.

    Raises:
        ConfigError: a setting is invalid.
    """
    app = JsonFlask(__name__, static_folder=None)
    settings = load_config(config)
    folder = Path(app.instance_path) / "postgres"
    app.config.from_mapping(dict(settings), **sqlalchemy_settings(settings, folder))
    # Answer `//users` like every unknown URL instead of redirecting it.
    app.url_map.merge_slashes = False

    if settings.DATABASE_READ_URL:
        from project.database import standbys

        standbys.init_app(app)
    db.init_app(app)
    request_log.init_app(app)
    if settings.METRICS_PORT and METRICS_DIR_VARIABLE in os.environ:
        from project.web import metrics

        metrics.init_app(app)
    errors.init_app(app)
    hosts.init_app(app)
    https.init_app(app)
    if settings.OIDC_ISSUER:
        from project.web import oidc

        oidc.init_app(app)
    auth.init_app(app)
    cors.init_app(app)

    from project.admin import commands as admin_commands
    from project.api.health import health_blueprint
    from project.api.openapi import openapi_blueprint
    from project.api.ping import ping_blueprint
    from project.api.root import root_blueprint
    from project.api.users import users_blueprint

    app.register_blueprint(root_blueprint)
    app.register_blueprint(ping_blueprint)
    app.register_blueprint(health_blueprint)
    app.register_blueprint(users_blueprint)
    app.register_blueprint(openapi_blueprint)

    database_commands.init_app(app)
    admin_commands.init_app(app)
    if admin.is_enabled(settings):
        from project.admin.site import init_admin
        from project.api.users.admin import UsersAdminView, read_counts
        from project.api.users.models import User

        init_admin(app, settings, UsersAdminView(User, db, name="Users"), read_counts)
    static_files.init_app(app)
    # A command line creates the application.
    if click.get_current_context(silent=True):
        from project import cli

        cli.init_app(app, db)
    return app
