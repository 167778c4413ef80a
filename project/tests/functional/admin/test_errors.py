"""The admin while the database is unavailable."""

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from project.tests.functional.admin.helpers import get_csrf_token
from project.tests.types import CreateProductionApp
from project.tests.users import ADA

HTTPS = "https://localhost"


def post_create_form(client: FlaskClient) -> TestResponse:
    """Submit the form that creates a user; opening it needs no database."""
    page = client.get("/admin/user/new/", base_url=HTTPS).text
    data = {**ADA, "csrf_token": get_csrf_token(page)}
    return client.post("/admin/user/new/", data=data, base_url=HTTPS)


@pytest.mark.parametrize("url", ["/admin/", "/admin/user/", "/admin/user/edit/?id=1"])
def test_unavailable_database_returns_503_page(
    create_production_app: CreateProductionApp,
    url: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = create_production_app(
        DATABASE_URL="postgresql://ada:secret@127.0.0.1:1/users",
        ADMIN_REQUIRES_LOGIN=False,
        ADMIN_OPEN_BY_DEFAULT=True,
        SECRET_KEY="x" * 16,
    )
    client = app.test_client()
    response = client.get(url, base_url=HTTPS)
    assert response.status_code == 503
    assert response.mimetype == "text/html"
    assert "try again later" in response.text
    assert "Traceback" not in response.text and "secret" not in response.text
    assert "Retry-After" in response.headers
    assert post_create_form(client).status_code == 503
    assert "check that PostgreSQL is running" in caplog.text
