"""The test client of every application under test."""

import contextvars
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse


class IsolatedClient(FlaskClient):
    """A test client whose requests share no context with the test, as in production.

    Flask reuses an application context that is already pushed. A database session
    left over from a failed request would then serve the next request.
    """

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        return contextvars.Context().run(super().open, *args, **kwargs)
