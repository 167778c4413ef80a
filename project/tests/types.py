"""Types of the shared fixtures."""

from typing import Any, Protocol, TypeAlias

from click.testing import Result
from flask import Flask

from project.api.users.models import User

# A row of the users table as (username, email, active).
StoredUser: TypeAlias = tuple[str, str, bool]


class AddUser(Protocol):
    """Insert a user and return it, detached from its session."""

    def __call__(self, username: str, email: str, **fields: Any) -> User: ...


class RunCommand(Protocol):
    """Run a command of manage.py in this process.

    app: the application it runs on, `test_app` by default.
    options: keyword arguments of click's `CliRunner.invoke`.
    """

    def __call__(
        self, *arguments: str, app: Flask | None = None, **options: Any
    ) -> Result: ...


class CreateProductionApp(Protocol):
    """Build an application on ProductionConfig with some attributes overridden."""

    def __call__(self, **settings: Any) -> Flask: ...
