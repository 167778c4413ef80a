"""Schemathesis checks the running service against its OpenAPI document.

In the test suite it is short and deterministic; `pipenv run fuzz` is long and random.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from flask_sqlalchemy import SQLAlchemy

from devtools.servers import ROOT, clean_environment, start_gunicorn
from project.api.openapi.operations import OPERATIONS

pytestmark = pytest.mark.generated

TOKEN = "the-token-of-the-fuzzer"
EXAMPLES = os.environ.get("FUZZ_EXAMPLES")
SHORT = ["--generation-deterministic", "--max-examples=15"]
LONG = ["--generation-database=none", f"--max-examples={EXAMPLES}"]


def test_service_conforms_to_its_document(
    test_database: SQLAlchemy, database_url: str, tmp_path: Path
) -> None:
    """No operation fails a check: no 5xx, nothing that is not documented."""
    with start_gunicorn(database_url, API_TOKENS=TOKEN) as (url, _):
        result = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli"),
                *("--config-file", ROOT / "project/tests/schemathesis.toml"),
                *("run", f"{url}/openapi.json", "--checks=all", "--no-color"),
                # Generating data may be slow while other processes use the machine.
                "--suppress-health-check=too_slow",
                *(LONG if EXAMPLES else SHORT),
            ],
            cwd=tmp_path,
            env={
                **clean_environment(),
                "DATABASE_TEST_URL": database_url,
                "FUZZ_TOKEN": TOKEN,
                "PYTHONPATH": str(ROOT),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    print(result.stdout)
    assert result.returncode == 0
    assert f"Tested: {len(OPERATIONS)}\n" in result.stdout
