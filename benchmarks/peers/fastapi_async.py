"""FastAPI with SQLAlchemy's AsyncSession and asyncpg."""

import os
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Query
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from .orm import User, UserIn, UserResponse, UsersResponse

engine = create_async_engine(os.environ["SQLALCHEMY_ASYNC_URL"])
async_session = async_sessionmaker(engine, expire_on_commit=False)
app = FastAPI()


async def get_session() -> AsyncIterator[AsyncSession]:
    async with async_session() as session:
        yield session


SessionDep = Annotated[AsyncSession, Depends(get_session)]


async def save(session: AsyncSession, user: User) -> dict[str, User]:
    """Commit the changes of a user, and read the stored row."""
    try:
        await session.commit()
    except IntegrityError:
        raise HTTPException(400, "That email already exists.") from None
    await session.refresh(user)
    return {"data": user}


@app.get("/ping")
async def ping() -> dict[str, str]:
    return {"status": "success", "message": "pong!"}


@app.get("/users", response_model=UsersResponse)
async def read_users(
    session: SessionDep,
    after: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    email: str | None = None,
) -> Any:
    query = select(User).where(User.id > after)
    if email is not None:
        # By the service's unique index.
        query = query.where(func.users_mailbox(User.email) == func.users_mailbox(email))
    users = (await session.scalars(query.order_by(User.id).limit(limit))).all()
    return {"data": {"users": users}}


@app.get("/users/{user_id}", response_model=UserResponse)
async def read_user(user_id: int, session: SessionDep) -> Any:
    user = await session.get(User, user_id)
    if not user:
        raise HTTPException(404, "User does not exist")
    return {"data": user}


@app.post("/users", response_model=UserResponse, status_code=201)
async def create_user(body: UserIn, session: SessionDep) -> Any:
    user = User(**body.model_dump())
    session.add(user)
    return await save(session, user)


@app.put("/users/{user_id}", response_model=UserResponse)
async def update_user(user_id: int, body: UserIn, session: SessionDep) -> Any:
    user = await session.get(User, user_id)
    if not user:
        raise HTTPException(404, "User does not exist")
    for name, value in body.model_dump().items():
        setattr(user, name, value)
    return await save(session, user)
