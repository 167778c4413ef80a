"""`seed_db --count`, `export_users` and `import_users`, as an operator types them."""

import json
import os
import signal
import subprocess
import sys
import termios
import time
from datetime import datetime

import pytest

from project import db
from project.api.users import bulk, commands, files
from project.api.users.models import User
from project.tests.servers import ROOT, outside

ODD = [
    ("ada", "Ada@example.com", True),
    ('a "quoted", name', "grace@example.com", False),
    ("浩 Zoë", "jürgen@bücher.example", True),
    ("\\. \\N", "o'hara@example.com", True),
]


def start(*arguments, **pipes):
    """Start `python manage.py` in a process of its own, on the tests' database."""
    variables = {"DATABASE_TEST_URL": os.environ["DATABASE_TEST_URL"]}
    # A suite that a shell runs in the background ignores Ctrl-C, and so would what it
    # starts; a handler of ours is the default one there.
    ours = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=outside()
            | variables
            | {"APP_SETTINGS": "project.config.TestingConfig", "PYTHONUNBUFFERED": "1"},
            **pipes,
        )
    finally:
        signal.signal(signal.SIGINT, ours)


def everybody():
    """Return all users as `(username, email, active)`."""
    columns = User.username, User.email, User.active
    with db.engine.connect() as connection:
        rows = connection.execute(db.select(*columns).order_by(User.id)).all()
    return [tuple(row) for row in rows]


@pytest.fixture
def add_odd(add_user):
    """Users whose names and addresses a careless format would spoil."""
    for username, email, active in ODD:
        add_user(username, email, active=active)


@pytest.fixture
def small_batches(monkeypatch):
    """Batches of two, so that a few users are several."""
    monkeypatch.setattr(bulk, "BATCH", 2)


def test_seed_is_repeatable(invoke, small_batches):
    assert invoke("seed_db", "--count", "5", "--seed", "7").exit_code == 0
    first = everybody()
    assert len(first) == 5
    again = invoke("seed_db", "--count", "6", "--seed", "7")
    assert "1 users were added, 5 skipped." in again.output
    assert everybody()[:5] == first
    invoke("seed_db", "--count", "5", "--seed", "8")
    assert len(everybody()) == 11


def test_seeds_pass_the_api_s_rules(invoke, tmp_path):
    invoke("seed_db", "--count", "1000", "--seed", "1")
    seeded = everybody()
    assert 850 < sum(active for *_, active in seeded) < 950
    invoke("export_users", str(tmp_path / "users.jsonl"))
    invoke("recreate_db")
    assert invoke("import_users", str(tmp_path / "users.jsonl")).exit_code == 0
    assert everybody() == seeded


@pytest.mark.parametrize("name", ["users.csv", "users.jsonl", "users.NDJSON"])
def test_what_is_exported_can_be_imported(
    invoke, add_odd, tmp_path, name, small_batches
):
    path = str(tmp_path / name)
    assert invoke("export_users", path).exit_code == 0
    invoke("recreate_db")
    done = invoke("import_users", path)
    assert "4 added, 0 updated, 0 skipped." in done.output
    assert everybody() == ODD


def test_export_shows_users_as_the_api_does(invoke, client, add_odd):
    shown = client.get("/users").json["data"]["users"]
    exported = invoke("export_users", "--format", "jsonl").stdout.splitlines()
    assert [json.loads(line) for line in exported] == shown


def test_export_as_csv(invoke, add_user):
    user = add_user("ada", "ada@example.com", active=False)
    header, line = invoke("export_users").stdout.splitlines()
    assert header == "id,username,email,active,created_date"
    assert line.startswith("1,ada,ada@example.com,false,")
    assert datetime.fromisoformat(line.split(",")[-1]) == user.created_date


def test_export_is_complete_or_not_there(tmp_path):
    path = tmp_path / "users.csv"
    path.write_text("before")
    with pytest.raises(KeyboardInterrupt), files.replaced(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_export_into_a_pipe_by_name(invoke, add_odd, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    assert invoke("export_users", str(tmp_path / "pipe")).exit_code == 0
    assert os.read(reader, 100).startswith(b"id,username")
    os.close(reader)


@pytest.mark.parametrize("name", ["", "nowhere/users.csv"])
def test_export_to_nowhere(invoke, tmp_path, name):
    failed = invoke("export_users", str(tmp_path / name))
    assert failed.exit_code == 1
    assert failed.output.startswith("Error: Could not open file")


HEADER = b"username,email,active\n"
REFUSED = {
    "csv": [
        (b",ada@example.com,", "username: String should have at least 1 character"),
        (b"ada,ada,", "email: An email address must have an @-sign."),
        (b"ada,ada@example.com,yes", "active: Input should be a valid boolean"),
        (b"ada", "1 fields, where the header has 3"),
        (b'"a"a,ada@example.com,', "not CSV: "),
        (b"\xff,ada@example.com,", "username: Input should be a valid string"),
        (b"ada,GRACE@example.com,", "email: another user has it"),
        (b"eve,Eve@Example.com,", "email: an earlier line has it"),
    ],
    "jsonl": [
        (b"{", "not a JSON object"),
        (b"[]", "not a JSON object"),
        (b'{"username": "ada"}', "email: Field required"),
        (
            b'{"username": "a", "email": "a@example.com", "active": null}',
            "active: Input should be a valid boolean",
        ),
        (b'{"username": "a", "email": "Grace@example.com"}', "another user has it"),
    ],
}
CASES = [(format, *case) for format, cases in REFUSED.items() for case in cases]


@pytest.mark.parametrize("format, line, reason", CASES)
def test_import_refuses_a_line(invoke, add_user, small_batches, format, line, reason):
    add_user("grace", "grace@example.com")
    before = everybody()
    good = {
        "csv": [HEADER + b"eve,eve@example.com,\n", b"\n", b"max,max@example.com,TRUE"],
        "jsonl": [
            b'{"username": "eve", "email": "eve@example.com", "id": 9}\n',
            b"\n",
            b'{"username": "max", "email": "max@example.com", "active": true}',
        ],
    }[format]
    number = b"".join(good).count(b"\n") + 2
    refused = invoke(
        "import_users", "--format", format, input=b"".join(good) + b"\n" + line
    )
    assert refused.exit_code == 1
    told, error = refused.stderr.splitlines()
    assert told.startswith(f"line {number}: ") and reason in told
    assert error == "Error: 1 line(s) refused. No user was added or changed."
    assert everybody() == before
    assert (
        invoke("import_users", "--format", format, input=b"".join(good)).exit_code == 0
    )
    assert len(everybody()) == 3


@pytest.mark.parametrize(
    "text, reason",
    [
        (b"", "line 1: the header has no email and no username"),
        (b"username,mail\n", "line 1: the header has no email"),
        (b"\0" * 100_000, "line 1: longer than 65536 bytes"),
    ],
)
def test_import_of_another_kind_of_file(invoke, text, reason):
    refused = invoke("import_users", input=text)
    assert refused.exit_code == 1
    assert refused.stderr == f"Error: {reason}. No user was added or changed.\n"


def test_import_from_a_spreadsheet(invoke):
    """They put a mark before the first name, and end lines in their own way."""
    text = "\ufeffemail, username,note\r\nada@example.com,ada,x\r\n"
    assert invoke("import_users", input=text.encode()).exit_code == 0
    assert everybody() == [("ada", "ada@example.com", True)]


UPDATES = (
    HEADER + b"lady,ADA@example.com,\nmax,max@example.com,false\neve,e@example.com,\n"
)


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
def test_import_beside_existing_users(
    invoke, add_user, small_batches, existing, counts, ada
):
    add_user("ada", "ada@example.com", active=False)
    done = invoke("import_users", "--existing", existing, input=UPDATES)
    assert done.exit_code == 0
    assert counts in done.output
    assert everybody() == [
        ada,
        ("max", "max@example.com", False),
        ("eve", "e@example.com", True),
    ]


def test_import_skips_what_an_earlier_line_has(invoke, small_batches):
    text = HEADER + b"a,a@example.com,\nb,b@example.com,\nc,A@example.com,\n"
    done = invoke("import_users", "--existing", "skip", input=text)
    assert "2 added, 0 updated, 1 skipped." in done.output
    assert [name for name, *_ in everybody()] == ["a", "b"]


def test_import_updates_nobody_twice(invoke, add_odd, small_batches):
    text = HEADER + b"a,ada@example.com,\nb,b@example.com,\nc,ADA@example.com,\n"
    refused = invoke("import_users", "--existing", "update", input=text)
    assert "line 4: email: an earlier line has it" in refused.stderr
    assert everybody() == ODD


def test_address_taken_between_check_and_writing(invoke, add_user, monkeypatch):
    write = bulk.write

    def late(*arguments):
        add_user("other", "ada@example.com")
        return write(*arguments)

    monkeypatch.setattr(bulk, "write", late)
    failed = invoke("import_users", input=HEADER + b"ada,ada@example.com,\n")
    assert failed.exit_code == 1
    assert "run it again" in failed.stderr
    assert [name for name, *_ in everybody()] == ["other"]


def test_ctrl_c_loses_nothing(add_odd):
    process = start(
        "import_users", stdin=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    )
    lines = [f"u{n},u{n}@example.com,\n".encode() for n in range(bulk.BATCH + 10)]
    process.stdin.write(HEADER + b"".join(lines))
    copied = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'COPY incoming%'"
    deadline = time.monotonic() + 20
    while not db.session.execute(db.text(copied)).all():
        assert time.monotonic() < deadline and process.poll() is None
        db.session.rollback()
        time.sleep(0.05)
    db.session.rollback()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 1
    assert b"Aborted!" in said
    assert everybody() == ODD


def test_reader_that_has_seen_enough(add_odd):
    process = start("export_users", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    process.wait(20)
    assert b"Traceback" not in said


def test_bar_on_a_terminal(empty_database):
    terminal, end = os.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    process = start(
        "seed_db", "--count", "30000", stdout=subprocess.DEVNULL, stderr=end
    )
    os.close(end)
    said = b""
    try:
        while block := os.read(terminal, 2**16):
            said += block
    except OSError:
        pass  # the terminal's end is closed
    os.close(terminal)
    assert process.wait(20) == 0
    assert b"written: 100%" in said and b" users/s" in said


def test_lines_elsewhere(invoke, small_batches, monkeypatch):
    monkeypatch.setattr(commands, "PAUSE", 0)
    done = invoke("seed_db", "--count", "4")
    assert done.stderr.splitlines() == [
        "checked: 2 users",
        "checked: 4 users",
        "written: 2 users",
        "written: 4 users",
    ]
