"""Settings: where they come from, and what is said of wrong ones."""

import os

import pytest

from project import config as config_module
from project import create_app
from project.config import (
    ConfigError,
    DevelopmentConfig,
    ProductionConfig,
    TestingConfig,
)


@pytest.fixture(autouse=True)
def clean(monkeypatch, tmp_path):
    """No variable set, and no .env."""
    for name in config_module.Environment.model_fields:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(config_module, "DOTENV", tmp_path / ".env")
    return monkeypatch


@pytest.mark.parametrize(
    "config",
    [TestingConfig, "project.config.TestingConfig"],
)
def test_class_or_import_string(config):
    app = create_app(config)
    assert app.config["TESTING"] is True
    assert app.config["SECRET_KEY"]


def test_development_is_the_default():
    app = create_app()
    assert app.config["SECRET_KEY"] == DevelopmentConfig.SECRET_KEY
    assert app.config["SQLALCHEMY_DATABASE_URI"].endswith("/users_dev")
    assert not app.config["GUARD_DATA"]


def test_app_settings(monkeypatch):
    monkeypatch.setenv("APP_SETTINGS", "project.config.ProductionConfig")
    app = create_app()
    assert app.config["GUARD_DATA"] is True
    assert app.config["SECRET_KEY"] is None


def test_mapping_is_laid_over_app_settings(monkeypatch):
    monkeypatch.setenv("APP_SETTINGS", "project.config.ProductionConfig")
    monkeypatch.setenv("SECRET_KEY", "from outside, long")
    url = "postgres://ada@localhost/users_prod"
    app = create_app({"DATABASE_URL": url, "ANYTHING": 1})
    assert app.config["SECRET_KEY"] == "from outside, long"
    assert app.config["ANYTHING"] == 1
    assert app.config["SQLALCHEMY_DATABASE_URI"] == (
        "postgresql+psycopg2://ada@localhost/users_prod"
    )


def test_explicit_database_uri():
    uri = "postgresql://ada@localhost/other"
    app = create_app({"SQLALCHEMY_DATABASE_URI": uri})
    assert app.config["SQLALCHEMY_DATABASE_URI"].endswith("ada@localhost/other")


def test_empty_variable_is_unset(monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "")
    monkeypatch.setenv("APP_SETTINGS", "")
    assert create_app().config["SECRET_KEY"] == DevelopmentConfig.SECRET_KEY


def test_typed(monkeypatch):
    monkeypatch.setenv("DATABASE_POOL_SIZE", "7")
    assert create_app().config["DATABASE_POOL_SIZE"] == 7


@pytest.mark.parametrize(
    "name, value, said",
    [
        ("APP_SETTINGS", "project.config.Prod", "project.config.DevelopmentConfig"),
        ("APP_SETTINGS", "nonsense", "cannot be imported"),
        ("DATABASE_URL", "mysql://ada:secret@localhost/users", "postgresql://user"),
        ("DATABASE_URL", "postgres://ada:secret@localhost", "names no database"),
        ("DATABASE_URL", "postgres://ada:secret@localhost:port/users", "as a number"),
        ("DATABASE_POOL_SIZE", "many", "DATABASE_POOL_SIZE"),
        ("DATABASE_POOL_SIZE", "0", "greater than 0"),
        ("PORT", "70000", "PORT"),
        ("SECRET_KEY", "guessable", "SECRET_KEY"),
        ("FLASK_ENV", "prod", "FLASK_ENV"),
        ("DATABASE_CONNECT_TIMEOUT", "1", "DATABASE_CONNECT_TIMEOUT"),
    ],
)
def test_wrong_variable(monkeypatch, name, value, said):
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as error:
        create_app()
    assert said in str(error.value)
    assert "secret" not in str(error.value)
    assert "\n" not in str(error.value)


def test_every_wrong_variable_is_named(monkeypatch):
    monkeypatch.setenv("PORT", "x")
    monkeypatch.setenv("WEB_CONCURRENCY", "x")
    with pytest.raises(ConfigError, match="PORT: .*; WEB_CONCURRENCY: "):
        create_app()


@pytest.mark.parametrize("url", ["postgres://localhost/users", "postgres://h/test"])
def test_tests_refuse_a_database_that_is_not_theirs(monkeypatch, url):
    monkeypatch.setenv("DATABASE_TEST_URL", url)
    with pytest.raises(ConfigError, match="_test"):
        create_app(TestingConfig)


def test_dotenv_is_read_in_development(monkeypatch):
    config_module.DOTENV.write_text("SECRET_KEY=from the file, long\n")
    monkeypatch.setattr(os, "environ", os.environ.copy())
    assert create_app().config["SECRET_KEY"] == "from the file, long"


def test_dotenv_is_read_where_app_settings_is_empty(monkeypatch):
    config_module.DOTENV.write_text("SECRET_KEY=from the file, long\n")
    monkeypatch.setattr(os, "environ", os.environ | {"APP_SETTINGS": ""})
    assert create_app().config["SECRET_KEY"] == "from the file, long"


def test_dotenv_gives_way_to_the_environment(monkeypatch):
    config_module.DOTENV.write_text("SECRET_KEY=from the file, long\n")
    monkeypatch.setenv("SECRET_KEY", "from outside, long")
    assert create_app().config["SECRET_KEY"] == "from outside, long"


def test_dotenv_is_not_read_in_production(monkeypatch):
    config_module.DOTENV.write_text("SECRET_KEY=from the file, long\n")
    monkeypatch.setenv("APP_SETTINGS", "project.config.ProductionConfig")
    assert create_app().config["SECRET_KEY"] is None


def test_production_never_starts_a_server():
    assert create_app(ProductionConfig).config["EMBEDDED"] is False


def test_two_apps_do_not_disturb_each_other(database_url, empty_database):
    one = create_app({"DATABASE_URL": database_url})
    two = create_app({"DATABASE_URL": "postgresql://127.0.0.1:1/nowhere"})
    assert one.test_client().get("/users").status_code == 200
    assert two.test_client().get("/users").status_code == 503
    assert one.test_client().get("/users").status_code == 200


@pytest.mark.parametrize(
    "config, url, said",
    [
        (DevelopmentConfig, None, 0),
        (ProductionConfig, None, 1),
        (ProductionConfig, "postgres://localhost/users", 0),
    ],
)
def test_production_says_that_it_has_no_database(monkeypatch, config, url, said):
    if url:
        monkeypatch.setenv("DATABASE_URL", url)
    gaps = " ".join(config_module.gaps(create_app(config).config))
    assert gaps.count("DATABASE_URL is not set") == said
