"""FastAPI with SQLAlchemy's Session and psycopg2, as in FastAPI's tutorial."""

import os
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Query
from sqlalchemy import create_engine, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from .orm import User, UserIn, UserResponse, UsersResponse

engine = create_engine(os.environ["SQLALCHEMY_URL"])
app = FastAPI()


def get_session() -> Iterator[Session]:
    with Session(engine) as session:
        yield session


SessionDep = Annotated[Session, Depends(get_session)]


def save(session: Session, user: User) -> dict[str, User]:
    """Commit the changes of a user, and read the stored row."""
    try:
        session.commit()
    except IntegrityError:
        raise HTTPException(400, "That email already exists.") from None
    session.refresh(user)
    return {"data": user}


@app.get("/ping")
def ping() -> dict[str, str]:
    return {"status": "success", "message": "pong!"}


@app.get("/users", response_model=UsersResponse)
def read_users(
    session: SessionDep,
    after: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    email: str | None = None,
) -> Any:
    query = select(User).where(User.id > after)
    if email is not None:
        # By the service's unique index.
        query = query.where(func.users_mailbox(User.email) == func.users_mailbox(email))
    users = session.scalars(query.order_by(User.id).limit(limit)).all()
    return {"data": {"users": users}}


@app.get("/users/{user_id}", response_model=UserResponse)
def read_user(user_id: int, session: SessionDep) -> Any:
    user = session.get(User, user_id)
    if not user:
        raise HTTPException(404, "User does not exist")
    return {"data": user}


@app.post("/users", response_model=UserResponse, status_code=201)
def create_user(body: UserIn, session: SessionDep) -> Any:
    user = User(**body.model_dump())
    session.add(user)
    return save(session, user)


@app.put("/users/{user_id}", response_model=UserResponse)
def update_user(user_id: int, body: UserIn, session: SessionDep) -> Any:
    user = session.get(User, user_id)
    if not user:
        raise HTTPException(404, "User does not exist")
    for name, value in body.model_dump().items():
        setattr(user, name, value)
    return save(session, user)
