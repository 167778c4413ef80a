"""Starlette with asyncpg, orjson and pydantic: SQL by hand, without an ORM."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import asyncpg
import orjson
from pydantic import BaseModel, EmailStr, Field, StringConstraints, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

COLUMNS = "id, username, email, active, created_date"
SELECT_USER = f"SELECT {COLUMNS} FROM users WHERE id = $1"
SELECT_PAGE = f"SELECT {COLUMNS} FROM users WHERE id > $1 ORDER BY id LIMIT $2"
# By the service's unique index.
SELECT_EMAIL = f"""
    SELECT {COLUMNS} FROM users
    WHERE id > $1 AND users_mailbox(email) = users_mailbox($3) ORDER BY id LIMIT $2
"""
INSERT = f"INSERT INTO users (username, email) VALUES ($1, $2) RETURNING {COLUMNS}"
UPDATE = f"""
    UPDATE users SET username = $2, email = $3 WHERE id = $1 RETURNING {COLUMNS}
"""


class UserIn(BaseModel):
    username: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=128)
    ]
    email: Annotated[EmailStr, Field(max_length=128)]


class PageQuery(BaseModel):
    after: Annotated[int, Field(ge=0)] = 0
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    email: str | None = None


class JSONResponse(Response):
    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return orjson.dumps(content)


def user_response(record: asyncpg.Record, status: int = 200) -> JSONResponse:
    return JSONResponse({"status": "success", "data": dict(record)}, status)


async def parse_user(request: Request) -> UserIn:
    try:
        return UserIn.model_validate_json(await request.body())
    except ValidationError as error:
        raise HTTPException(400, str(error)) from None


async def ping(request: Request) -> JSONResponse:
    return JSONResponse({"status": "success", "message": "pong!"})


async def read_users(request: Request) -> JSONResponse:
    try:
        query = PageQuery.model_validate(dict(request.query_params))
    except ValidationError as error:
        raise HTTPException(400, str(error)) from None
    pool: asyncpg.Pool = request.state.pool
    if query.email is None:
        records = await pool.fetch(SELECT_PAGE, query.after, query.limit)
    else:
        records = await pool.fetch(SELECT_EMAIL, query.after, query.limit, query.email)
    users = [dict(record) for record in records]
    return JSONResponse({"status": "success", "data": {"users": users}})


async def read_user(request: Request) -> JSONResponse:
    record = await request.state.pool.fetchrow(
        SELECT_USER, request.path_params["user_id"]
    )
    if record is None:
        raise HTTPException(404, "User does not exist")
    return user_response(record)


async def create_user(request: Request) -> JSONResponse:
    user = await parse_user(request)
    try:
        record = await request.state.pool.fetchrow(INSERT, user.username, user.email)
    except asyncpg.UniqueViolationError:
        raise HTTPException(400, "That email already exists.") from None
    return user_response(record, 201)


async def update_user(request: Request) -> JSONResponse:
    user = await parse_user(request)
    try:
        record = await request.state.pool.fetchrow(
            UPDATE, request.path_params["user_id"], user.username, user.email
        )
    except asyncpg.UniqueViolationError:
        raise HTTPException(400, "That email already exists.") from None
    if record is None:
        raise HTTPException(404, "User does not exist")
    return user_response(record)


async def keep_state(connection: asyncpg.Connection) -> None:
    """Reset nothing: no request changes the state of a connection."""


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[dict[str, asyncpg.Pool]]:
    url = os.environ["DATABASE_URL"]
    # By default, the pool executes a statement after each request to reset the state.
    reset = keep_state if os.environ.get("KEEP_STATE") else None
    async with asyncpg.create_pool(url, reset=reset) as pool:
        yield {"pool": pool}


app = Starlette(
    routes=[
        Route("/ping", ping),
        Route("/users", read_users),
        Route("/users", create_user, methods=["POST"]),
        Route("/users/{user_id:int}", read_user),
        Route("/users/{user_id:int}", update_user, methods=["PUT"]),
    ],
    lifespan=lifespan,
)
