"""Settings: the classes, and every environment variable with its type and default."""

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import psycopg2
from dotenv import load_dotenv
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
)
from sqlalchemy import make_url
from werkzeug.utils import import_string

from project import admin, auth, cors, database, embedded
from project.passwords import check_format

DEFAULT_SETTINGS = "project.config.DevelopmentConfig"
ROOT = Path(__file__).parent.parent
DOTENV = ROOT / ".env"
INSTANCE = ROOT / "instance"

Port = Annotated[int, Field(ge=1, le=65535)]
DatabaseUrl = Annotated[str, AfterValidator(database.normalise_url)]
Tokens = Annotated[dict[bytes, bool], BeforeValidator(auth.parse_tokens)]
Origins = Annotated[list[str], BeforeValidator(cors.parse_origins)]
PasswordHash = Annotated[str, AfterValidator(check_format)]


class ConfigError(Exception):
    """A setting is wrong; the message says which, and how to correct it."""


class Environment(BaseModel):
    """Every environment variable that the service reads; an empty one is unset."""

    APP_SETTINGS: str = Field(
        DEFAULT_SETTINGS, description="The configuration class, as an import string."
    )
    DATABASE_URL: DatabaseUrl | None = Field(
        None,
        description="The PostgreSQL database. Unset, development starts an embedded"
        " server and production answers 503.",
    )
    DATABASE_TEST_URL: DatabaseUrl | None = Field(
        None,
        description="The tests' database; its name ends in `_test`. Unset, they start"
        " an embedded server of their own.",
    )
    SECRET_KEY: str | None = Field(
        None,
        min_length=16,
        description="Signs sessions. Development has a default, production none.",
    )
    API_TOKENS: Tokens = Field(
        {},
        description="The tokens that open the users; `read:` before one limits it to"
        " reading. Unset, everybody may do everything.",
    )
    CORS_ORIGINS: Origins = Field(
        [],
        description="The origins whose pages may use the API from a browser; `*` is"
        " all. Unset, none but our own.",
    )
    FLASK_ENV: Literal["development", "production"] | None = Field(
        None,
        description="`development` opens the admin and `production` closes it, except"
        " under production settings. Unset, it is open in development alone.",
    )
    ADMIN_USERNAME: str | None = Field(
        None,
        description="Who may log in to the admin under production settings. Without it,"
        " ADMIN_PASSWORD and SECRET_KEY there is no admin.",
    )
    ADMIN_PASSWORD: PasswordHash | None = Field(
        None,
        description="The password's hash, which `manage.py hash_password` makes.",
    )
    PORT: Port = Field(5000, description="The port that gunicorn listens on.")
    WEB_CONCURRENCY: PositiveInt | None = Field(
        None,
        description="gunicorn's worker processes. Unset, one for each core, while"
        " 80 connections suffice.",
    )
    DATABASE_POOL_SIZE: PositiveInt = Field(
        10, description="Connections that a process keeps for the API."
    )
    DATABASE_POOL_TIMEOUT: PositiveInt = Field(
        3, description="Seconds to wait for one of them."
    )
    DATABASE_CONNECT_TIMEOUT: PositiveInt = Field(
        3,
        ge=2,
        description="Seconds to wait for a new connection (libpq's least is 2).",
    )
    DATABASE_STATEMENT_TIMEOUT: PositiveInt = Field(
        5, description="Seconds that a statement may take."
    )
    DATABASE_LOCK_TIMEOUT: PositiveInt = Field(
        3, description="Seconds that a statement may wait for a lock."
    )
    LOG_LEVEL: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="The least that is logged; requests and writes are INFO."
    )
    LOG_FORMAT: Literal["text", "json"] = Field(
        "text", description="How; production has json."
    )
    METRICS_PORT: Port | None = Field(
        None,
        description="The port where gunicorn serves metrics for Prometheus. Unset,"
        " there are none.",
    )
    TRUSTED_PROXIES: NonNegativeInt = Field(
        0,
        description="How many proxies in front of the service set X-Forwarded-For and"
        " X-Forwarded-Proto; 1 on Heroku.",
    )


class BaseConfig:
    """What all settings share."""

    TESTING = False
    # An API's bodies are small; a larger one is refused before it is read.
    MAX_CONTENT_LENGTH = 64 * 1024
    # The environment variable that names the database, and the embedded server's
    # database where it is unset; None where there is no embedded server.
    DATABASE_VARIABLE = "DATABASE_URL"
    EMBEDDED_DATABASE = None
    # Whether `recreate_db` asks before it destroys users.
    GUARD_DATA = False
    # Whether the admin asks for a password, and where it does not, whether it is open
    # while FLASK_ENV says nothing.
    ADMIN_LOGIN = False
    ADMIN_OPEN = False
    # The admin alone has sessions; the API never sees their cookie.
    SESSION_COOKIE_PATH = "/admin"
    SESSION_COOKIE_SAMESITE = "Lax"
    # Seconds without a request after which one has to log in again.
    PERMANENT_SESSION_LIFETIME = 3600
    # A form may be sent as long as its session lasts.
    WTF_CSRF_TIME_LIMIT = None


class DevelopmentConfig(BaseConfig):
    """A developer's machine: it works with nothing set."""

    SECRET_KEY = "a development secret, known to everybody"
    EMBEDDED_DATABASE = "users_dev"
    ADMIN_OPEN = True


class TestingConfig(BaseConfig):
    """The tests: a database that they may wipe."""

    TESTING = True
    SECRET_KEY = "a testing secret, known to everybody"
    DATABASE_VARIABLE = "DATABASE_TEST_URL"
    EMBEDDED_DATABASE = "users_test"


class ProductionConfig(BaseConfig):
    """Production: nothing is made up, everything comes from the environment."""

    GUARD_DATA = True
    ADMIN_LOGIN = True
    SESSION_COOKIE_SECURE = True
    LOG_FORMAT = "json"


def load_config(config=None, instance_path=INSTANCE):
    """Return the application's configuration as a dict.

    The class's values give way to the environment's, and these to a mapping's.

    Args:
        config: a class, its import string, a mapping, or None.
        instance_path: the folder for what the application writes.

    Raises:
        ConfigError: a setting is wrong.
    """
    if (os.environ.get("APP_SETTINGS") or DEFAULT_SETTINGS) == DEFAULT_SETTINGS:
        load_dotenv(DOTENV)
    overrides = {}
    if config is None or isinstance(config, Mapping):
        overrides = dict(config or {})
        config = os.environ.get("APP_SETTINGS") or DEFAULT_SETTINGS
    if isinstance(config, str):
        config = import_settings(config)
    own = {name: getattr(config, name) for name in dir(config) if name.isupper()}
    set_outside = {name: value for name, value in os.environ.items() if value}
    settings = own | overrides | read_variables(own | set_outside | overrides)
    return settings | database_settings(settings, Path(instance_path) / "postgres")


def import_settings(name):
    """Return the configuration class with an import string.

    Raises:
        ConfigError: there is none.
    """
    try:
        return import_string(name)
    except ImportError as error:
        raise ConfigError(
            f"APP_SETTINGS={name!r} cannot be imported ({error.exception}): write it as"
            " project.config.DevelopmentConfig, TestingConfig or ProductionConfig"
        ) from None


def read_variables(values):
    """Return the variables of Environment, each with its type and default.

    Args:
        values: where they are looked up; other names in it are ignored.

    Raises:
        ConfigError: one or more are wrong; the message names each. Values are left
            out of it, since some of them are secrets.
    """
    try:
        return Environment.model_validate(values).model_dump()
    except ValidationError as error:
        wrong = [f"{e['loc'][0]}: {e['msg']}" for e in error.errors()]
        raise ConfigError(
            f"wrong settings, explained in .env.example: {'; '.join(wrong)}"
        ) from None


def database_settings(settings, folder):
    """Return Flask-SQLAlchemy's settings: one database, and an engine for each use.

    Args:
        settings: the configuration so far.
        folder: where an embedded server keeps its data.

    Raises:
        ConfigError: the tests would wipe a database that is not theirs.
    """
    options = database.engine_options(settings)
    variable, name = settings["DATABASE_VARIABLE"], settings["EMBEDDED_DATABASE"]
    configured = settings.get("SQLALCHEMY_DATABASE_URI") or settings[variable]
    if configured:
        url = database.normalise_url(configured)
    elif name:
        url = f"postgresql+psycopg2:///{name}"
        start = partial(embedded.start, folder, name)
        options["creator"] = partial(connect, start, options["connect_args"])
    else:
        url = "postgresql+psycopg2://"
        options["creator"] = partial(refuse, variable)
    if settings["TESTING"] and not make_url(url).database.endswith("_test"):
        raise ConfigError(
            f"the tests wipe their database: {variable} has to name one that ends in"
            f" _test, not {database.describe(url)}"
        )
    autocommit = {**options, "url": url, "isolation_level": "AUTOCOMMIT"}
    # There is never a transaction to roll back.
    autocommit["pool_reset_on_return"] = None
    return {
        "EMBEDDED": not configured and bool(name),
        "SQLALCHEMY_DATABASE_URI": url,
        "SQLALCHEMY_ENGINE_OPTIONS": options,
        "SQLALCHEMY_BINDS": {database.AUTOCOMMIT: autocommit},
    }


def gaps(settings):
    """Tell what an operator has to know of production settings that lack something.

    Args:
        settings: the application's configuration.

    Yields:
        A line for each gap.
    """
    if settings["GUARD_DATA"] and not settings["DATABASE_URL"]:
        yield "DATABASE_URL is not set: /users and /health are answered with 503"
    if settings["GUARD_DATA"] and not settings["API_TOKENS"]:
        yield (
            "API_TOKENS is not set: whoever reaches this service can read, change and"
            " remove every user"
        )
    yield from admin.gaps(settings)


def connect(start, arguments):
    """Open a connection to the embedded server, which starts with the first one.

    Args:
        start: starts the server and returns the database's URL.
        arguments: what psycopg2 takes beside the URL.
    """
    return psycopg2.connect(start(), **arguments)


def refuse(variable):
    """Open no connection.

    Args:
        variable: the environment variable that should have named the database.

    Raises:
        NotConfigured: always.
    """
    raise database.NotConfigured(
        f"there is no database: set {variable} to postgresql://user:password@host/name"
    )
