"""Litestar with SQLAlchemy's AsyncSession, asyncpg and msgspec."""

import os
from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Annotated

from email_validator import EmailNotValidError, validate_email
from litestar import Litestar, get, post, put
from litestar.exceptions import ClientException, NotFoundException
from litestar.params import Parameter
from msgspec import Meta, Struct
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from .orm import User

engine = create_async_engine(os.environ["SQLALCHEMY_ASYNC_URL"])
async_session = async_sessionmaker(engine, expire_on_commit=False)


class UserIn(Struct):
    username: Annotated[str, Meta(min_length=1, max_length=128)]
    email: Annotated[str, Meta(max_length=128)]

    def __post_init__(self) -> None:
        self.username = self.username.strip()
        try:
            validate_email(self.email, check_deliverability=False)
        except EmailNotValidError as error:
            raise ValueError(str(error)) from None


class UserOut(Struct):
    id: int
    username: str
    email: str
    active: bool
    created_date: datetime


class UserResponse(Struct):
    data: UserOut
    status: str = "success"


class UserList(Struct):
    users: list[UserOut]


class UsersResponse(Struct):
    data: UserList
    status: str = "success"


async def provide_session() -> AsyncGenerator[AsyncSession, None]:
    async with async_session() as session:
        yield session


def to_output(user: User) -> UserOut:
    return UserOut(user.id, user.username, user.email, user.active, user.created_date)


async def save(session: AsyncSession, user: User) -> UserResponse:
    """Commit the changes of a user, and read the stored row."""
    try:
        await session.commit()
    except IntegrityError:
        raise ClientException("That email already exists.") from None
    await session.refresh(user)
    return UserResponse(to_output(user))


@get("/ping")
async def ping() -> dict[str, str]:
    return {"status": "success", "message": "pong!"}


@get("/users")
async def read_users(
    session: AsyncSession,
    after: Annotated[int, Parameter(ge=0)] = 0,
    limit: Annotated[int, Parameter(ge=1, le=1000)] = 100,
    email: str | None = None,
) -> UsersResponse:
    query = select(User).where(User.id > after)
    if email is not None:
        # By the service's unique index.
        query = query.where(func.users_mailbox(User.email) == func.users_mailbox(email))
    users = await session.scalars(query.order_by(User.id).limit(limit))
    return UsersResponse(UserList([to_output(user) for user in users]))


@get("/users/{user_id:int}")
async def read_user(user_id: int, session: AsyncSession) -> UserResponse:
    user = await session.get(User, user_id)
    if not user:
        raise NotFoundException("User does not exist")
    return UserResponse(to_output(user))


@post("/users")
async def create_user(data: UserIn, session: AsyncSession) -> UserResponse:
    user = User(username=data.username, email=data.email)
    session.add(user)
    return await save(session, user)


@put("/users/{user_id:int}")
async def update_user(
    user_id: int, data: UserIn, session: AsyncSession
) -> UserResponse:
    user = await session.get(User, user_id)
    if not user:
        raise NotFoundException("User does not exist")
    user.username, user.email = data.username, data.email
    return await save(session, user)


app = Litestar(
    [ping, read_users, read_user, create_user, update_user],
    dependencies={"session": provide_session},
)
