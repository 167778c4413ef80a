"""`GET /health`: whether the service can use its database."""

from flask import Blueprint, Response
from flask_restful import Resource

from project import db
from project.database.availability import ping
from project.database.engines import AUTOCOMMIT
from project.web.responses import Api, json_response

health_blueprint = Blueprint("health", __name__)
api = Api(health_blueprint)


class Health(Resource):
    """Readiness: the error handler answers 503 if the database is unavailable."""

    def get(self) -> Response:
        """Ping the database."""
        ping(db.engines[AUTOCOMMIT])
        return json_response(data={"database": "up"})


api.add_resource(Health, "/health")
