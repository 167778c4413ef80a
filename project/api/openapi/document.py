"""The OpenAPI document, assembled from its operations and components."""

import copy
from collections.abc import Mapping
from typing import Any

from project import __version__
from project.api.openapi.operations import OPERATIONS
from project.api.openapi.parts import SCHEMAS, Json, envelope
from project.api.users import schemas
from project.web import auth

DESCRIPTION = """\
Users with a username and a unique e-mail address.

Every response is JSON with a `status`: `success`, `fail` (the client's error, 4xx) or
`error` (the server's error, 5xx). A method that a URL does not support is answered with
405 and `Allow`; HEAD is answered like GET, without the body, and OPTIONS with the
methods.

To avoid overwriting the changes of other clients, send the `ETag` of the user that you
have read as `If-Match` with the change. If the response is 412, read the user again.
"""

MESSAGE: Json = {"type": "string"}
ENVELOPES = {
    "Refusal": envelope("fail", message=MESSAGE),
    "Failure": envelope("error", message=MESSAGE),
}
ENVELOPES["Refusal"]["properties"]["errors"] = {
    "description": "The reason for each invalid field or parameter.",
    "type": "object",
    "additionalProperties": {"type": "string"},
}

ENVELOPES["Failure"]["properties"]["code"] = {
    "description": "Identifies some errors for programs.",
    "type": "string",
}

SECURITY_SCHEME: Json = {
    "type": "http",
    "scheme": "bearer",
    "description": "A token of this service; or, if it is configured for an OpenID"
    f" Connect provider, an access token with the scope `{auth.READ_SCOPE}` (GET, HEAD)"
    f" or `{auth.WRITE_SCOPE}` (all other methods).",
}

PARAMETERS: Json = {
    "user_id": {
        "name": "user_id",
        "in": "path",
        "required": True,
        "schema": {"type": "integer", "minimum": 1, "maximum": schemas.MAX_ID},
        "example": 1,
    },
    "If-Match": {
        "name": "If-Match",
        "in": "header",
        "description": "Change the user only if this is its `ETag`. May be a list"
        " separated by commas; `*` matches every version.",
        "schema": {"type": "string"},
    },
    "If-None-Match": {
        "name": "If-None-Match",
        "in": "header",
        "description": "Answer 304 if this is the user's `ETag`. May be a list"
        " separated by commas.",
        "schema": {"type": "string"},
    },
}


def header(
    description: str, example: object, type_: str = "string", required: bool = True
) -> Json:
    """Return the description of a response header."""
    return {
        "description": description,
        "required": required,
        "schema": {"type": type_},
        "example": example,
    }


HEADERS: Json = {
    "ETag": header("The user's version; it changes with each write.", '"748"'),
    "Link": header(
        "The URL of the next page; absent on the last page.",
        '<http://127.0.0.1:5000/users?limit=1&after=1>; rel="next"',
        required=False,
    ),
    "Location": header("The user's URL.", "/users/1"),
    "Retry-After": header("Seconds until the next attempt.", 2, "integer"),
    "WWW-Authenticate": header(
        "The authentication scheme and the reason.", 'Bearer realm="users"'
    ),
}


def links(operations: Mapping[tuple[str, str], Json]) -> Json:
    """Return the links from a new user to each operation on a single user."""
    return {
        operation["operationId"]: {
            "operationId": operation["operationId"],
            "parameters": {"user_id": "$response.body#/data/id"},
        }
        for (_, path), operation in operations.items()
        if path == "/users/{user_id}"
    }


def build(secured: bool) -> Json:
    """Return the document.

    Args:
        secured: whether `/users` needs a token. Otherwise the document contains no
            security requirements and no 401 and 403.
    """
    operations = copy.deepcopy(OPERATIONS)
    operations["post", "/users"]["responses"]["201"]["links"] = links(operations)
    paths: dict[str, dict[str, Any]] = {}
    for (method, path), operation in operations.items():
        operation["tags"] = ["users" if path.startswith("/users") else "service"]
        if secured and "401" in operation["responses"]:
            operation["security"] = [{"token": []}]
        if not secured:
            for status in ("401", "403"):
                operation["responses"].pop(status, None)
        paths.setdefault(path, {})[method] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Users",
            "version": __version__,
            "description": DESCRIPTION,
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": SCHEMAS | ENVELOPES,
            "parameters": PARAMETERS,
            "headers": HEADERS,
            "securitySchemes": {"token": SECURITY_SCHEME},
        },
    }
