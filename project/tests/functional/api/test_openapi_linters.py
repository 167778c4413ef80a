"""Three linters find nothing in the OpenAPI document."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from project.api.openapi import openapi_json
from project.tests.node import PROGRAMS, find_node_modules
from project.tests.requirements import skip_or_fail

pytestmark = pytest.mark.subprocess


@pytest.fixture(params=[True, False], ids=["secured", "open"])
def document(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The document of a service with tokens, and of one without."""
    path = tmp_path / "openapi.json"
    path.write_bytes(openapi_json(secured=request.param))
    return path


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a linter."""
    return subprocess.run(command, capture_output=True, text=True)


def test_spectral_finds_nothing(document: Path) -> None:
    spectral = find_node_modules() / ".bin/spectral"
    rules = PROGRAMS / "spectral.yaml"
    # `hint` is the lowest severity.
    result = run(
        spectral, "lint", document, "--ruleset", rules, "--fail-severity", "hint"
    )
    assert result.returncode == 0, result.stdout


def test_redocly_finds_nothing(document: Path) -> None:
    redocly = find_node_modules() / ".bin/redocly"
    rules = PROGRAMS / "redocly.yaml"
    result = run(redocly, "lint", document, "--config", rules, "--format", "json")
    assert json.loads(result.stdout)["problems"] == [], result.stderr


def test_openapi_spec_validator_finds_nothing(document: Path) -> None:
    if importlib.util.find_spec("openapi_spec_validator") is None:
        skip_or_fail("openapi-spec-validator: `pipenv sync --all`")
    validator = [sys.executable, "-m", "openapi_spec_validator", "--schema", "3.1.0"]
    result = run(*validator, document)
    assert result.returncode == 0, result.stdout
