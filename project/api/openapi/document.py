"""The OpenAPI document, assembled from its operations and components."""

import copy
from collections.abc import Mapping
from typing import Any

from project import __version__
from project.api.openapi.components import (
    HEADERS,
    PARAMETERS,
    SCHEMAS,
    SECURITY_HEADERS,
    SECURITY_SCHEMES,
)
from project.api.openapi.operations import OPERATIONS
from project.api.openapi.parts import Json

DESCRIPTION = """\
Users with a username and a unique e-mail address.

Every response is JSON with a `status`: `success`, `fail` (the client's error, 4xx) or
`error` (the server's error, 5xx). Errors have a `code` for programs. A method that a
URL does not support is answered with 405 and `Allow`; HEAD is answered like GET,
without the body, and OPTIONS with the methods.

To avoid overwriting the changes of other clients, send the `ETag` of the user that you
have read as `If-Match` with the change. If the response is 412, read the user again.

If the service is configured so, a request under another host name is answered with 400
(`untrusted_host`), and a request without HTTPS with 403 (`https_required`,
`token_exposed`) or a redirect.
"""

INFO: Json = {
    "title": "Users",
    "version": __version__,
    "description": DESCRIPTION,
    "contact": {"name": "The operator of this service"},
    "license": {"name": "MIT", "identifier": "MIT"},
}
TAGS: list[Json] = [
    {"name": "users", "description": "Reading and changing users."},
    {"name": "service", "description": "Probes of load balancers and orchestrators."},
]


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
        # An empty list means that the operation needs no token.
        needs_token = secured and "401" in operation["responses"]
        operation["security"] = [{"token": []}] if needs_token else []
        if not secured:
            for status in ("401", "403"):
                operation["responses"].pop(status, None)
        paths.setdefault(path, {})[method] = operation
    components = {"schemas": SCHEMAS, "parameters": PARAMETERS, "headers": HEADERS}
    if secured:
        components["headers"] = HEADERS | SECURITY_HEADERS
        components["securitySchemes"] = SECURITY_SCHEMES
    return {
        "openapi": "3.1.0",
        "info": INFO,
        "servers": [{"url": "/"}],
        "tags": TAGS,
        "paths": paths,
        "components": components,
    }
