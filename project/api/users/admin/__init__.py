"""The users' pages in the admin site."""

from project.api.users.admin.counts import read_counts
from project.api.users.admin.view import UsersAdminView

__all__ = ["UsersAdminView", "read_counts"]
