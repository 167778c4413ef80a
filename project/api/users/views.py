"""`/users` and `/users/<id>`: parse, call, answer."""

from urllib.parse import urlencode

from flask import Blueprint, request
from flask_restful import Resource
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge

from project.api.users import queries, schemas
from project.errors import InvalidPayload, NotJson, UserNotFound
from project.jsend import Api, answer
from project.observability import audit

users_blueprint = Blueprint("users", __name__)
api = Api(users_blueprint)


def json_body():
    """Return the bytes of the request's JSON body.

    Raises:
        NotJson: its type is another.
        InvalidPayload: it is not whole.
        RequestEntityTooLarge: it is over the limit.
    """
    if request.mimetype != "application/json":
        raise NotJson()
    try:
        body = request.get_data()
    except RequestEntityTooLarge:
        raise
    except Exception as error:
        # The server's own: each has others for a body that is cut or chunked wrongly.
        raise InvalidPayload() from error
    # Werkzeug cuts a chunked body, which tells no length, off at the limit.
    if request.content_length is None and len(body) >= request.max_content_length:
        raise RequestEntityTooLarge()
    return body


def existing_id(text):
    """Return the id that the path names.

    Raises:
        UserNotFound: no user can have it.
    """
    id = schemas.parse_id(text)
    if id is None:
        raise UserNotFound()
    return id


def accepted_versions():
    """Return the list of versions that `If-Match` names, or None where any will do.

    A weak or malformed tag names none: such a request is refused, not let through.
    """
    if "If-Match" not in request.headers or request.if_match.star_tag:
        return None
    return list(request.if_match.as_set())


def answer_user(user, version, **how):
    """Return the answer that shows a user, with the version as its ETag.

    Args:
        user: the user, as the queries give it.
        version: the row's version.
        how: the answer's status and message.
    """
    return answer(data=user, headers={"ETag": f'"{version}"'}, **how)


class UsersList(Resource):
    """All users."""

    def get(self):
        """List a page of users, in the order of their ids."""
        page = schemas.parse_query(request.args.to_dict(flat=False))
        users, more = queries.page(page.limit, page.after, page.email, page.active)
        if not more:
            return answer(data={"users": users, "next": None})
        if not request.host:
            raise BadRequest("The Host header is not valid.")
        query = request.args.to_dict() | {"after": users[-1]["id"]}
        url = f"{request.base_url}?{urlencode(query)}"
        return answer(
            data={"users": users, "next": url},
            headers={"Link": f'<{url}>; rel="next"'},
        )

    def post(self):
        """Add a user."""
        fields = schemas.parse_body(schemas.NewUser, json_body())
        user, version = queries.insert(**fields)
        audit("added", user["id"])
        made = answer_user(
            user, version, status=201, message=f"{user['email']} was added!"
        )
        made.headers["Location"] = f"/users/{user['id']}"
        return made


class User(Resource):
    """One user."""

    def get(self, user_id):
        """Show the user, or answer 304 where the client has this version."""
        user, version = queries.get(existing_id(user_id))
        shown = answer_user(user, version)
        if "HTTP_IF_NONE_MATCH" in request.environ:
            if request.if_none_match.contains_weak(version):
                shown.status_code = 304
        return shown

    def put(self, user_id):
        """Replace the user's username and e-mail address, and `active` if given."""
        return self.change(user_id, schemas.UserReplacement)

    def patch(self, user_id):
        """Change the fields that the body names."""
        return self.change(user_id, schemas.UserChange)

    def change(self, user_id, schema):
        """Change the user as the body says.

        Args:
            user_id: the id in the path.
            schema: the schema of the body.
        """
        id = existing_id(user_id)
        fields = schemas.parse_body(schema, json_body())
        user, version = queries.update(id, fields, accepted_versions())
        audit("updated", id)
        return answer_user(user, version, message=f"{id} was updated!")

    def delete(self, user_id):
        """Remove the user."""
        id = existing_id(user_id)
        email = queries.delete(id, accepted_versions())
        audit("removed", id)
        return answer(message=f"{email} was removed!")


api.add_resource(UsersList, "/users")
api.add_resource(User, "/users/<user_id>")
