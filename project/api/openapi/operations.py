"""The operations of the API: parameters, responses, and an example of each."""

from werkzeug.exceptions import RequestEntityTooLarge

from project.api.openapi.parts import (
    USER,
    Json,
    error_response,
    query_parameters,
    reference,
    request_body,
    response,
    success,
)
from project.api.users import schemas
from project.api.users.errors import EmailTaken, StaleVersion, UserNotFound
from project.web import auth, errors
from project.web.errors import handle_exception

USER_ID = reference("parameters", "user_id")
IF_MATCH = reference("parameters", "If-Match")
IF_NONE_MATCH = reference("parameters", "If-None-Match")

USER_SCHEMA = reference("schemas", "User")
PAGE_SCHEMA: Json = {
    "type": "object",
    "required": ["users", "next", "after"],
    "properties": {
        "users": {"type": "array", "items": USER_SCHEMA},
        "next": {"type": ["string", "null"], "format": "uri"},
        "after": {"type": ["integer", "null"]},
        "count": {"type": "integer", "description": "Present if it was requested."},
    },
}
HEALTH_SCHEMA: Json = {
    "type": "object",
    "required": ["database"],
    "properties": {"database": {"const": "up"}},
}
NEXT_PAGE = "http://127.0.0.1:5000/users?limit=1&after=1"

NO_DATABASE: Json = {"status": "error", "message": errors.UNAVAILABLE}
NO_PROVIDER: Json = handle_exception(auth.IdentityProviderUnavailable()).get_json()


def unavailable(description: str, **examples: Json) -> Json:
    """Return the description of a 503 response, by its status."""
    schema = reference("schemas", "Failure")
    return {"503": response(description, schema, ("Retry-After",), **examples)}


HEALTH_UNAVAILABLE = unavailable(
    "The database is not available.", unavailable=NO_DATABASE
)
UNAVAILABLE = unavailable(
    "The database is not available, or the provider that issued the token.",
    unavailable=NO_DATABASE,
    no_provider=NO_PROVIDER,
)
UNAUTHORIZED: Json = {
    "401": error_response(
        "The token is missing or not valid.",
        ("WWW-Authenticate",),
        missing=auth.TokenMissing(),
        unknown=auth.TokenUnknown(),
        expired=auth.TokenExpired(),
    )
}
READ_FORBIDDEN: Json = {
    "403": error_response(
        "The access token lacks the scope.",
        ("WWW-Authenticate",),
        scope=auth.ReadScopeMissing(),
    )
}
WRITE_FORBIDDEN: Json = {
    "403": error_response(
        "The token is limited to reading.",
        ("WWW-Authenticate",),
        read_only=auth.TokenReadOnly(),
        scope=auth.WriteScopeMissing(),
    )
}
INVALID_QUERY: Json = {
    "400": error_response(
        "A parameter is unknown, repeated or out of range.",
        invalid=errors.InvalidQuery({"limit": "Input should be a whole number"}),
    )
}
INVALID_BODY: Json = {
    "400": error_response(
        "The body is not valid, or another user has the address.",
        invalid=errors.InvalidPayload({"email": "Input should be a valid string"}),
        not_json=errors.InvalidPayload(),
        taken=EmailTaken(),
    ),
    "413": error_response(
        "The body exceeds 64 KiB.", too_large=RequestEntityTooLarge()
    ),
    "415": error_response("The body is not JSON.", not_json=errors.NotJson()),
}
NOT_FOUND: Json = {"404": error_response("No user has the id.", no_user=UserNotFound())}
STALE: Json = {
    "412": error_response(
        "The user has changed since the version in `If-Match`.",
        stale=StaleVersion(),
    )
}
NOT_MODIFIED: Json = {
    "304": {
        "description": "The client has the current version; there is no body.",
        "headers": {"ETag": reference("headers", "ETag")},
    }
}
UPDATED: Json = {
    "200": success("The changed user.", ("ETag",), "1 was updated!", USER_SCHEMA, USER)
}

# By method and path.
OPERATIONS: dict[tuple[str, str], Json] = {
    ("get", "/ping"): {
        "operationId": "ping",
        "summary": "Check whether the process answers",
        "responses": {"200": success("It answers.", message="pong!")},
    },
    ("get", "/health"): {
        "operationId": "health",
        "summary": "Check whether the database answers",
        "responses": {
            "200": success(
                "It answers.", data=HEALTH_SCHEMA, example={"database": "up"}
            ),
            **HEALTH_UNAVAILABLE,
        },
    },
    ("get", "/users"): {
        "operationId": "listUsers",
        "summary": "List a page of users in the order of their ids",
        "description": "`next` and the header `Link` contain the URL of the next page;"
        " on the last page `next` is null.",
        "parameters": query_parameters(schemas.PageQuery),
        "responses": {
            "200": success(
                "A page.",
                ("Link",),
                data=PAGE_SCHEMA,
                example={"users": [USER], "next": NEXT_PAGE, "after": 1},
            ),
            **INVALID_QUERY,
            **UNAUTHORIZED,
            **READ_FORBIDDEN,
            **UNAVAILABLE,
        },
    },
    ("post", "/users"): {
        "operationId": "addUser",
        "summary": "Add a user",
        "requestBody": request_body("NewUser", schemas.example(schemas.NewUser)),
        "responses": {
            "201": success(
                "The user was added.",
                ("ETag", "Location"),
                f"{USER['email']} was added!",
                USER_SCHEMA,
                USER,
            ),
            **INVALID_BODY,
            **UNAUTHORIZED,
            **WRITE_FORBIDDEN,
            **UNAVAILABLE,
        },
    },
    ("get", "/users/{user_id}"): {
        "operationId": "getUser",
        "summary": "Show a user",
        "parameters": [USER_ID, IF_NONE_MATCH],
        "responses": {
            "200": success("The user.", ("ETag",), data=USER_SCHEMA, example=USER),
            **NOT_MODIFIED,
            **NOT_FOUND,
            **UNAUTHORIZED,
            **READ_FORBIDDEN,
            **UNAVAILABLE,
        },
    },
    ("put", "/users/{user_id}"): {
        "operationId": "replaceUser",
        "summary": "Replace a user; optional fields that are omitted keep their values",
        "parameters": [USER_ID, IF_MATCH],
        "requestBody": request_body(
            "UserReplacement", schemas.example(schemas.UserReplacement)
        ),
        "responses": {
            **UPDATED,
            **INVALID_BODY,
            **NOT_FOUND,
            **STALE,
            **UNAUTHORIZED,
            **WRITE_FORBIDDEN,
            **UNAVAILABLE,
        },
    },
    ("patch", "/users/{user_id}"): {
        "operationId": "changeUser",
        "summary": "Change the fields in the body",
        "parameters": [USER_ID, IF_MATCH],
        "requestBody": request_body(
            "UserChange", schemas.example(schemas.UserChange, ["username"])
        ),
        "responses": {
            **UPDATED,
            **INVALID_BODY,
            **NOT_FOUND,
            **STALE,
            **UNAUTHORIZED,
            **WRITE_FORBIDDEN,
            **UNAVAILABLE,
        },
    },
    ("delete", "/users/{user_id}"): {
        "operationId": "removeUser",
        "summary": "Remove a user",
        "parameters": [USER_ID, IF_MATCH],
        "responses": {
            "200": success(
                "The user was removed.", message=f"{USER['email']} was removed!"
            ),
            **NOT_FOUND,
            **STALE,
            **UNAUTHORIZED,
            **WRITE_FORBIDDEN,
            **UNAVAILABLE,
        },
    },
}
