"""The operator's password and the settings around it."""

import pytest
from werkzeug.security import check_password_hash

from project import create_app, passwords
from project.config import ConfigError, ProductionConfig, gaps

GOOD = passwords.make_hash("correct horse battery")


def test_hash():
    assert check_password_hash(GOOD, "correct horse battery")
    assert not check_password_hash(GOOD, "correct horse")
    assert passwords.make_hash("correct horse battery") != GOOD
    assert passwords.check_format(GOOD) == GOOD


def test_short_password():
    with pytest.raises(ValueError, match="12 to 1024 characters"):
        passwords.make_hash("short")


@pytest.mark.parametrize(
    "text",
    [
        "a password",
        GOOD[:-1],
        GOOD.replace("$", ""),
        f"'{GOOD}'",
        GOOD + "\n",
        "scrypt",
    ],
)
def test_malformed_hash_ends_the_start(monkeypatch, text):
    monkeypatch.setenv("ADMIN_PASSWORD", text)
    with pytest.raises(ConfigError) as error:
        create_app(ProductionConfig)
    assert "ADMIN_PASSWORD" in str(error.value)
    assert "python manage.py hash_password" in str(error.value)
    assert text not in str(error.value)


@pytest.mark.parametrize(
    "settings, said",
    [
        ({}, None),
        ({"SECRET_KEY": "x" * 16}, None),
        ({"ADMIN_USERNAME": "x"}, "set ADMIN_PASSWORD and SECRET_KEY, too"),
        ({"ADMIN_USERNAME": "x", "SECRET_KEY": "x" * 16}, "set ADMIN_PASSWORD, too"),
        ({"ADMIN_USERNAME": "x", "ADMIN_PASSWORD": GOOD}, "set SECRET_KEY, too"),
        ({"ADMIN_PASSWORD": GOOD, "SECRET_KEY": "x" * 16}, "set ADMIN_USERNAME, too"),
    ],
)
def test_half_a_login_is_told(monkeypatch, settings, said):
    monkeypatch.setenv("DATABASE_URL", "postgresql://localhost/users")
    monkeypatch.setenv("API_TOKENS", "0123456789abcdef")
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    app = create_app(ProductionConfig)
    told = [f"the admin is closed: to open it, {said}"] if said else []
    assert list(gaps(app.config)) == told
    assert "admin" not in app.blueprints
