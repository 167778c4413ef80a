"""JSON responses in the JSend shape."""

from collections.abc import Callable, Mapping

import orjson
from flask import Flask, Request, Response
from flask.sessions import SessionInterface
from flask.typing import ResponseReturnValue
from flask_restful import Api as RestfulApi
from pydantic_core import to_jsonable_python

from project.web.compression import compress

# The data is personal: shared caches must not store it, and private ones must
# revalidate it. `nosniff` stops a browser from guessing another content type.
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, no-cache",
}

# The content types of a PATCH request (RFC 7396 and RFC 5789).
PATCH_TYPES = ("application/merge-patch+json", "application/json")


class NoSessionInterface(SessionInterface):
    """The API has no sessions, so its requests do not parse and sign cookies.

    `project.admin.site` replaces this for the pages of the admin site.
    """

    def open_session(self, app: Flask, request: Request) -> None:
        """Return None: Flask then uses a session that cannot be modified or saved."""


class JsonFlask(Flask):
    """A Flask application that answers OPTIONS with JSON, too."""

    session_interface = NoSessionInterface()

    def make_default_options_response(self) -> Response:
        """Return the methods of the requested URL in the `Allow` header."""
        default = super().make_default_options_response()
        return options_response(default.headers["Allow"])


class Api(RestfulApi):
    """A Flask-RESTful Api whose errors reach the application's error handler."""

    def error_router(
        self,
        original_handler: Callable[[Exception], ResponseReturnValue],
        e: Exception,
    ) -> ResponseReturnValue:
        """Skip Flask-RESTful's own error handling, which has another JSON shape."""
        return original_handler(e)


def json_response(
    status: int = 200,
    message: str | None = None,
    headers: Mapping[str, str] | None = None,
    **members: object,
) -> Response:
    """Return a JSON response in the JSend shape, compressed if it is large.

    Args:
        status: the HTTP status code; the member `status` follows from it.
        members: further members, such as `data` and `errors`.
    """
    outcome = "success" if status < 400 else "fail" if status < 500 else "error"
    body: dict[str, object] = {"status": outcome}
    if message is not None:
        body["message"] = message
    body.update(members)
    # pydantic serializes types that orjson does not know, such as Decimal.
    content = orjson.dumps(body, to_jsonable_python, orjson.OPT_APPEND_NEWLINE)
    response = Response(
        content,
        status,
        HEADERS if headers is None else {**HEADERS, **headers},
        content_type="application/json",
    )
    compress(response, content)
    return response


def options_response(allow: str) -> Response:
    """Return the response to OPTIONS.

    Args:
        allow: the methods of the URL, as in the header.
    """
    headers = {"Allow": allow}
    if "PATCH" in allow:
        headers["Accept-Patch"] = ", ".join(PATCH_TYPES)
    return json_response(headers=headers)
