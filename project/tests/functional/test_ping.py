"""`GET /ping` and `GET /health`."""

from project import create_app


def test_ping(client):
    answer = client.get("/ping")
    assert answer.status_code == 200
    assert answer.json == {"status": "success", "message": "pong!"}


def test_health(client):
    answer = client.get("/health")
    assert answer.status_code == 200
    assert answer.json == {"status": "success", "data": {"database": "up"}}


def test_ping_needs_no_database():
    """It answers where everything else is 503."""
    client = create_app("project.config.ProductionConfig").test_client()
    assert client.get("/ping").status_code == 200
    assert client.get("/health").status_code == 503
