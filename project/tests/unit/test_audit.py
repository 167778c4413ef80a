"""`pipenv run audit`, against a local server with the protocol of OSV."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from devtools.servers import ROOT, free_port
from project.tests.requirements import skip_or_fail

pytestmark = pytest.mark.subprocess

HASH = f"sha256:{'0' * 64}"
LOCK = {
    "_meta": {},
    "default": {
        "flask": {"version": "==3.1.3", "hashes": [HASH]},
        # For another operating system than that of the test.
        "pywin32": {
            "version": "==311",
            "hashes": [HASH],
            "markers": "sys_platform == 'none'",
        },
    },
    "lint": {
        "flask": {"version": "==3.1.3", "hashes": [HASH]},
        "zope.event": {"version": "==6.2", "hashes": [HASH]},
    },
}


def advisory(id: str, alias: str, package: str, fixed: str | None) -> dict[str, Any]:
    """Return a vulnerability in OSV's format."""
    events = [{"introduced": "0"}, *([{"fixed": fixed}] if fixed else [])]
    return {
        "schema_version": "1.7.0",
        "id": id,
        "aliases": [alias],
        "summary": "A vulnerability",
        "affected": [
            {
                "package": {"ecosystem": "PyPI", "name": package},
                "ranges": [{"type": "ECOSYSTEM", "events": events}],
            }
        ],
    }


FLASK = advisory("GHSA-aaaa-bbbb-cccc", "CVE-2026-1", "flask", "3.1.4")
PYWIN32 = advisory("PYSEC-2026-2", "CVE-2026-2", "pywin32", None)
ZOPE = advisory("PYSEC-2026-3", "CVE-2026-3", "zope-event", "6.3")


@contextmanager
def serve_osv(*advisories: dict[str, Any], status: int = 200) -> Iterator[str]:
    """Serve vulnerabilities, and yield the URL for queries."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found = [
                vulnerability
                for vulnerability in advisories
                if vulnerability["affected"][0]["package"] == query["package"]
            ]
            body = json.dumps({"vulns": found} if found else {}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1/query"
        finally:
            server.shutdown()


def run_audit(folder: Path, url: str, *ignored: str) -> tuple[int, str]:
    """Run the script on LOCK, and return its exit status and its output."""
    if not find_spec("pip_audit"):
        skip_or_fail("pip-audit: `pipenv sync --all`")
    (folder / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "audit.py", folder / "scripts")
    (folder / "Pipfile.lock").write_text(json.dumps(LOCK))
    lines = "".join(f"    {line}\n" for line in ignored)
    (folder / "setup.cfg").write_text(f"[audit]\nignore =\n{lines}")
    result = subprocess.run(
        [sys.executable, folder / "scripts" / "audit.py", "--osv-url", url],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return result.returncode, result.stdout


def test_vulnerabilities_of_all_categories_fail_the_audit(tmp_path: Path) -> None:
    with serve_osv(FLASK, PYWIN32, ZOPE) as url:
        status, output = run_audit(tmp_path, url)
    assert status == 1
    assert output.splitlines()[:-1] == [
        "production: flask 3.1.3: CVE-2026-1, GHSA-aaaa-bbbb-cccc: fixed in 3.1.4",
        "production: pywin32 311: PYSEC-2026-2, CVE-2026-2: no version fixes it",
        "development: zope-event 6.2: PYSEC-2026-3, CVE-2026-3: fixed in 6.3",
    ]
    assert "pipenv run lock" in output.splitlines()[-1]


def test_audit_without_a_vulnerability_passes(tmp_path: Path) -> None:
    with serve_osv() as url:
        assert run_audit(tmp_path, url) == (
            0,
            "No known vulnerability in 3 packages; 0 ignored.\n",
        )


def test_vulnerability_is_ignored_by_any_of_its_ids(tmp_path: Path) -> None:
    with serve_osv(FLASK, ZOPE) as url:
        status, output = run_audit(
            tmp_path,
            url,
            "CVE-2026-1 until 9999-01-01: the service does not use it",
            "PYSEC-2026-3 until 9999-01-01: the service does not use it",
        )
    assert (status, output) == (0, "No known vulnerability in 3 packages; 2 ignored.\n")


@pytest.mark.parametrize(
    "line, message",
    [
        ("CVE-2026-1 until 2026-01-01: unused", "CVE-2026-1 is no longer ignored"),
        ("CVE-2026-1", "write `ID until YYYY-MM-DD: reason`"),
        ("CVE-2026-1 until 2026-13-01: unused", "write `ID until YYYY-MM-DD: reason`"),
    ],
)
def test_ignored_vulnerability_needs_a_reason_and_a_later_date(
    tmp_path: Path, line: str, message: str
) -> None:
    with serve_osv() as url:
        status, output = run_audit(tmp_path, url, line)
    assert status == 1
    assert message in output


def assert_incomplete(result: tuple[int, str]) -> None:
    status, output = result
    assert status == 1
    assert output.startswith("The audit is not complete")
    assert output.count("\n") == 1


def test_unreachable_database_fails_the_audit(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/v1/query"
    assert_incomplete(run_audit(tmp_path, url))


def test_database_that_answers_with_an_error_fails_the_audit(tmp_path: Path) -> None:
    with serve_osv(FLASK, status=503) as url:
        assert_incomplete(run_audit(tmp_path, url))


def test_unknown_url_fails_the_audit(tmp_path: Path) -> None:
    """404 does not mean that a package has no vulnerability."""
    with serve_osv(status=404) as url:
        assert_incomplete(run_audit(tmp_path, url))
