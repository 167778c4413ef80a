"""Configuration classes, and the environment variables that are laid over them.

`load_config` merges, in ascending priority: the attributes of a configuration class,
the file `.env`, the environment, and a mapping given to `create_app`.
"""

import math
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

import click
from dotenv import dotenv_values
from dotenv.parser import parse_stream
from flask.helpers import get_load_dotenv
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
    model_validator,
)
from sqlalchemy import exc, make_url
from werkzeug.utils import ImportStringError, import_string

DEFAULT_CONFIG = "project.config.DevelopmentConfig"
# prometheus_client reads this variable. gunicorn.conf.py sets it if METRICS_PORT is
# set, and `create_app` enables `project.web.metrics` if both are.
METRICS_DIR_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
# Version 1.0.0 read the only operator from the environment.
REMOVED_VARIABLES = ("ADMIN_USERNAME", "ADMIN_PASSWORD")
ROOT = Path(__file__).parent.parent
DOTENV = ROOT / ".env"

DRIVER = "postgresql+psycopg2"
# Every spelling of the scheme: Heroku sets `postgres://`, which SQLAlchemy rejects,
# and SQLAlchemy reads `postgresql://` as psycopg 3.
SCHEME = re.compile(r"^(postgres|postgresql|postgresql\+psycopg2)://")
# The parts of a URL whose hosts libpq separates by commas:
# scheme, user and password, hosts, the rest.
MULTIHOST_URL = re.compile(r"([^/]*//)([^/?]*@)?([^/?]*)(.*)")

# `[name:][read:]token[@date]`. Neither a name nor a token contains a colon or an @.
READ_ONLY = "read"
VALID_TOKEN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# At least 16 of the characters that RFC 6750 allows.
VALID_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{16,}=*")
SECONDS_PER_DAY = 86400
# `date.fromisoformat` also accepts other formats of ISO 8601.
VALID_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
# An origin as a browser sends it. Flask-CORS would read the brackets of an IPv6
# address as a regular expression.
VALID_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:\d+)?")
# A host name, or an IPv6 address in brackets. A leading dot includes the subdomains.
VALID_HOST = re.compile(r"\.?[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?|\[[0-9a-f:.]+\]")


class ConfigError(click.ClickException):
    """A setting is invalid; the message names it and says how to correct it.

    A command line prints the message without a traceback.
    """


@dataclass(frozen=True)
class ApiToken:
    """A bearer token of the API. Only its hash is kept, so that no log can show it.

    Attributes:
        digest: the SHA-256 hash of the token.
        can_write: False for a token that is limited to reading.
        name: the name of the client in the audit log, if the token has one.
        last_day: the last day, in UTC, on which the token is valid.
        expires_at: the end of that day as a Unix timestamp, or infinity.
        position: the place of the token in API_TOKENS; the first is 1.
    """

    digest: bytes
    can_write: bool
    name: str | None
    last_day: date | None
    expires_at: float
    position: int

    def has_expired(self) -> bool:
        """Return whether the last day is over."""
        return time.time() >= self.expires_at


def normalize_url(url: str) -> str:
    """Return a PostgreSQL URL with the scheme that selects psycopg2.

    Raises:
        ValueError: it is not the URL of a PostgreSQL database.
    """
    if not SCHEME.match(url):
        raise ValueError("write it as postgresql://user:password@host:5432/database")
    try:
        parsed = make_url(expand_multihost_url(SCHEME.sub(f"{DRIVER}://", url)))
    except (exc.ArgumentError, ValueError):
        # The original message would quote the password.
        raise ValueError(
            "the URL cannot be parsed: percent-encode special characters in the"
            " password, and write the port as a number"
        ) from None
    if not parsed.database:
        raise ValueError("it names no database: add /database at the end")
    return parsed.render_as_string(hide_password=False)


def expand_multihost_url(url: str) -> str:
    """Rewrite libpq's list of hosts into the query parameters that SQLAlchemy accepts.

    `//user@one:5432,two/name` becomes `//user@/name?host=one:5432&host=two:5432`.
    """
    match = MULTIHOST_URL.match(url)
    if match is None:
        return url
    scheme, login, hosts, rest = match.groups("")
    if "," not in hosts:
        return url
    addresses = [host if ":" in host else f"{host}:5432" for host in hosts.split(",")]
    query = "&".join(f"host={address}" for address in addresses)
    return f"{scheme}{login}{rest}{'&' if '?' in rest else '?'}{query}"


def split_list(text: str) -> list[str]:
    """Split a list that is separated by commas or white space."""
    return re.split(r"[\s,]+", text.strip(" \t\n,"))


def parse_tokens(text: str) -> tuple[ApiToken, ...]:
    """Parse `API_TOKENS`.

    Raises:
        ValueError: an item is not a token or is repeated. The message gives its
            position and never quotes it.
    """
    tokens: dict[bytes, ApiToken] = {}
    for position, item in enumerate(split_list(text), 1):
        try:
            token = parse_token(item, position)
            if token.digest in tokens:
                raise ValueError("is a duplicate: remove it")
        except ValueError as error:
            raise ValueError(f"number {position} {error}") from None
        tokens[token.digest] = token
    return tuple(tokens.values())


def parse_token(item: str, position: int) -> ApiToken:
    """Parse `[name:][read:]token[@date]`.

    Raises:
        ValueError: a part is invalid. No part is quoted, because a colon in the wrong
            place makes the token a name.
    """
    *names, token_and_date = item.split(":")
    token, at_sign, day = token_and_date.partition("@")
    can_write = names[-1:] != [READ_ONLY]
    if not can_write:
        del names[-1]
    if not VALID_TOKEN.fullmatch(token):
        raise ValueError(
            "is not a token of 16 or more letters, digits and ._~+/- (make one with"
            " `python -c 'import secrets; print(secrets.token_urlsafe())'`)"
        )
    name = ":".join(names) if names else None
    # `Read:` would otherwise be the name of a token that may write.
    if name is not None and (
        not VALID_TOKEN_NAME.fullmatch(name) or name.lower() == READ_ONLY
    ):
        raise ValueError(
            "has an invalid name: use 1 to 64 letters, digits and ._- that begin with"
            " a letter or a digit, and write name:token or name:read:token; the word"
            " read is not a name"
        )
    last_day = parse_last_day(day) if at_sign else None
    return ApiToken(
        digest=sha256(token.encode()).digest(),
        can_write=can_write,
        name=name,
        last_day=last_day,
        expires_at=end_of_day(last_day) if last_day else math.inf,
        position=position,
    )


def parse_last_day(text: str) -> date:
    """Parse the date of a token.

    Raises:
        ValueError: it is not a date.
    """
    try:
        if VALID_DATE.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise ValueError(
        "has an invalid date: write the last day on which the token is valid after the"
        " token, such as @2027-01-31"
    )


def end_of_day(day: date) -> float:
    """Return the Unix timestamp of the end of a day in UTC."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return midnight.timestamp() + SECONDS_PER_DAY


def parse_origins(text: str) -> list[str]:
    """Parse `CORS_ORIGINS`.

    Raises:
        ValueError: an item is not an origin.
    """
    origins = split_list(text)
    for origin in origins:
        if origin != "*" and not VALID_ORIGIN.fullmatch(origin):
            raise ValueError(
                f"{origin} is not an origin: write it as https://example.com, without"
                " a path or a trailing slash"
            )
    return origins


def is_secure_url(url: str) -> bool:
    """Return whether a URL is that of an HTTPS server, or of an HTTP server here."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        # Reading the port checks it.
        valid = parts.port != 0 and host and not parts.username
    except ValueError:
        return False
    return bool(valid) and (
        parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    )


def is_loopback(host: str) -> bool:
    """Return whether a host name or an IP address is that of this machine."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def check_issuer(url: str) -> str:
    """Return the URL unchanged, because the tokens contain it exactly as it is.

    Raises:
        ValueError: it is not the URL of an OpenID Connect provider.
    """
    if (
        not is_secure_url(url)
        or "/.well-known/" in url
        or any(character in url for character in "?# \t\r\n")
    ):
        raise ValueError(
            "write the issuer as the provider does in its discovery document, such as"
            " https://login.example.com/realms/users, without /.well-known/ and a"
            " query; http:// is allowed only for localhost, 127.0.0.1 and [::1]"
        )
    return url


def check_audience(text: str) -> str:
    """Return the text unchanged.

    Raises:
        ValueError: it is not one identifier.
    """
    if len(text.split()) != 1 or text != text.strip():
        raise ValueError("write one identifier, without white space")
    return text


def parse_hosts(text: str) -> list[str]:
    """Parse `TRUSTED_HOSTS`.

    Raises:
        ValueError: an item is not a host name.
    """
    hosts = [host.lower() for host in split_list(text)]
    for host in hosts:
        if not VALID_HOST.fullmatch(host):
            raise ValueError(
                f"{host} is not a host name: write it as users.example.com, or as"
                " .example.com for a domain with its subdomains, without https:// and"
                " without a port"
            )
    return hosts


DatabaseUrl = Annotated[str, AfterValidator(normalize_url)]
Port = Annotated[int, Field(ge=1, le=65535)]
ApiTokens = Annotated[tuple[ApiToken, ...], BeforeValidator(parse_tokens)]
Audience = Annotated[str, AfterValidator(check_audience)]
Issuer = Annotated[str, AfterValidator(check_issuer)]
Origins = Annotated[list[str], BeforeValidator(parse_origins)]
Hosts = Annotated[list[str], BeforeValidator(parse_hosts)]


class Environment(BaseModel):
    """The environment variables of the service. An empty variable counts as unset.

    `pipenv run settings-docs` copies the descriptions to .env.example and to
    docs/operations.md.
    """

    # pydantic-settings would replace only a dictionary comprehension in `load_config`,
    # and it would need a custom source for the configuration class.

    APP_SETTINGS: str = Field(
        DEFAULT_CONFIG,
        description="Import path of the configuration class:"
        " `project.config.DevelopmentConfig`,"
        " `project.config.TestingConfig` or"
        " `project.config.ProductionConfig`.",
    )
    DATABASE_URL: DatabaseUrl | None = Field(
        None,
        description="URL of the PostgreSQL database; `postgres://` and"
        " `postgresql://` are equivalent. If it is unset, development"
        " starts an embedded PostgreSQL server, and production answers"
        " requests that need the database with 503.",
        examples=["postgresql://postgres:postgres@localhost:5432/users_dev"],
    )
    DATABASE_TEST_URL: DatabaseUrl | None = Field(
        None,
        description="URL of the database for the tests. The tests delete all data"
        " in it, so its name must end in `_test`. If it is unset, the"
        " tests start an embedded PostgreSQL server.",
        examples=["postgresql://postgres:postgres@localhost:5432/users_test"],
    )
    DATABASE_READ_URL: DatabaseUrl | None = Field(
        None,
        description="URL of the standbys on which `GET /users` and `GET /users/<id>`"
        " read, with their hosts separated by commas. It may also name the primary,"
        " whose place a standby can take after a failover. If it is unset, all requests"
        " use DATABASE_URL.",
        examples=["postgresql://user:password@standby1,standby2,primary/users"],
    )
    DATABASE_READ_MAX_LAG: int = Field(
        10,
        ge=2,
        description="Maximum number of seconds by which a standby may be behind the"
        " primary. If it is further behind, it is not used. The minimum is 2.",
    )
    SECRET_KEY: str | None = Field(
        None,
        description="Key that signs the session cookies of the admin site; in"
        " production at least 16 characters. `ProductionConfig` serves the admin site"
        " only if it is set; development and testing have a publicly known default."
        ' Generate a key with `python -c "import secrets;'
        ' print(secrets.token_hex())"`.',
    )
    API_TOKENS: ApiTokens = Field(
        (),
        description="Bearer tokens for `/users`, separated by commas or spaces, each"
        " written as `[name:][read:]token[@YYYY-MM-DD]`. A token has at least 16"
        " characters; the name identifies the client in the audit log, `read:` makes"
        " the token read-only, and the date is the last day (UTC) on which it is valid."
        " If neither API_TOKENS nor OIDC_ISSUER is set, the API requires no"
        ' authentication. Generate a token with `python -c "import'
        ' secrets; print(secrets.token_urlsafe())"`.',
        examples=[
            "billing:a-token-of-16-or-more@2027-01-31,read:another-that-may-only-read"
        ],
    )
    OIDC_ISSUER: Issuer | None = Field(
        None,
        description="Issuer URL of an OpenID Connect provider whose access tokens the"
        " API accepts, too, exactly as in the provider's discovery document. It needs"
        " OIDC_AUDIENCE.",
        examples=["https://login.example.com/realms/users"],
    )
    OIDC_AUDIENCE: Audience | None = Field(
        None,
        description="Value that the claim `aud` of an access token must be or contain:"
        " the identifier that the provider has for this API.",
        examples=["https://users.example.com"],
    )
    CORS_ORIGINS: Origins = Field(
        [],
        description="Origins whose pages may call the API from a browser (CORS),"
        " separated by commas or spaces; `*` allows every origin. If it"
        " is unset, only pages of the service's own origin can call the"
        " API.",
        examples=["https://app.example.com,http://localhost:3000"],
    )
    TRUSTED_HOSTS: Hosts = Field(
        [],
        description="Host names under which the service answers, separated by commas"
        " or spaces; `.example.com` includes the subdomains. Other names are answered"
        " with 400, except for `/ping` and `/health`. If it is unset, development"
        " accepts `localhost`, `127.0.0.1`, `[::1]` and `users`, the name in Compose,"
        " and production accepts every name.",
        examples=["users.example.com"],
    )
    REQUIRE_HTTPS: bool = Field(
        False,
        description="`true` redirects GET requests to HTTPS and refuses other requests"
        " and tokens over plain HTTP with 403, except for `/ping` and `/health`. HTTPS"
        " ends at a reverse proxy, so set TRUSTED_PROXIES, too.",
        examples=["true"],
    )
    FLASK_ENV: Literal["development", "production"] | None = Field(
        None,
        description="`development` enables the admin site, `production` disables"
        " it. If it is unset, the admin site is enabled in development"
        " only. `ProductionConfig` ignores this variable.",
        examples=["development"],
    )
    PORT: Port = Field(
        5000,
        description="TCP port that the server listens on. The option `--port` of the"
        " development server takes precedence.",
    )
    WEB_CONCURRENCY: PositiveInt | None = Field(
        None,
        description="Number of gunicorn worker processes. If it is unset, gunicorn"
        " starts one worker per CPU core, but not more than 80 /"
        " DATABASE_POOL_SIZE.",
        examples=["2"],
    )
    DATABASE_POOL_SIZE: PositiveInt = Field(
        10,
        description="Maximum number of database connections that each process opens"
        " for the API. The admin site and the commands use a second pool"
        " of the same size.",
    )
    DATABASE_POOL_TIMEOUT: PositiveInt = Field(
        3,
        description="Seconds that a request waits for a free connection of the pool"
        " before it is answered with 503.",
    )
    DATABASE_CONNECT_TIMEOUT: int = Field(
        3,
        ge=2,
        description="Seconds to wait for a new connection to PostgreSQL. The"
        " minimum is 2, as in libpq.",
    )
    DATABASE_STATEMENT_TIMEOUT: PositiveInt = Field(
        5,
        description="Maximum run time of an SQL statement in seconds (PostgreSQL's"
        " `statement_timeout`).",
    )
    DATABASE_LOCK_TIMEOUT: PositiveInt = Field(
        3,
        description="Maximum time in seconds that an SQL statement waits for a lock"
        " (PostgreSQL's `lock_timeout`).",
    )
    LOG_LEVEL: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO",
        description="Minimum level of the log messages: `DEBUG`, `INFO`, `WARNING`"
        " or `ERROR`. The access log and the audit log have the level"
        " `INFO`.",
    )
    LOG_FORMAT: Literal["text", "json"] = Field(
        "text",
        description="Format of the log lines, `text` or `json`. `ProductionConfig`"
        " sets the default to `json`.",
    )
    METRICS_PORT: Port | None = Field(
        None,
        description="TCP port on which gunicorn serves metrics for Prometheus. It"
        " must differ from PORT. If it is unset, no metrics are"
        " collected.",
        examples=["9100"],
    )
    HISTORY_DAYS: NonNegativeInt = Field(
        365,
        description="Number of days for which the history says who has added, updated"
        " and removed a user. Run `python manage.py purge_history` every day, which"
        " deletes older entries. With 0 nothing is recorded.",
    )
    CLIENT_TIMEOUT: PositiveInt = Field(
        10,
        description="Seconds that gunicorn waits for a client that sends the head of a"
        " request, sends its body, or does not read the response. For a body, a second"
        " is added for every 4 KiB.",
    )
    MAX_CONNECTIONS_PER_ADDRESS: PositiveInt = Field(
        128,
        description="Maximum number of connections of an IP address to each gunicorn"
        " worker. More are answered with 503. Raise it if many clients share an"
        " address. It is ignored if TRUSTED_PROXIES is set, because the connections"
        " then belong to proxies.",
    )
    TRUSTED_PROXIES: NonNegativeInt = Field(
        0,
        description="Number of reverse proxies in front of the service that set"
        " `X-Forwarded-For` and `X-Forwarded-Proto`; 1 on Heroku. Do not set it higher"
        " than the actual number, because clients could then forge these headers."
        " `X-Forwarded-Host` is used as well: if the proxy passes the client's on, as"
        " on Heroku, set TRUSTED_HOSTS.",
    )


class Settings(Environment):
    """The validated configuration: environment variables and class attributes.

    Other attributes of a configuration class, such as Flask's own settings, are kept
    as they are. `BaseConfig` describes the fields.
    """

    model_config = ConfigDict(extra="allow")

    TESTING: bool
    IS_PRODUCTION: bool
    EMBEDDED_DATABASE: str | None
    ADMIN_REQUIRES_LOGIN: bool
    ADMIN_OPEN_BY_DEFAULT: bool
    DEFAULT_HOSTS: list[str]
    SQLALCHEMY_DATABASE_URI: DatabaseUrl | None = None

    @model_validator(mode="after")
    def check_secret_key(self) -> Self:
        """Refuse a key that can be guessed, in production only."""
        if self.IS_PRODUCTION and self.SECRET_KEY and len(self.SECRET_KEY) < 16:
            raise ValueError(
                "SECRET_KEY: use at least 16 characters (make a key with `python -c"
                " 'import secrets; print(secrets.token_hex())'`)"
            )
        return self

    @model_validator(mode="after")
    def check_provider(self) -> Self:
        """Refuse a provider without an audience: any of its tokens would be valid."""
        if bool(self.OIDC_ISSUER) != bool(self.OIDC_AUDIENCE):
            raise ValueError(
                "OIDC_ISSUER and OIDC_AUDIENCE: set both to accept the access tokens of"
                " an OpenID Connect provider, or neither"
            )
        return self


class BaseConfig:
    """Settings of every environment."""

    TESTING = False
    IS_PRODUCTION = False
    # Larger request bodies are rejected with 413 before they are read.
    MAX_CONTENT_LENGTH = 64 * 1024
    # The database on the embedded server that is used when no URL is set; None
    # disables the embedded server.
    EMBEDDED_DATABASE: str | None = None
    # The host names that are accepted if TRUSTED_HOSTS is unset; an empty list accepts
    # every name. An attribute TRUSTED_HOSTS would enable Flask's own check when
    # `app.config.from_object` loads the class.
    DEFAULT_HOSTS: list[str] = []
    ADMIN_REQUIRES_LOGIN = False
    # Whether an admin site without a login is enabled when FLASK_ENV is unset.
    ADMIN_OPEN_BY_DEFAULT = False
    # Only the admin site has sessions. The API never receives a cookie with this path.
    SESSION_COOKIE_PATH = "/admin"
    SESSION_COOKIE_SAMESITE = "Lax"
    # The lifetime of the admin site's cookie in seconds, which is that of the longest
    # session. A session may end earlier; the cookie then still identifies the browser,
    # so that a form that it submits is not lost.
    PERMANENT_SESSION_LIFETIME = 12 * 3600
    # A CSRF token is valid as long as its session.
    WTF_CSRF_TIME_LIMIT = None


class DevelopmentConfig(BaseConfig):
    """Works without any environment variable."""

    SECRET_KEY = "a development secret, known to everybody"
    EMBEDDED_DATABASE = "users_dev"
    # Prevents DNS rebinding: a web page whose own host name resolves to this machine
    # could otherwise read and change the users. `users` is the name in Compose.
    DEFAULT_HOSTS = [".localhost", "127.0.0.1", "[::1]", "users"]
    ADMIN_OPEN_BY_DEFAULT = True


class TestingConfig(BaseConfig):
    """Uses DATABASE_TEST_URL, whose contents the tests delete."""

    TESTING = True
    SECRET_KEY = "a testing secret, known to everybody"
    EMBEDDED_DATABASE = "users_test"


class ProductionConfig(BaseConfig):
    """Has no default secret and no default database."""

    IS_PRODUCTION = True
    ADMIN_REQUIRES_LOGIN = True
    SESSION_COOKIE_SECURE = True
    LOG_FORMAT = "json"


def load_config(config: type | str | Mapping[str, object] | None = None) -> Settings:
    """Build the configuration of an application.

    Args:
        config: a configuration class, its import string, or a mapping with priority
            over everything else. Without a class, `APP_SETTINGS` names it.

    Raises:
        ConfigError: one or more settings are invalid; the message names each.
    """
    load_dotenv(DOTENV)
    overrides = dict(config) if isinstance(config, Mapping) else {}
    if config is None or isinstance(config, Mapping):
        config = os.environ.get("APP_SETTINGS") or DEFAULT_CONFIG
    if isinstance(config, str):
        config = import_config(config)
    defaults = {name: getattr(config, name) for name in dir(config) if name.isupper()}
    environment = {
        name: value
        for name in Environment.model_fields
        if (value := os.environ.get(name))
    }
    try:
        return Settings.model_validate(defaults | environment | overrides)
    except ValidationError as error:
        # Without the values: some of them are secrets. The location of a check that
        # concerns several settings is empty, and its message names them.
        invalid = [
            ": ".join([*map(str, e["loc"][:1]), e["msg"].removeprefix("Value error, ")])
            for e in error.errors()
        ]
        raise ConfigError(
            f"invalid settings, see .env.example: {'; '.join(invalid)}"
        ) from None


def removed_variables() -> list[str]:
    """Return the variables in the environment that earlier versions have read."""
    return [name for name in REMOVED_VARIABLES if os.environ.get(name)]


def load_dotenv(path: Path) -> None:
    """Add the variables of a file to the environment. Existing variables stay.

    FLASK_SKIP_DOTENV disables this, as it does for the `flask` command.

    Raises:
        ConfigError: the file cannot be read, or a line is not an assignment.
            python-dotenv would skip the line with a warning.
    """
    if not get_load_dotenv() or not path.exists():
        return
    try:
        with path.open(encoding="utf-8") as file:
            bindings = list(parse_stream(file))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read ({error}): correct it") from None
    for binding in bindings:
        comment_or_empty = binding.key is None and not binding.error
        if not comment_or_empty and binding.value is None:
            raise ConfigError(
                f"{path}, line {binding.original.line}: write NAME=value, with quotes"
                " around a value that contains spaces, quotes or #"
            )
    for name, value in dotenv_values(path).items():
        os.environ.setdefault(name, value or "")


def import_config(import_name: str) -> type:
    """Import a configuration class.

    Raises:
        ConfigError: the import fails, or the name is that of something else.
    """
    try:
        imported = import_string(import_name)
    except ImportStringError as error:
        reason = f"cannot be imported ({error.exception})"
    else:
        if isinstance(imported, type) and hasattr(imported, "EMBEDDED_DATABASE"):
            return imported
        reason = "is not a configuration class"
    raise ConfigError(
        f"APP_SETTINGS={import_name!r} {reason}: use project.config.DevelopmentConfig,"
        " project.config.TestingConfig or project.config.ProductionConfig"
    )
