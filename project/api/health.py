"""`GET /health`: whether the service can do its work."""

from flask import Blueprint
from flask_restful import Resource

from project import database, db
from project.jsend import Api, answer

health_blueprint = Blueprint("health", __name__)
api = Api(health_blueprint)


class Health(Resource):
    """Readiness: the process and the database behind it."""

    def get(self):
        """Answer 200 where the database answers; the error handler makes it 503."""
        database.ping(db.engines[database.AUTOCOMMIT])
        return answer(data={"database": "up"})


api.add_resource(Health, "/health")
