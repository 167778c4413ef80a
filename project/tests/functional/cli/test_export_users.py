"""`manage.py export_users`."""

import json
import os
import subprocess
from datetime import datetime
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from project.api.users.bulk import formats
from project.api.users.schemas import FIELDS
from project.tests.functional.cli.helpers import start_manage
from project.tests.types import AddUser, RunCommand, StoredUser
from project.tests.users import stored_users


@pytest.mark.parametrize("name", ["users.csv", "users.jsonl", "users.NDJSON"])
def test_exported_file_can_be_imported(
    run_command: RunCommand,
    awkward_users: list[StoredUser],
    tmp_path: Path,
    name: str,
    small_batches: None,
) -> None:
    path = str(tmp_path / name)
    assert run_command("export_users", path).exit_code == 0
    run_command("recreate_db", "--yes")
    result = run_command("import_users", path)
    assert "6 added, 0 updated, 0 skipped." in result.output
    assert stored_users() == awkward_users


def test_jsonl_export_equals_api_output(
    run_command: RunCommand, client: FlaskClient, awkward_users: list[StoredUser]
) -> None:
    users = client.get("/users").get_json()["data"]["users"]
    exported = run_command("export_users", "--format", "jsonl").stdout.splitlines()
    assert [json.loads(line) for line in exported] == users


def test_export_to_stdout_is_csv(run_command: RunCommand, add_user: AddUser) -> None:
    user = add_user("ada", "ada@example.com", active=False)
    header, line = run_command("export_users").stdout.splitlines()
    assert header == ",".join(FIELDS)
    assert header.startswith("id,username,email,active,")
    assert line.startswith("1,ada,ada@example.com,false,")
    assert datetime.fromisoformat(line.split(",")[-1]) == user.created_date


def test_export_escapes_formulas(
    run_command: RunCommand, client: FlaskClient, add_user: AddUser
) -> None:
    """Also of a spreadsheet that splits the file at other separators."""
    add_user("=1+1", "+1@example.com")
    add_user('x;"=1', "a|=1@example.com")
    csv_lines = run_command("export_users").stdout.splitlines()[1:]
    assert csv_lines[0].startswith("1,'=1+1,'+1@example.com,true,")
    assert csv_lines[1].startswith("""2,"x;""'=1",a|'=1@example.com,true,""")
    json_lines = run_command("export_users", "--format", "jsonl").stdout.splitlines()
    users = client.get("/users").get_json()["data"]["users"]
    assert [json.loads(line) for line in json_lines] == users


def test_interrupted_export_keeps_old_file(tmp_path: Path) -> None:
    path = tmp_path / "users.csv"
    path.write_text("before")
    with pytest.raises(KeyboardInterrupt), formats.atomic_write(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_export_writes_into_named_pipe(
    run_command: RunCommand, awkward_users: list[StoredUser], tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    assert run_command("export_users", str(tmp_path / "pipe")).exit_code == 0
    assert os.read(reader, 100).startswith(b"id,username")
    os.close(reader)


@pytest.mark.parametrize("name", ["", "nowhere/users.csv"])
def test_export_to_unwritable_path_fails(
    run_command: RunCommand, tmp_path: Path, name: str
) -> None:
    failed = run_command("export_users", str(tmp_path / name))
    assert failed.exit_code == 1
    assert failed.output.startswith("Error: Could not open file")


@pytest.mark.subprocess
def test_export_ends_without_traceback_if_reader_closes_pipe(
    awkward_users: list[StoredUser],
) -> None:
    process = start_manage(
        "export_users", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    output = process.stderr.read()
    process.stderr.close()
    process.wait(20)
    assert b"Traceback" not in output
