"""`manage.py seed_db`."""

from pathlib import Path

from project.tests.functional.cli.helpers import stored_emails
from project.tests.types import RunCommand
from project.tests.users import stored_users


def test_seed_db_can_run_again(run_command: RunCommand) -> None:
    first, second = run_command("seed_db"), run_command("seed_db")
    assert first.exit_code == second.exit_code == 0
    assert first.output.splitlines() == [
        "ada@example.com was added!",
        "grace@example.com was added!",
    ]
    assert "ada@example.com already exists." in second.output
    assert stored_emails() == ["ada@example.com", "grace@example.com"]


def test_same_seed_generates_same_users(
    run_command: RunCommand, small_batches: None
) -> None:
    assert run_command("seed_db", "--count", "5", "--seed", "7").exit_code == 0
    first = stored_users()
    assert len(first) == 5
    second = run_command("seed_db", "--count", "6", "--seed", "7")
    assert "1 users were added, 5 skipped." in second.output
    assert stored_users()[:5] == first
    run_command("seed_db", "--count", "5", "--seed", "8")
    assert len(stored_users()) == 11


def test_generated_users_can_be_imported(
    run_command: RunCommand, tmp_path: Path
) -> None:
    run_command("seed_db", "--count", "1000", "--seed", "1")
    generated = stored_users()
    assert 850 < sum(active for *_, active in generated) < 950
    run_command("export_users", str(tmp_path / "users.jsonl"))
    run_command("recreate_db", "--yes")
    assert run_command("import_users", str(tmp_path / "users.jsonl")).exit_code == 0
    assert stored_users() == generated
