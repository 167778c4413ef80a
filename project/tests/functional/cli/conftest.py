"""Fixtures of the commands' tests."""

import pytest
from flask import Flask

from project.api.users.bulk import load
from project.tests.types import AddUser, CreateProductionApp, StoredUser


@pytest.fixture
def awkward_users(add_user: AddUser) -> list[StoredUser]:
    """Stored users whose values need quoting or escaping in CSV and in COPY."""
    users = [
        ("ada", "Ada@example.com", True),
        ('a "quoted", name', "grace@example.com", False),
        ("浩 Zoë", "jürgen@bücher.example", True),
        ("\\. \\N", "o'hara@example.com", True),
        ("=1+1", "+1@example.com", True),
        ("'=1 x;\"=1", "'=1@example.com", True),
    ]
    for username, email, active in users:
        add_user(username, email, active=active)
    return users


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of two users, so that a few users fill several batches."""
    monkeypatch.setattr(load, "BATCH_SIZE", 2)


@pytest.fixture
def blank_app(
    create_production_app: CreateProductionApp, blank_database_url: str
) -> Flask:
    """An application with production settings on an empty database of its own."""
    return create_production_app(DATABASE_URL=blank_database_url)
