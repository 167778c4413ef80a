"""The operations of the API: parameters, responses, and an example of each."""

from werkzeug.exceptions import RequestEntityTooLarge

from project.api.openapi.parts import (
    Json,
    error_response,
    query_parameters,
    reference,
    request_body,
    success,
)
from project.api.users import schemas
from project.api.users.errors import (
    EmailTaken,
    StaleVersion,
    UserNotFound,
    VersionExcluded,
)
from project.web import auth, errors
from project.web.hosts import InvalidHost

USER_ID = reference("parameters", "user_id")
IF_MATCH = reference("parameters", "If-Match")
IF_NONE_MATCH = reference("parameters", "If-None-Match")
READ_CONSISTENCY = reference("parameters", "Read-Consistency")

# The user that the examples of request bodies create. Its optional fields have their
# defaults, since these bodies contain only the required ones.
USER = schemas.example(schemas.UserOut) | schemas.DEFAULTS
PAGE = {
    "users": [USER],
    "next": "http://127.0.0.1:5000/users?limit=1&after=1",
    "after": 1,
}

# Responses by status.
INVALID_HOST: Json = {
    "400": error_response("The `Host` header is not valid.", host=InvalidHost())
}
INVALID_QUERY: Json = {
    "400": error_response(
        "A parameter is unknown, repeated or out of range.",
        invalid=errors.InvalidQuery({"limit": "Input should be a whole number"}),
        host=InvalidHost(),
    )
}
INVALID_BODY: Json = {
    "400": error_response(
        "The body is not valid, or another user has the address.",
        invalid=errors.InvalidPayload({"email": "Input should be a valid string"}),
        not_json=errors.InvalidPayload(),
        taken=EmailTaken(),
        host=InvalidHost(),
    ),
    "413": error_response(
        "The body exceeds 64 KiB.", too_large=RequestEntityTooLarge()
    ),
    "415": error_response("The body is not JSON.", not_json=errors.NotJson()),
}
INVALID_PATCH: Json = {
    **INVALID_BODY,
    "415": error_response("The body is not JSON.", not_json=errors.NotMergePatch()),
}
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
NOT_FOUND: Json = {"404": error_response("No user has the id.", no_user=UserNotFound())}
STALE: Json = {
    "412": error_response(
        "The user has changed since the version in `If-Match`, or `If-None-Match`"
        " excludes its version.",
        stale=StaleVersion(),
        excluded=VersionExcluded(),
    )
}
NOT_MODIFIED: Json = {
    "304": {
        "description": "The client has the current version; there is no body.",
        "headers": {"ETag": reference("headers", "ETag")},
    }
}
HEALTH_UNAVAILABLE: Json = {
    "503": error_response(
        "The database is not available.",
        ("Retry-After",),
        unavailable=errors.DatabaseUnavailable(),
    )
}
UNAVAILABLE: Json = {
    "503": error_response(
        "The database is not available, or the provider that issued the token.",
        ("Retry-After",),
        unavailable=errors.DatabaseUnavailable(),
        no_provider=auth.IdentityProviderUnavailable(),
    )
}
UPDATED: Json = {
    "200": success(
        "The changed user.",
        "ChangedUserResponse",
        ("ETag",),
        message="1 was updated!",
        data=USER,
    )
}

# By method and path.
OPERATIONS: dict[tuple[str, str], Json] = {
    ("get", "/"): {
        "operationId": "listLinks",
        "summary": "Show where the parts of the service are",
        "description": "Browsers get a page.",
        "responses": {
            "200": success(
                "The paths.",
                "LinksResponse",
                data={"users": "/users", "docs": "/docs", "openapi": "/openapi.json"},
            ),
            **INVALID_HOST,
        },
    },
    ("get", "/ping"): {
        "operationId": "ping",
        "summary": "Check whether the process answers",
        "description": "The database is not used: for probes of liveness.",
        "responses": {
            "200": success("It answers.", "MessageResponse", message="pong!"),
            **INVALID_HOST,
        },
    },
    ("get", "/health"): {
        "operationId": "health",
        "summary": "Check whether the database answers",
        "description": "For probes of readiness.",
        "responses": {
            "200": success("It answers.", "HealthResponse", data={"database": "up"}),
            **INVALID_HOST,
            **HEALTH_UNAVAILABLE,
        },
    },
    ("get", "/users"): {
        "operationId": "listUsers",
        "summary": "List a page of users in the order of their ids",
        "description": "The filters can be combined. `next` and the header `Link`"
        " contain the URL of the next page with the same filters, and `after` the"
        " parameter that leads to it.",
        "parameters": [*query_parameters(schemas.PageQuery), READ_CONSISTENCY],
        "responses": {
            "200": success("A page.", "UserPage", ("Link",), data=PAGE),
            **INVALID_QUERY,
            **UNAUTHORIZED,
            **READ_FORBIDDEN,
            **UNAVAILABLE,
        },
    },
    ("post", "/users"): {
        "operationId": "addUser",
        "summary": "Add a user",
        "description": "The database assigns `id` and `created_date`.",
        "requestBody": request_body("NewUser", schemas.example(schemas.NewUser)),
        "responses": {
            "201": success(
                "The user was added.",
                "ChangedUserResponse",
                ("ETag", "Location"),
                message=f"{USER['email']} was added!",
                data=USER,
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
        "description": "`If-None-Match` with the `ETag` saves the body if the user has"
        " not changed.",
        "parameters": [USER_ID, IF_NONE_MATCH, READ_CONSISTENCY],
        "responses": {
            "200": success("The user.", "UserResponse", ("ETag",), data=USER),
            **NOT_MODIFIED,
            **INVALID_HOST,
            **NOT_FOUND,
            **UNAUTHORIZED,
            **READ_FORBIDDEN,
            **UNAVAILABLE,
        },
    },
    ("put", "/users/{user_id}"): {
        "operationId": "replaceUser",
        "summary": "Replace a user",
        "description": "Optional fields that are omitted keep their values.",
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
        "summary": "Change some fields of a user",
        "description": "A JSON merge patch (RFC 7396) with at least one field.",
        "parameters": [USER_ID, IF_MATCH],
        "requestBody": request_body(
            "UserChange",
            schemas.example(schemas.UserChange, ["username"]),
            is_patch=True,
        ),
        "responses": {
            **UPDATED,
            **INVALID_PATCH,
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
        "description": "The user cannot be restored.",
        "parameters": [USER_ID, IF_MATCH],
        "responses": {
            "200": success(
                "The user was removed.",
                "MessageResponse",
                message=f"{USER['email']} was removed!",
            ),
            **INVALID_HOST,
            **NOT_FOUND,
            **STALE,
            **UNAUTHORIZED,
            **WRITE_FORBIDDEN,
            **UNAVAILABLE,
        },
    },
}
