"""`GET /ping`: whether the process answers."""

from flask import Blueprint
from flask_restful import Resource

from project.jsend import Api, answer

ping_blueprint = Blueprint("ping", __name__)
api = Api(ping_blueprint)


class Ping(Resource):
    """A sign of life that never touches the database."""

    def get(self):
        """Answer `pong!`."""
        return answer(message="pong!")


api.add_resource(Ping, "/ping")
