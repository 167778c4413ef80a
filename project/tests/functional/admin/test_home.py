"""The admin site's home page."""

import re

import pytest
from flask.testing import FlaskClient

from project import db
from project.api.users.admin import counts
from project.tests.types import AddUser
from project.tests.users import ADA


def test_home_shows_exact_counts_or_estimates(
    admin: FlaskClient, add_user: AddUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_user(**ADA)
    add_user("grace", "grace@example.com", active=False)
    text = admin.get("/admin/").text
    assert re.findall(r"<strong>([^<]*)<", text) == ["2", "1"]
    assert 'href="/docs"' in text
    with db.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.exec_driver_sql("ANALYZE users")
    monkeypatch.setattr(counts, "MAX_EXACT_COUNT", 0)
    text = admin.get("/admin/").text
    assert re.findall(r"<strong>([^<]*)<", text) == ["about 0", "about 0"]
