"""The requests and responses that the documentation shows are real.

Each page is replayed in order: a `console` block contains curl commands and their
output, and an `sh` block that starts the service sets environment variables.
"""

import argparse
import json
import logging.config
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from project.tests.types import CreateProductionApp
from project.tests.users import ADA
from project.web.logs import logging_config

ROOT = Path(__file__).parents[3]
BASE_URL = "http://127.0.0.1:5000"

BLOCK = re.compile(r"^```(console|sh)\n(.*?)^```$", re.M | re.S)
# A command, which continues after a backslash, and its output.
EXCHANGE = re.compile(r"^\$ ((?:.*\\\n)*.*\n)((?:(?!\$ ).+\n)*)", re.M)
ETAG = re.compile(r'"\d+"')
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?\+00:00")

CURL = argparse.ArgumentParser(prog="curl", allow_abbrev=False)
CURL.add_argument("url")
CURL.add_argument("-s", action="store_true")
CURL.add_argument("-i", action="store_true")
CURL.add_argument("-X", dest="method")
CURL.add_argument("-H", dest="headers", action="append", default=[])
CURL.add_argument("-d", dest="data")


def iter_exchanges(page: str) -> Iterator[tuple[list[str], list[str]]]:
    """Yield each command as a list of words, and the lines of its output."""
    for language, block in BLOCK.findall(page):
        if language == "sh":
            yield shlex.split(block), []
        else:
            for command, output in EXCHANGE.findall(block):
                words = shlex.split(command.replace("\\\n", " "))
                yield words, output.splitlines()


def send_curl(
    client: FlaskClient, curl: list[str], etags: dict[str, str]
) -> TestResponse:
    """Send the request of a curl command.

    Args:
        curl: the arguments of curl.
        etags: the actual value of each documented ETag.
    """
    arguments = CURL.parse_args(curl)
    headers = dict(header.split(": ", 1) for header in arguments.headers)
    if arguments.data is not None:
        # These are curl's defaults.
        headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
        arguments.method = arguments.method or "POST"
    return client.open(
        arguments.url.removeprefix(BASE_URL),
        base_url=BASE_URL,
        method=arguments.method or "GET",
        headers={name: etags.get(value, value) for name, value in headers.items()},
        data=arguments.data,
    )


def assert_same_json(documented: Any, actual: Any) -> None:
    """Compare two JSON values.

    A user may have more members than documented, so that a new field does not
    invalidate the examples.
    """
    if isinstance(documented, dict):
        if "created_date" in documented:
            assert TIMESTAMP.fullmatch(documented["created_date"])
            assert TIMESTAMP.fullmatch(actual["created_date"])
            documented = documented | {"created_date": actual["created_date"]}
            actual = {name: actual.get(name) for name in documented}
        assert list(actual) == list(documented)
        for name, value in documented.items():
            assert_same_json(value, actual[name])
    elif isinstance(documented, list):
        assert len(actual) == len(documented)
        for value, other in zip(documented, actual):
            assert_same_json(value, other)
    else:
        assert actual == documented


def assert_same_output(
    output: list[str], response: TestResponse, etags: dict[str, str]
) -> None:
    """Compare the documented output of curl with a response; add ETags to `etags`."""
    for line in output:
        if line.startswith("{"):
            assert_same_json(json.loads(line), response.get_json())
        elif line.startswith("HTTP/"):
            assert line == f"HTTP/1.1 {response.status}"
        else:
            name, value = line.split(": ", 1)
            actual = response.headers[name]
            if name == "ETag":
                assert ETAG.fullmatch(value) and ETAG.fullmatch(actual)
                etags[value] = actual
            else:
                assert actual == value


@pytest.mark.parametrize("page", ["README.md", "docs/api.md"])
def test_documented_responses_are_real(
    page: str,
    client: FlaskClient,
    database_url: str,
    create_production_app: CreateProductionApp,
) -> None:
    exchanges = list(iter_exchanges((ROOT / page).read_text()))
    assert exchanges
    etags: dict[str, str] = {}
    for command, output in exchanges:
        if command[-3:] == ["pipenv", "run", "serve"]:
            settings = dict(word.split("=", 1) for word in command[:-3])
            app = create_production_app(DATABASE_URL=database_url, **settings)
            client = app.test_client()
            continue
        if "|" in command:
            command = command[: command.index("|")]
        assert command[0] == "curl"
        assert any(word.startswith(BASE_URL) for word in command)
        assert output
        assert_same_output(output, send_curl(client, command[1:], etags), etags)


def test_documented_log_lines_are_logged(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    lines = [json.loads(line) for line in re.findall(r'^\{"level".*$', text, re.M)]
    config = logging_config("INFO", "json")
    formatter = logging.config.DictConfigurator(config).configure_formatter(
        config["formatters"]["json"]
    )
    with caplog.at_level("INFO"):
        client.post("/users", json=ADA)
    logged = [json.loads(formatter.format(record)) for record in caplog.records]
    for documented, actual in zip(lines, logged, strict=True):
        # A filter of the log handler adds the request id.
        assert documented.keys() == actual.keys() | {"request_id"}
        for name in ("level", "logger"):
            assert documented[name] == actual[name]
