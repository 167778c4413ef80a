"""Configuration classes, environment variables, and the errors of invalid ones."""

import os
from pathlib import Path

import pytest
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import create_engine, make_url

from project import config as config_module
from project import create_app
from project.config import (
    ConfigError,
    DevelopmentConfig,
    ProductionConfig,
    TestingConfig,
    normalize_url,
)


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Unset every environment variable of the service, and hide `.env`."""
    for name in config_module.Environment.model_fields:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("FLASK_SKIP_DOTENV", raising=False)
    monkeypatch.setattr(config_module, "DOTENV", tmp_path / ".env")


@pytest.mark.parametrize(
    "config",
    [TestingConfig, "project.config.TestingConfig"],
)
def test_config_may_be_a_class_or_an_import_string(config: type | str) -> None:
    app = create_app(config)
    assert app.config["TESTING"] is True
    assert app.config["SECRET_KEY"]


def test_development_config_is_the_default() -> None:
    app = create_app()
    assert app.config["SECRET_KEY"] == DevelopmentConfig.SECRET_KEY
    assert app.config["SQLALCHEMY_DATABASE_URI"].endswith("/users_dev")
    assert not app.config["IS_PRODUCTION"]


def test_app_settings_selects_the_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_SETTINGS", "project.config.ProductionConfig")
    app = create_app()
    assert app.config["IS_PRODUCTION"] is True
    assert app.config["SECRET_KEY"] is None


def test_mapping_overrides_the_environment_and_the_class(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("APP_SETTINGS", "project.config.ProductionConfig")
    monkeypatch.setenv("SECRET_KEY", "from the environment")
    url = "postgres://ada@localhost/users_prod"
    app = create_app({"DATABASE_URL": url, "ANYTHING": 1})
    assert app.config["SECRET_KEY"] == "from the environment"
    assert app.config["ANYTHING"] == 1
    assert app.config["SQLALCHEMY_DATABASE_URI"] == (
        "postgresql+psycopg2://ada@localhost/users_prod"
    )


def test_sqlalchemy_database_uri_may_be_set() -> None:
    uri = "postgresql://ada@localhost/other"
    app = create_app({"SQLALCHEMY_DATABASE_URI": uri})
    assert app.config["SQLALCHEMY_DATABASE_URI"].endswith("ada@localhost/other")


def test_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "")
    monkeypatch.setenv("APP_SETTINGS", "")
    assert create_app().config["SECRET_KEY"] == DevelopmentConfig.SECRET_KEY


def test_variable_is_converted_to_its_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_POOL_SIZE", "7")
    assert create_app().config["DATABASE_POOL_SIZE"] == 7


@pytest.mark.parametrize(
    "name, value, message",
    [
        ("APP_SETTINGS", "project.config.Prod", "project.config.DevelopmentConfig"),
        ("APP_SETTINGS", "nonsense", "cannot be imported"),
        ("DATABASE_URL", "mysql://ada:secret@localhost/users", "postgresql://user"),
        ("DATABASE_TEST_URL", "mysql://localhost/users_test", "postgresql://user"),
        ("DATABASE_URL", "postgres://ada:secret@localhost", "names no database"),
        ("DATABASE_URL", "postgres://ada:secret@localhost:port/users", "as a number"),
        ("DATABASE_POOL_SIZE", "many", "DATABASE_POOL_SIZE"),
        ("DATABASE_POOL_SIZE", "0", "greater than 0"),
        ("PORT", "70000", "PORT"),
        ("FLASK_ENV", "prod", "FLASK_ENV"),
        ("DATABASE_CONNECT_TIMEOUT", "1", "DATABASE_CONNECT_TIMEOUT"),
    ],
)
def test_invalid_variable_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as error:
        create_app()
    assert message in str(error.value)
    assert "secret" not in str(error.value)
    assert "\n" not in str(error.value)


def test_error_names_every_invalid_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "x")
    monkeypatch.setenv("WEB_CONCURRENCY", "x")
    with pytest.raises(ConfigError, match="PORT: .*; WEB_CONCURRENCY: "):
        create_app()


@pytest.mark.parametrize("url", ["postgres://localhost/users", "postgres://h/test"])
def test_testing_refuses_a_database_without_the_test_suffix(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("DATABASE_TEST_URL", url)
    with pytest.raises(ConfigError, match="_test"):
        create_app(TestingConfig)


@pytest.mark.parametrize("class_name", ["DevelopmentConfig", "ProductionConfig"])
def test_every_configuration_reads_dotenv(
    monkeypatch: pytest.MonkeyPatch, class_name: str
) -> None:
    config_module.DOTENV.write_text(
        f"# A comment.\n\nAPP_SETTINGS=project.config.{class_name}\n"
        "export SECRET_KEY='from the .env file'\n"
    )
    monkeypatch.setattr(os, "environ", os.environ.copy())
    app = create_app()
    assert app.config["SECRET_KEY"] == "from the .env file"
    assert app.config["IS_PRODUCTION"] == (class_name == "ProductionConfig")


@pytest.mark.parametrize("value", ["from the environment", ""])
def test_environment_overrides_dotenv(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    config_module.DOTENV.write_text("SECRET_KEY=from the .env file\n")
    monkeypatch.setenv("SECRET_KEY", value)
    assert create_app().config["SECRET_KEY"] == (value or DevelopmentConfig.SECRET_KEY)


def test_dotenv_can_be_disabled(monkeypatch: pytest.MonkeyPatch) -> None:
    config_module.DOTENV.write_text("PORT=6000\n")
    monkeypatch.setenv("FLASK_SKIP_DOTENV", "1")
    assert create_app().config["PORT"] == 5000


@pytest.mark.parametrize(
    "text, line",
    [("PORT=1\nPORT: 5000\n", 2), ("PORT\n", 1), ("PORT='1\n", 1), ("=1\n", 1)],
)
def test_malformed_line_of_dotenv_stops_the_start(text: str, line: int) -> None:
    config_module.DOTENV.write_text(text)
    with pytest.raises(ConfigError, match=rf"\.env, line {line}: write NAME=value"):
        create_app()


def test_unreadable_dotenv_stops_the_start() -> None:
    config_module.DOTENV.write_bytes(b"PORT=\xff\n")
    with pytest.raises(ConfigError, match=r"\.env cannot be read"):
        create_app()


def test_weak_secret_key_is_refused_in_production_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SECRET_KEY", "my_precious")
    assert create_app(DevelopmentConfig).config["SECRET_KEY"] == "my_precious"
    assert create_app(TestingConfig).config["SECRET_KEY"] == "my_precious"
    with pytest.raises(ConfigError, match="SECRET_KEY: use at least 16") as error:
        create_app(ProductionConfig)
    assert "my_precious" not in str(error.value)


def test_production_does_not_use_the_embedded_database() -> None:
    assert create_app(ProductionConfig).config["USES_EMBEDDED_DATABASE"] is False


def test_two_applications_use_different_databases(
    database_url: str, empty_database: SQLAlchemy
) -> None:
    one = create_app({"DATABASE_URL": database_url})
    two = create_app({"DATABASE_URL": "postgresql://127.0.0.1:1/nowhere"})
    assert one.test_client().get("/users").status_code == 200
    assert two.test_client().get("/users").status_code == 503
    assert one.test_client().get("/users").status_code == 200


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_normalize_url_selects_the_driver(scheme: str) -> None:
    assert normalize_url(f"{scheme}://ada:p%40ss@db:5433/users?sslmode=require") == (
        "postgresql+psycopg2://ada:p%40ss@db:5433/users?sslmode=require"
    )


def test_normalize_url_expands_several_hosts() -> None:
    """libpq's notation for a primary and its standbys."""
    url = normalize_url(
        "postgres://ada:secret@one,two:5433/users?target_session_attrs=read-write"
    )
    arguments = create_engine(url).dialect.create_connect_args(make_url(url))[1]
    assert arguments == {
        "user": "ada",
        "password": "secret",
        "host": "one,two",
        "port": "5432,5433",
        "dbname": "users",
        "target_session_attrs": "read-write",
    }


@pytest.mark.parametrize("url", ["", "users", "sqlite://", "postgresql+psycopg://a/b"])
def test_normalize_url_refuses_other_databases(url: str) -> None:
    with pytest.raises(ValueError, match="postgresql://user:password@host"):
        normalize_url(url)


@pytest.mark.parametrize(
    "name", ["project.config", "project.create_app", "builtins.dict"]
)
def test_config_that_is_not_a_class_is_rejected(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("APP_SETTINGS", name)
    with pytest.raises(
        ConfigError, match="is not a configuration class: use project.config.Dev"
    ):
        create_app()
