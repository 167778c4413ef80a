"""The components of the OpenAPI document: what its operations share."""

from pydantic import BaseModel

from project.api.openapi.parts import Json, envelope, header, json_schema, reference
from project.api.users import schemas
from project.web import auth
from project.web.error_codes import ErrorCode

MESSAGE: Json = {"type": "string", "description": "For people; see `code`."}
USER = reference("schemas", "User")

REQUEST_MODELS: dict[str, type[BaseModel]] = {
    "NewUser": schemas.NewUser,
    "UserReplacement": schemas.UserReplacement,
    "UserChange": schemas.UserChange,
}
SCHEMAS: dict[str, Json] = {
    "User": json_schema(schemas.UserOut, mode="serialization"),
    **{name: json_schema(model) for name, model in REQUEST_MODELS.items()},
    "UserResponse": envelope(data=USER),
    "ChangedUserResponse": envelope(message=MESSAGE, data=USER),
    "UserPage": envelope(data=reference("schemas", "UserPageData")),
    "UserPageData": {
        "type": "object",
        "required": ["users", "next", "after"],
        "properties": {
            "users": {"type": "array", "items": USER},
            "next": {
                "description": "The URL of the next page, or null on the last page.",
                "type": ["string", "null"],
                "format": "uri",
            },
            "after": {
                "description": "The parameter `after` of the next page, or null.",
                "type": ["integer", "null"],
            },
            "count": {
                "description": "The number of users on all pages, if the parameter"
                " `count` was sent.",
                "type": "integer",
            },
        },
    },
    "LinksResponse": envelope(data=reference("schemas", "Links")),
    "Links": {
        "description": "Paths of this service.",
        "type": "object",
        "required": ["users", "docs", "openapi"],
        "properties": {
            "users": {"type": "string"},
            "docs": {"type": "string"},
            "openapi": {"type": "string"},
            "admin": {
                "description": "Absent if there is no admin site.",
                "type": "string",
            },
        },
    },
    "MessageResponse": envelope(message=MESSAGE),
    "HealthResponse": envelope(data=reference("schemas", "Health")),
    "Health": {
        "type": "object",
        "required": ["database"],
        "properties": {"database": {"type": "string", "const": "up"}},
    },
    "ErrorResponse": {
        "type": "object",
        "required": ["status", "message", "code"],
        "properties": {
            "status": {
                "description": "`fail` is the client's error (4xx), `error` the"
                " server's (5xx).",
                "type": "string",
                "enum": ["fail", "error"],
            },
            "message": MESSAGE,
            "code": reference("schemas", "ErrorCode"),
            "errors": {
                "description": "The reason for each invalid field or parameter.",
                "type": "object",
                "additionalProperties": {"type": "string"},
            },
        },
    },
    "ErrorCode": {
        "description": "Identifies the error for programs.",
        "type": "string",
        "enum": [code.value for code in ErrorCode],
    },
}

PARAMETERS: Json = {
    "user_id": {
        "name": "user_id",
        "in": "path",
        "required": True,
        "description": "The id of a user.",
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
    "Read-Consistency": {
        "name": "Read-Consistency",
        "in": "header",
        "description": "`strong`, or any other value than `eventual`, returns what was"
        " written before the request. With `eventual`, the response may be a few"
        " seconds old if the service is configured to read on standbys.",
        "schema": {"type": "string", "default": "eventual"},
    },
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
}

# Of a document whose operations need a token.
SECURITY_HEADERS: Json = {
    "WWW-Authenticate": header(
        "The authentication scheme and the reason.", 'Bearer realm="users"'
    ),
}
SECURITY_SCHEMES: Json = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "A token of this service; or, if it is configured for an OpenID"
        f" Connect provider, an access token with the scope `{auth.READ_SCOPE}` (GET,"
        f" HEAD) or `{auth.WRITE_SCOPE}` (all other methods).",
    }
}
