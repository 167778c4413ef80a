"""The OpenAPI document, put together from its operations and their parts."""

import copy

from project.api.openapi.operations import OPERATIONS
from project.api.openapi.parts import SCHEMAS, envelope
from project.api.users import schemas

DESCRIPTION = """\
Users with a username and an e-mail address of their own.

Every answer is JSON with a `status`: `success`, `fail` (a mistake of the client's, 4xx)
or `error` (one of ours, 5xx). A method that a URL does not have is answered 405, with
`Allow`; HEAD is answered as GET, without the body, and OPTIONS with the methods.

Two clients never overwrite each other's changes: send the `ETag` that you read as
`If-Match` with the change, and begin anew where the answer is 412.
"""

message = {"type": "string"}
ENVELOPES = {
    "Refusal": envelope("fail", message=message),
    "Failure": envelope("error", message=message),
}
ENVELOPES["Refusal"]["properties"]["errors"] = {
    "description": "What is wrong with each field or parameter at fault.",
    "type": "object",
    "additionalProperties": {"type": "string"},
}

PARAMETERS = {
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
        "description": "Only where the user still has this `ETag`, or one of several"
        " that commas separate; `*` is any.",
        "schema": {"type": "string"},
    },
    "If-None-Match": {
        "name": "If-None-Match",
        "in": "header",
        "description": "304 where the user still has this `ETag`, or one of several"
        " that commas separate.",
        "schema": {"type": "string"},
    },
}


def header(description, example, kind="string", required=True):
    """Return the description of an answer's header."""
    return {
        "description": description,
        "required": required,
        "schema": {"type": kind},
        "example": example,
    }


HEADERS = {
    "ETag": header("The user's version; it changes with each write.", '"748"'),
    "Link": header(
        "The page after this one; it is left out on the last page.",
        '<http://127.0.0.1:5000/users?limit=1&after=1>; rel="next"',
        required=False,
    ),
    "Location": header("The user's URL.", "/users/1"),
    "Retry-After": header("Ask again after so many seconds.", 2, "integer"),
    "WWW-Authenticate": header("What is asked for.", 'Bearer realm="users"'),
}


def links(operations):
    """Return where the answer to a new user leads: to each operation on that user."""
    return {
        operation["operationId"]: {
            "operationId": operation["operationId"],
            "parameters": {"user_id": "$response.body#/data/id"},
        }
        for (_, path), operation in operations.items()
        if path == "/users/{user_id}"
    }


def build(secured):
    """Return the document.

    Args:
        secured: whether the users are behind a token; the operations say so, and how
            they refuse, only then.
    """
    operations = copy.deepcopy(OPERATIONS)
    operations["post", "/users"]["responses"]["201"]["links"] = links(operations)
    paths = {}
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
        "info": {"title": "Users", "version": "1.0.0", "description": DESCRIPTION},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": SCHEMAS | ENVELOPES,
            "parameters": PARAMETERS,
            "headers": HEADERS,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }
