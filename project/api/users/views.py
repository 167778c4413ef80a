"""`/users` and `/users/<id>`."""

import re
from functools import partial
from urllib.parse import urlencode

from flask import Blueprint, Response, request
from flask.blueprints import BlueprintSetupState
from flask_restful import Resource
from werkzeug.exceptions import (
    MethodNotAllowed,
    NotFound,
    RequestEntityTooLarge,
    RequestTimeout,
)
from werkzeug.routing import BaseConverter, ValidationError

from project.api.users import pages, queries, schemas
from project.api.users.errors import UserNotFound, VersionExcluded
from project.api.users.queries import VersionedUser
from project.audit_log import record_user
from project.web.errors import InvalidPayload, InvalidQuery, NotJson, NotMergePatch
from project.web.etags import format_etag, is_excluded, parse_etags
from project.web.responses import PATCH_TYPES, Api, json_response, options_response

# Without a group, the commands are called `flask seed_db`, not `flask users seed_db`.
users_blueprint = Blueprint("users", __name__, cli_group=None)

# The maximum number of query parameters. Parsing thousands takes as long as several
# requests.
MAX_PARAMETERS = 50

USER_PATH = re.compile(r"/users/[^/]+")


class UserIdConverter(BaseConverter):
    """Matches ids only, so that `/users/<name>` is free for other endpoints."""

    regex = "[0-9]+"

    def to_python(self, value: str) -> int:
        """Return the id."""
        user_id = schemas.parse_id(value)
        if user_id is None:
            raise ValidationError()
        return user_id


@users_blueprint.record_once
def init_app(state: BlueprintSetupState) -> None:
    """Prepare an application before its URL rules are added.

    They contain the converter as `<user_id:name>`.
    """
    state.app.url_map.converters["user_id"] = UserIdConverter
    queries.init_app(state.app)


def json_body() -> bytes:
    """Return the JSON body of the request.

    Raises:
        NotJson, NotMergePatch: the content type is not JSON.
        InvalidPayload: the body is incomplete, or its chunks are malformed.
        RequestEntityTooLarge: the body exceeds MAX_CONTENT_LENGTH.
        RequestTimeout: the body has not arrived in time.
    """
    if request.method == "PATCH":
        if request.mimetype not in PATCH_TYPES:
            raise NotMergePatch()
    elif request.mimetype != "application/json":
        raise NotJson()
    try:
        body = request.get_data()
    except (RequestEntityTooLarge, RequestTimeout):
        raise
    except Exception as error:
        # Each WSGI server raises its own exceptions for a malformed body.
        raise InvalidPayload() from error
    # Werkzeug truncates a chunked body, which has no Content-Length, at the limit.
    if request.content_length is None:
        limit = request.max_content_length
        if limit is not None and len(body) >= limit:
            raise RequestEntityTooLarge()
    return body


def accepted_versions(user_id: int) -> list[str] | None:
    """Return the versions of a user that the request may change, or None for any.

    Weak and malformed tags match no version, so that the request is rejected.

    Raises:
        UserNotFound, VersionExcluded: the request has `If-None-Match`, and there is no
            user, or the user has a version that it excludes.
    """
    excluded = request.environ.get("HTTP_IF_NONE_MATCH")
    if excluded and is_excluded(queries.get(user_id).version, excluded):
        raise VersionExcluded()
    accepted = request.environ.get("HTTP_IF_MATCH", "*")
    if accepted.strip() == "*":
        return None
    return parse_etags(accepted, weak=False)


def user_response(
    user: VersionedUser,
    status: int = 200,
    message: str | None = None,
    location: str | None = None,
) -> Response:
    """Return a response with a user and its ETag."""
    headers = {"ETag": format_etag(user.version)}
    if location:
        headers["Location"] = location
    return json_response(status, message, headers, data=user.data)


def next_url(after: int) -> str:
    """Return the URL of the page that begins after an id."""
    parameters = request.args.to_dict() | {"after": after}
    return f"{request.base_url}?{urlencode(parameters)}"


class UsersList(Resource):
    """All users."""

    def get(self) -> Response:
        """List a page of users."""
        if request.query_string.count(b"&") >= MAX_PARAMETERS:
            raise InvalidQuery({"query": f"More than {MAX_PARAMETERS} parameters"})
        query = schemas.parse_query(request.args.to_dict(flat=False))
        page = pages.read(query)
        data: dict[str, object] = {"users": page.users, "next": None, "after": None}
        headers = {}
        if page.has_more:
            after = page.users[-1]["id"]
            url = next_url(after)
            data |= {"next": url, "after": after}
            headers["Link"] = f'<{url}>; rel="next"'
        if query.count:
            data["count"] = pages.count(query, page)
        return json_response(headers=headers, data=data)

    def post(self) -> Response:
        """Add a user."""
        payload = schemas.parse_body(schemas.NewUser, json_body())
        user = queries.insert(vars(payload), request.remote_user)
        user_id, email = user.data["id"], user.data["email"]
        record_user("added", user_id, request.remote_user)
        return user_response(user, 201, f"{email} was added!", f"/users/{user_id}")


class User(Resource):
    """One user."""

    def get(self, user_id: int) -> Response:
        """Show the user, or answer 304 if `If-None-Match` contains its version."""
        user = queries.read_on_standby(partial(queries.get, user_id))
        response = user_response(user)
        if_none_match = request.environ.get("HTTP_IF_NONE_MATCH")
        if if_none_match and is_excluded(user.version, if_none_match):
            response.status_code = 304
        return response

    def put(self, user_id: int) -> Response:
        """Replace the required fields, and the optional ones in the body."""
        return self.update(user_id, schemas.UserReplacement)

    def patch(self, user_id: int) -> Response:
        """Change the fields in the body."""
        return self.update(user_id, schemas.UserChange)

    def update(self, user_id: int, schema: type[schemas.Payload]) -> Response:
        """Change the fields in the body, which has the schema."""
        payload = schemas.parse_body(schema, json_body())
        fields = payload.model_dump(exclude_unset=True)
        who = request.remote_user
        user = queries.update(user_id, fields, accepted_versions(user_id), who)
        record_user("updated", user_id, who)
        return user_response(user, message=f"{user_id} was updated!")

    def delete(self, user_id: int) -> Response:
        """Remove the user."""
        who = request.remote_user
        email = queries.delete(user_id, accepted_versions(user_id), who)
        record_user("removed", user_id, who)
        return json_response(message=f"{email} was removed!")


USER_METHODS = sorted({*(User.methods or ()), "HEAD", "OPTIONS"})


@users_blueprint.before_app_request
def handle_invalid_id() -> Response | None:
    """Answer `/users/<text>` like the URL of a user that does not exist.

    Raises:
        MethodNotAllowed, UserNotFound: the text is neither an id nor an endpoint.
    """
    no_endpoint = isinstance(request.routing_exception, NotFound)
    if not no_endpoint or not USER_PATH.fullmatch(request.path):
        return None
    if request.method == "OPTIONS":
        # A CORS preflight must succeed, or a script cannot read the 404 that follows.
        return options_response(", ".join(USER_METHODS))
    if request.method not in USER_METHODS:
        raise MethodNotAllowed(USER_METHODS)
    raise UserNotFound()


# Flask-RESTful adds the rules when the blueprint is registered. The converter exists
# by then because `init_app` is recorded above.
api = Api(users_blueprint)
api.add_resource(UsersList, "/users")
api.add_resource(User, "/users/<user_id:user_id>")
