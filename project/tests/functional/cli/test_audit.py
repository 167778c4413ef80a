"""Commands that write or export users write a line to the audit log."""

import json
import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest
from flask_sqlalchemy import SQLAlchemy

from project.audit_log import operating_system_user
from project.tests.functional.cli.helpers import run_manage, start_manage
from project.tests.types import AddUser, RunCommand

# A container may run as a user without a name.
UID = os.geteuid()
USER = next((u.pw_name for u in pwd.getpwall() if u.pw_uid == UID), f"uid {UID}")


def audit_records(
    caplog: pytest.LogCaptureFixture,
) -> list[tuple[str, dict[str, int], str, str]]:
    """Return action, counts, user and message of each line of the audit log."""
    return [
        (fields["action"], fields["counts"], fields["who"], record.getMessage())
        for record in caplog.records
        if record.name == "project.audit"
        for fields in [vars(record)]
    ]


def test_each_command_writes_one_line_with_its_counts(
    run_command: RunCommand, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "project.audit")
    file = str(tmp_path / "secret-path.csv")
    run_command("seed_db")
    run_command("seed_db")
    run_command("seed_db", "--count", "3", "--seed", "1")
    run_command("export_users", file)
    run_command("import_users", file, "--existing", "skip")
    run_command("recreate_db", "--yes")
    run_command("export_users")
    records = audit_records(caplog)
    assert [record[:3] for record in records] == [
        ("seed_db", {"added": 2, "skipped": 0}, USER),
        ("seed_db", {"added": 0, "skipped": 2}, USER),
        ("seed_db", {"added": 3, "updated": 0, "skipped": 0}, USER),
        ("export_users", {"exported": 5}, USER),
        ("import_users", {"added": 0, "updated": 0, "skipped": 5}, USER),
        ("recreate_db", {"users": 5, "user_history": 5}, USER),
        ("export_users", {"exported": 0}, USER),
    ]
    assert records[4][3] == f"import_users: 0 added, 0 updated, 5 skipped by {USER}"
    assert "@" not in caplog.text and "secret-path" not in caplog.text


def test_commands_that_change_nothing_write_no_line(
    run_command: RunCommand,
    add_user: AddUser,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "project.audit")
    add_user("ada", "ada@example.com")
    (tmp_path / "users.csv").write_text("username,email\nada,ada@example.com\n")
    assert run_command("import_users", str(tmp_path / "users.csv")).exit_code == 1
    assert run_command("export_users", str(tmp_path / "no" / "file")).exit_code == 1
    assert run_command("recreate_db").exit_code == 1
    assert audit_records(caplog) == []


@pytest.mark.subprocess
def test_export_whose_reader_stops_early_is_audited(
    run_command: RunCommand, empty_database: SQLAlchemy
) -> None:
    run_command("seed_db", "--count", "5000", "--seed", "1")
    process = start_manage(
        "export_users", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.read(1000)
    process.stdout.close()
    output = process.stderr.read().decode()
    process.stderr.close()
    process.wait(20)
    assert "INFO project.audit: export_users: " in output


@pytest.mark.subprocess
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_line_is_on_stderr_in_the_configured_format(
    empty_database: SQLAlchemy, log_format: str
) -> None:
    result = run_manage(
        "seed_db",
        APP_SETTINGS="project.config.TestingConfig",
        DATABASE_TEST_URL=os.environ["DATABASE_TEST_URL"],
        LOG_FORMAT=log_format,
    )
    assert len(result.stdout.splitlines()) == 2, result.stderr
    (line,) = result.stderr.splitlines()
    if log_format == "text":
        assert f"INFO project.audit: seed_db: 2 added, 0 skipped by {USER}" in line
    else:
        event = json.loads(line)
        assert event.pop("time")
        assert event == {
            "level": "INFO",
            "logger": "project.audit",
            "message": f"seed_db: 2 added, 0 skipped by {USER}",
            "action": "seed_db",
            "counts": {"added": 2, "skipped": 0},
            "who": USER,
        }


def test_user_cannot_be_changed_by_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "somebody-else")
    assert operating_system_user() == USER


def test_user_without_an_entry_is_the_uid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000)
    assert operating_system_user() == "uid 4000000"


def test_user_on_windows_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Python then raises ImportError, as on Windows.
    monkeypatch.setitem(sys.modules, "pwd", None)
    monkeypatch.setenv("USERNAME", "ada")
    assert operating_system_user() == "ada"
