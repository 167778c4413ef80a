"""`GET /ping`: whether the process answers."""

from flask import Blueprint, Response
from flask_restful import Resource

from project.web.responses import Api, json_response

ping_blueprint = Blueprint("ping", __name__)
api = Api(ping_blueprint)


class Ping(Resource):
    """Liveness: does not use the database."""

    def get(self) -> Response:
        """Answer `pong!`."""
        return json_response(message="pong!")


api.add_resource(Ping, "/ping")
