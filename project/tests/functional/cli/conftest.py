"""Fixtures of the commands' tests."""

import shutil
from pathlib import Path

import pytest
from flask import Flask

from devtools.servers import ROOT
from project.api.users.bulk import load
from project.database import migrations
from project.tests.types import AddUser, CreateProductionApp, RunCommand, StoredUser


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


@pytest.fixture
def versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the migrations, which the commands use instead of the project's."""
    shutil.copy(ROOT / "setup.cfg", tmp_path)
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "migrations", tmp_path / "migrations", ignore=ignore)
    monkeypatch.setattr(migrations, "MIGRATIONS", tmp_path / "migrations")
    return tmp_path / "migrations" / "versions"


@pytest.fixture
def upgraded_app(run_command: RunCommand, blank_app: Flask, versions: Path) -> Flask:
    """An application on a database of its own, with the latest migration."""
    assert run_command("db", "upgrade", app=blank_app).exit_code == 0
    return blank_app
