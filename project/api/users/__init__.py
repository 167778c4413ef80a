"""The users resource: its schemas, table, queries and views."""

from project.api.users.views import users_blueprint

__all__ = ["users_blueprint"]
