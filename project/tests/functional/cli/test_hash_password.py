"""`manage.py hash_password`."""

import pytest
from werkzeug.security import check_password_hash

from project.tests.functional.cli.helpers import run_manage
from project.tests.types import RunCommand


def test_hash_password_prints_only_the_hash(run_command: RunCommand) -> None:
    result = run_command("hash_password", input="correct horse battery\n" * 2)
    assert result.exit_code == 0
    assert check_password_hash(result.stdout.strip(), "correct horse battery")
    assert "correct" not in result.output


@pytest.mark.parametrize(
    "typed, message",
    [("short\nshort\n", "12 to 1024 characters"), ("one\nother\n", "do not match")],
)
def test_hash_password_refuses_short_or_mistyped_password(
    run_command: RunCommand, typed: str, message: str
) -> None:
    refused = run_command("hash_password", input=typed)
    assert refused.exit_code == 1
    assert message in refused.output
    assert refused.stdout == ""


@pytest.mark.subprocess
def test_command_named_for_an_invalid_hash_works() -> None:
    settings = {"APP_SETTINGS": "project.config.ProductionConfig"}
    refused = run_manage("hash_password", ADMIN_PASSWORD="plain", **settings)
    assert refused.returncode == 1
    assert "`ADMIN_PASSWORD= python manage.py hash_password`" in refused.stderr
    suggested = run_manage("hash_password", "--help", ADMIN_PASSWORD="", **settings)
    assert suggested.returncode == 0
