"""`GET /ping` and `GET /health`."""

from flask.testing import FlaskClient

from project import create_app


def test_ping_returns_pong(client: FlaskClient) -> None:
    response = client.get("/ping")
    assert response.status_code == 200
    assert response.get_json() == {"status": "success", "message": "pong!"}


def test_health_reports_that_the_database_is_up(client: FlaskClient) -> None:
    response = client.get("/health")
    assert response.status_code == 200
    assert response.get_json() == {"status": "success", "data": {"database": "up"}}


def test_ping_works_without_a_database() -> None:
    client = create_app("project.config.ProductionConfig").test_client()
    assert client.get("/ping").status_code == 200
    assert client.get("/health").status_code == 503
