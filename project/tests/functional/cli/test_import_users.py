"""`manage.py import_users`."""

import codecs
import gzip
import io
import signal
import subprocess
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from project import db
from project.api.users.bulk import load
from project.tests.functional.cli.helpers import assert_one_line_error, start_manage
from project.tests.types import AddUser, RunCommand, StoredUser
from project.tests.users import stored_users

HEADER = b"username,email,active\n"
VALID_LINES = {
    "csv": [HEADER + b"eve,eve@example.com,\n", b"\n", b"max,max@example.com,TRUE"],
    "jsonl": [
        b'{"username": "eve", "email": "eve@example.com", "id": 9}\n',
        b"\n",
        b'{"username": "max", "email": "max@example.com", "active": true}',
    ],
}
INVALID_LINES = [
    ("csv", b",ada@example.com,", "username: String should have at least 1 character"),
    ("csv", b"ada,ada,", "email: An email address must have an @-sign."),
    ("csv", b"ada,ada@example.com,yes", "active: Input should be a valid boolean"),
    ("csv", b"ada", "1 fields, where the header has 3"),
    ("csv", b'"a"a,ada@example.com,', "not CSV: "),
    ("csv", b"\xff,ada@example.com,", "username: Input should be a valid string"),
    ("csv", b"ada,GRACE@example.com,", "email: another user has it"),
    ("csv", b"eve,Eve@Example.com,", "email: an earlier line has it"),
    ("csv", "g,grace@ｅｘａｍｐｌｅ。com,".encode(), "email: another user has it"),
    ("csv", "eve,ｅve@example.com,".encode(), "email: an earlier line has it"),
    ("csv", "a\u200b,a@example.com,".encode(), "are not allowed (U+200B)"),
    ("csv", b"a,a@example.com,\rb,b@example.com,", "a carriage return (CR) without"),
    ("jsonl", b"{", "not a JSON object"),
    ("jsonl", b"[]", "not a JSON object"),
    ("jsonl", b"{}\r{}", "with a line feed (LF) after it"),
    ("jsonl", b'{"username": "\0"}', "not a JSON object"),
    ("jsonl", b'{"username": "ada"}', "email: Field required"),
    (
        "jsonl",
        b'{"username": "a", "email": "a@example.com", "active": null}',
        "active: Input should be a valid boolean",
    ),
    (
        "jsonl",
        b'{"username": "a", "email": "Grace@example.com"}',
        "another user has it",
    ),
]


@pytest.mark.parametrize("format, line, reason", INVALID_LINES)
def test_invalid_line_is_reported_and_nothing_is_imported(
    run_command: RunCommand,
    add_user: AddUser,
    small_batches: None,
    format: str,
    line: bytes,
    reason: str,
) -> None:
    add_user("grace", "grace@example.com")
    before = stored_users()
    valid = b"".join(VALID_LINES[format])
    number = valid.count(b"\n") + 2
    refused = run_command(
        "import_users", "--format", format, input=valid + b"\n" + line
    )
    assert refused.exit_code == 1
    report, error = refused.stderr.splitlines()
    assert report.startswith(f"line {number}: ") and reason in report
    assert error == "Error: 1 line(s) rejected. No user was added or changed."
    assert stored_users() == before
    accepted = run_command("import_users", "--format", format, input=valid)
    assert accepted.exit_code == 0
    assert len(stored_users()) == 3


@pytest.mark.parametrize(
    "text, reason",
    [
        (b"", "line 1: the header has no email and no username"),
        (b"username,mail\n", "line 1: the header has no email"),
        (b'"username,email\n', "line 1: not CSV: unexpected end of data"),
    ],
)
def test_file_without_users_is_refused(
    run_command: RunCommand, text: bytes, reason: str
) -> None:
    refused = run_command("import_users", input=text)
    assert refused.exit_code == 1
    assert refused.stderr == f"Error: {reason}. No user was added or changed.\n"


JSON_LINE = b'{"username": "ada", "email": "ada@example.com"}\n'
CSV_TEXT = HEADER + b"ada,ada@example.com,\n"


def zip_archive(text: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("users", text)
    return file.getvalue()


@pytest.mark.parametrize("format, text", [("csv", CSV_TEXT), ("jsonl", JSON_LINE)])
@pytest.mark.parametrize(
    "convert, reason",
    [
        (gzip.compress, "the file is compressed with gzip: decompress it"),
        (zip_archive, "the file is a ZIP archive or a spreadsheet: extract it"),
        (lambda text: text.decode().encode("utf-16"), "save it in UTF-8"),
        (lambda text: text.decode().encode("utf-16-be"), "save the file as text"),
        (lambda text: b"\0" + text, "save the file as text in UTF-8"),
        (lambda text: b"\0" * 100_000, "save the file as text in UTF-8"),
    ],
)
def test_file_that_is_not_a_text_is_refused(
    run_command: RunCommand,
    format: str,
    text: bytes,
    convert: Callable[[bytes], bytes],
    reason: str,
) -> None:
    refused = run_command("import_users", "--format", format, input=convert(text))
    name = {"csv": "CSV", "jsonl": "JSON Lines"}[format]
    assert_one_line_error(refused, f"Error: line 1: not {name}: ", reason)
    assert stored_users() == []


@pytest.mark.parametrize("format", ["csv", "jsonl"])
@pytest.mark.parametrize("end", [b"", b"\n"])
def test_huge_line_is_refused(run_command: RunCommand, format: str, end: bytes) -> None:
    text = b"x" * 10_000_000 + end
    refused = run_command("import_users", "--format", format, input=text)
    assert_one_line_error(refused, "line 1: longer than 65536 bytes", "line feeds (LF)")


def test_csv_with_carriage_returns_is_refused(run_command: RunCommand) -> None:
    text = CSV_TEXT.replace(b"\n", b"\r")
    refused = run_command("import_users", input=text)
    assert_one_line_error(
        refused, "line 1: not CSV: a carriage return (CR)", "line feeds (LF)"
    )


def test_json_lines_with_carriage_returns_are_refused(run_command: RunCommand) -> None:
    text = JSON_LINE.replace(b"\n", b"\r") * 2
    refused = run_command("import_users", "--format", "jsonl", input=text)
    assert refused.exit_code == 1
    assert "line 1: not a JSON object: write one per line" in refused.output
    assert "line feed (LF)" in refused.output


def test_empty_json_lines_file_adds_nothing(run_command: RunCommand) -> None:
    """It is the export of an empty table."""
    result = run_command("import_users", "--format", "jsonl", input=b"")
    assert (result.exit_code, result.stdout) == (0, "0 added, 0 updated, 0 skipped.\n")


def test_folder_is_refused(run_command: RunCommand, tmp_path: Path) -> None:
    refused = run_command("import_users", str(tmp_path))
    assert refused.exit_code == 2
    assert refused.output.endswith(f"File '{tmp_path}' is a directory.\n")


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_byte_order_mark_is_ignored(run_command: RunCommand, format: str) -> None:
    text = {"csv": b'"username",email\nada,ada@example.com\n', "jsonl": JSON_LINE}
    result = run_command(
        "import_users", "--format", format, input=codecs.BOM_UTF8 + text[format]
    )
    assert result.exit_code == 0
    assert stored_users() == [("ada", "ada@example.com", True)]


def test_spreadsheet_csv_with_byte_order_mark_and_crlf_is_imported(
    run_command: RunCommand,
) -> None:
    text = "\ufeffemail, username,note\r\nada@example.com,ada,x\r\n"
    assert run_command("import_users", input=text.encode()).exit_code == 0
    assert stored_users() == [("ada", "ada@example.com", True)]


@pytest.mark.parametrize(
    "existing, counts, ada",
    [
        ("skip", "2 added, 0 updated, 1 skipped.", ("ada", "ada@example.com", False)),
        (
            "update",
            "2 added, 1 updated, 0 skipped.",
            ("lady", "ADA@example.com", False),
        ),
    ],
)
def test_existing_users_are_skipped_or_updated(
    run_command: RunCommand,
    add_user: AddUser,
    small_batches: None,
    existing: str,
    counts: str,
    ada: StoredUser,
) -> None:
    add_user("ada", "ada@example.com", active=False)
    text = (
        HEADER
        + b"lady,ADA@example.com,\nmax,max@example.com,false\neve,e@example.com,\n"
    )
    result = run_command("import_users", "--existing", existing, input=text)
    assert result.exit_code == 0
    assert counts in result.output
    assert stored_users() == [
        ada,
        ("max", "max@example.com", False),
        ("eve", "e@example.com", True),
    ]


def test_update_by_another_spelling_replaces_the_address(
    run_command: RunCommand, add_user: AddUser
) -> None:
    add_user("jürgen", "jürgen@bücher.example", active=False)
    text = HEADER + b"j,J\xc3\x9crgen@xn--bcher-kva.example,\n"
    result = run_command("import_users", "--existing", "update", input=text)
    assert "0 added, 1 updated, 0 skipped." in result.output
    assert stored_users() == [("j", "JÜrgen@xn--bcher-kva.example", False)]


def test_skip_keeps_first_of_two_lines_with_one_email(
    run_command: RunCommand, small_batches: None
) -> None:
    text = HEADER + b"a,a@example.com,\nb,b@example.com,\nc,A@example.com,\n"
    result = run_command("import_users", "--existing", "skip", input=text)
    assert "2 added, 0 updated, 1 skipped." in result.output
    assert [username for username, *_ in stored_users()] == ["a", "b"]


def test_update_refuses_two_lines_with_one_email(
    run_command: RunCommand, awkward_users: list[StoredUser], small_batches: None
) -> None:
    text = HEADER + b"a,ada@example.com,\nb,b@example.com,\nc,ADA@example.com,\n"
    refused = run_command("import_users", "--existing", "update", input=text)
    assert "line 4: email: an earlier line has it" in refused.stderr
    assert stored_users() == awkward_users


def test_email_taken_between_check_and_write_aborts_import(
    run_command: RunCommand, add_user: AddUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_rows = load.write_rows

    def add_user_first(*args: Any, **kwargs: Any) -> Any:
        add_user("other", "ada@example.com")
        return write_rows(*args, **kwargs)

    monkeypatch.setattr(load, "write_rows", add_user_first)
    failed = run_command("import_users", input=HEADER + b"ada,ada@example.com,\n")
    assert failed.exit_code == 1
    assert "run it again" in failed.stderr
    assert [username for username, *_ in stored_users()] == ["other"]


@pytest.mark.subprocess
def test_interrupted_import_adds_no_user(awkward_users: list[StoredUser]) -> None:
    process = start_manage(
        "import_users", stdin=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdin is not None
    count = load.BATCH_SIZE + 10
    lines = [f"u{n},u{n}@example.com,\n".encode() for n in range(count)]
    process.stdin.write(HEADER + b"".join(lines))
    copying = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'COPY staged%'"
    deadline = time.monotonic() + 20
    while not db.session.execute(db.text(copying)).all():
        assert time.monotonic() < deadline and process.poll() is None
        db.session.rollback()
        time.sleep(0.05)
    db.session.rollback()
    process.send_signal(signal.SIGINT)
    _, output = process.communicate(timeout=20)
    assert process.returncode == 1
    assert b"Aborted!" in output
    assert stored_users() == awkward_users
