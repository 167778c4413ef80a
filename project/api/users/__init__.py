"""Users: the model, what comes in and goes out, the queries and the views."""

from project.api.users.views import users_blueprint

__all__ = ["users_blueprint"]
