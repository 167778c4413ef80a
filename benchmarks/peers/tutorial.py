"""The tutorial's way: Flask-RESTful, `User.query`, check before insert."""

import os
from typing import Any

from email_validator import EmailNotValidError, validate_email
from flask import Flask, request
from flask_restful import Api, Resource
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import func

app = Flask(__name__)
app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["SQLALCHEMY_URL"]
db = SQLAlchemy(app)
api = Api(app)

Payload = dict[str, Any]


class User(db.Model):  # type: ignore[name-defined]  # mypy cannot follow db.Model
    __tablename__ = "users"

    id = db.Column(db.Integer, primary_key=True, autoincrement=True)
    username = db.Column(db.String(128), nullable=False)
    email = db.Column(db.String(128), nullable=False)
    active = db.Column(db.Boolean, default=True, nullable=False)
    created_date = db.Column(db.DateTime(timezone=True), default=func.now())

    def to_json(self) -> Payload:
        return {
            "id": self.id,
            "username": self.username,
            "email": self.email,
            "active": self.active,
            "created_date": self.created_date.isoformat(),
        }


def parse_payload() -> tuple[str, str] | None:
    """Return the username and the e-mail address, or None if one is invalid."""
    body = request.get_json()
    username, email = body.get("username"), body.get("email")
    if not isinstance(username, str) or not 1 <= len(username.strip()) <= 128:
        return None
    if not isinstance(email, str) or len(email) > 128:
        return None
    try:
        validate_email(email, check_deliverability=False)
    except EmailNotValidError:
        return None
    return username.strip(), email


def has_mailbox(email: str) -> Any:
    """Return the condition that an address is of a mailbox, by the unique index."""
    return func.users_mailbox(User.email) == func.users_mailbox(email)


def find_by_email(email: str) -> User | None:
    user: User | None = User.query.filter(has_mailbox(email)).first()
    return user


class Ping(Resource):
    def get(self) -> Payload:
        return {"status": "success", "message": "pong!"}


class UsersList(Resource):
    def get(self) -> Payload:
        users = User.query
        if "email" in request.args:
            users = users.filter(has_mailbox(request.args["email"]))
        after = request.args.get("after", 0, int)
        limit = request.args.get("limit", 100, int)
        users = users.filter(User.id > after).order_by(User.id).limit(limit).all()
        return {
            "status": "success",
            "data": {"users": [user.to_json() for user in users]},
        }

    def post(self) -> Payload | tuple[Payload, int]:
        fields = parse_payload()
        if fields is None:
            return {"status": "fail", "message": "Invalid payload."}, 400
        username, email = fields
        if find_by_email(email):
            return {"status": "fail", "message": "That email already exists."}, 400
        user = User(username=username, email=email)
        db.session.add(user)
        db.session.commit()
        return {"status": "success", "data": user.to_json()}, 201


class Users(Resource):
    def get(self, user_id: int) -> Payload | tuple[Payload, int]:
        user = User.query.filter_by(id=user_id).first()
        if not user:
            return {"status": "fail", "message": "User does not exist"}, 404
        return {"status": "success", "data": user.to_json()}

    def put(self, user_id: int) -> Payload | tuple[Payload, int]:
        fields = parse_payload()
        if fields is None:
            return {"status": "fail", "message": "Invalid payload."}, 400
        user = User.query.filter_by(id=user_id).first()
        if not user:
            return {"status": "fail", "message": "User does not exist"}, 404
        other = find_by_email(fields[1])
        if other and other.id != user.id:
            return {"status": "fail", "message": "That email already exists."}, 400
        user.username, user.email = fields
        db.session.commit()
        return {"status": "success", "data": user.to_json()}


api.add_resource(Ping, "/ping")
api.add_resource(UsersList, "/users")
api.add_resource(Users, "/users/<int:user_id>")
