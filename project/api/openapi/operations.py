"""Every operation of the API: what it takes and answers, and an example of each."""

from werkzeug.exceptions import RequestEntityTooLarge

from project import auth, errors
from project.api.openapi.parts import (
    USER,
    answer,
    body,
    example,
    query_parameters,
    reference,
    refusal,
    success,
)

ID = [reference("parameters", "user_id")]
IF_MATCH = [reference("parameters", "If-Match")]
IF_NONE_MATCH = [reference("parameters", "If-None-Match")]

user = reference("schemas", "User")
page = {
    "type": "object",
    "required": ["users", "next"],
    "properties": {
        "users": {"type": "array", "items": user},
        "next": {"type": ["string", "null"], "format": "uri"},
    },
}
up = {
    "type": "object",
    "required": ["database"],
    "properties": {"database": {"const": "up"}},
}
next_page = "http://127.0.0.1:5000/users?limit=1&after=1"

unavailable = {
    "503": answer(
        "The database is not available.",
        reference("schemas", "Failure"),
        ["Retry-After"],
        unavailable={"status": "error", "message": errors.UNAVAILABLE},
    )
}
refused_token = {
    "401": refusal(
        "There is no token, or it is not valid.",
        ["WWW-Authenticate"],
        missing=auth.TokenMissing(),
        unknown=auth.TokenUnknown(),
    )
}
refused_write = {
    "403": refusal(
        "The token is limited to reading.",
        ["WWW-Authenticate"],
        read_only=auth.TokenReadOnly(),
    )
}
refused_query = {
    "400": refusal(
        "A parameter is unknown, given twice or out of range.",
        invalid=errors.InvalidQuery({"limit": "Input should be a whole number"}),
    )
}
refused_body = {
    "400": refusal(
        "The body is not what is asked for, or another user has the address.",
        invalid=errors.InvalidPayload({"email": "Input should be a valid string"}),
        not_json=errors.InvalidPayload(),
        taken=errors.EmailTaken(),
    ),
    "413": refusal("The body is over 64 KiB.", too_large=RequestEntityTooLarge()),
    "415": refusal("The body is not JSON.", not_json=errors.NotJson()),
}
no_user = {"404": refusal("No user has the id.", no_user=errors.UserNotFound())}
stale = {
    "412": refusal(
        "The user has changed since the version that `If-Match` names.",
        stale=errors.StaleVersion(),
    )
}
unchanged = {
    "304": {
        "description": "The client has this version; there is no body.",
        "headers": {"ETag": reference("headers", "ETag")},
    }
}
updated = {
    "200": success("The user as it is now.", ["ETag"], "1 was updated!", user, USER)
}

OPERATIONS = {
    ("get", "/ping"): {
        "operationId": "ping",
        "summary": "Show that the process answers",
        "responses": {"200": success("It does.", message="pong!")},
    },
    ("get", "/health"): {
        "operationId": "health",
        "summary": "Show whether the database answers",
        "responses": {
            "200": success("It does.", data=up, shown={"database": "up"}),
            **unavailable,
        },
    },
    ("get", "/users"): {
        "operationId": "listUsers",
        "summary": "List a page of users, in the order of their ids",
        "description": "`next`, and the header `Link`, lead to the page after it, until"
        " there is none.",
        "parameters": query_parameters("Page"),
        "responses": {
            "200": success(
                "A page.",
                ["Link"],
                data=page,
                shown={"users": [USER], "next": next_page},
            ),
            **refused_query,
            **refused_token,
            **unavailable,
        },
    },
    ("post", "/users"): {
        "operationId": "addUser",
        "summary": "Add a user",
        "requestBody": body("NewUser", example("NewUser")),
        "responses": {
            "201": success(
                "The user was added.",
                ["ETag", "Location"],
                f"{USER['email']} was added!",
                user,
                USER,
            ),
            **refused_body,
            **refused_token,
            **refused_write,
            **unavailable,
        },
    },
    ("get", "/users/{user_id}"): {
        "operationId": "getUser",
        "summary": "Show a user",
        "parameters": ID + IF_NONE_MATCH,
        "responses": {
            "200": success("The user.", ["ETag"], data=user, shown=USER),
            **unchanged,
            **no_user,
            **refused_token,
            **unavailable,
        },
    },
    ("put", "/users/{user_id}"): {
        "operationId": "replaceUser",
        "summary": "Replace a user's username and e-mail, and `active` if given",
        "parameters": ID + IF_MATCH,
        "requestBody": body("UserReplacement", example("UserReplacement")),
        "responses": {
            **updated,
            **refused_body,
            **no_user,
            **stale,
            **refused_token,
            **refused_write,
            **unavailable,
        },
    },
    ("patch", "/users/{user_id}"): {
        "operationId": "changeUser",
        "summary": "Change the fields that the body names",
        "parameters": ID + IF_MATCH,
        "requestBody": body("UserChange", example("UserChange", ["username"])),
        "responses": {
            **updated,
            **refused_body,
            **no_user,
            **stale,
            **refused_token,
            **refused_write,
            **unavailable,
        },
    },
    ("delete", "/users/{user_id}"): {
        "operationId": "removeUser",
        "summary": "Remove a user",
        "parameters": ID + IF_MATCH,
        "responses": {
            "200": success(
                "The user was removed.", message=f"{USER['email']} was removed!"
            ),
            **no_user,
            **stale,
            **refused_token,
            **refused_write,
            **unavailable,
        },
    },
}
