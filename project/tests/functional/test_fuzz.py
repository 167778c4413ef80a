"""Schemathesis asks the running service what its document allows, and what not.

Short, and the same each time, in the suite; `pipenv run fuzz` is long and random.
"""

import os
import subprocess
import sys

from project.api.openapi.operations import OPERATIONS
from project.tests.servers import ROOT, gunicorn, outside

TOKEN = "the-token-of-the-fuzzer"
EXAMPLES = os.environ.get("FUZZ_EXAMPLES")
SHORT = ["--generation-deterministic", "--max-examples=15"]
LONG = ["--generation-database=none", f"--max-examples={EXAMPLES}"]


def test_service_does_what_its_document_says(test_database, database_url, tmp_path):
    """Each operation, with every check: no 5xx, nothing that is not documented."""
    with gunicorn(database_url, API_TOKENS=TOKEN) as (url, _):
        done = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli"),
                *("--config-file", ROOT / "project/tests/schemathesis.toml"),
                *("run", f"{url}/openapi.json", "--checks=all", "--no-color"),
                # It says that data is slow to make, where others use the machine, too.
                "--suppress-health-check=too_slow",
                *(LONG if EXAMPLES else SHORT),
            ],
            cwd=tmp_path,
            env={
                **outside(),
                "DATABASE_TEST_URL": database_url,
                "FUZZ_TOKEN": TOKEN,
                "PYTHONPATH": str(ROOT),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    print(done.stdout)
    assert done.returncode == 0
    assert f"Tested: {len(OPERATIONS)}\n" in done.stdout
