"""`manage.py purge_history` and `manage.py erase_history`."""

from flask_sqlalchemy import SQLAlchemy

from project.api.users import queries
from project.api.users.history import entries
from project.tests.types import RunCommand


def add_users(*writers: str) -> None:
    """Add a user by each writer; the first user has the id 1."""
    for number, who in enumerate(writers):
        fields = {"username": "ada", "email": f"{number}@example.com", "active": True}
        queries.insert(fields, who)


def let_days_pass(database: SQLAlchemy, days: int, user_id: int) -> None:
    """Move the entries of a user into the past."""
    with database.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE user_history SET written_at = written_at"
            " - make_interval(days => %s) WHERE user_id = %s",
            (days, user_id),
        )


def test_purge_deletes_entries_after_the_period(
    run_command: RunCommand, empty_database: SQLAlchemy
) -> None:
    add_users("ops", "ops", "ops")
    let_days_pass(empty_database, 364, 1)
    let_days_pass(empty_database, 366, 2)
    result = run_command("purge_history")
    assert result.output == "Entries of the history that were deleted: 1.\n"
    assert [len(entries.read(number)) for number in (1, 2, 3)] == [1, 0, 1]
    run_command("purge_history", "--days", "0")
    assert [len(entries.read(number)) for number in (1, 2, 3)] == [0, 0, 0]


def test_erase_deletes_the_entries_about_a_user(run_command: RunCommand) -> None:
    add_users("ops", "ops")
    assert "deleted: 1." in run_command("erase_history", "--user-id", "1").output
    assert (len(entries.read(1)), len(entries.read(2))) == (0, 1)


def test_erase_deletes_what_somebody_has_written(run_command: RunCommand) -> None:
    add_users("anna@example.com", "ops")
    assert (
        "deleted: 1."
        in run_command("erase_history", "--who", "anna@example.com").output
    )
    assert (len(entries.read(1)), len(entries.read(2))) == (0, 1)


def test_erase_needs_exactly_one_option(run_command: RunCommand) -> None:
    for options in ([], ["--user-id", "1", "--who", "ops"]):
        result = run_command("erase_history", *options)
        assert result.exit_code == 2
        assert "add either --user-id or --who" in result.output


def test_history_contains_no_data_of_the_user(empty_database: SQLAlchemy) -> None:
    add_users("ops")
    queries.delete(1, None, "ops")
    with empty_database.engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT user_history::text FROM user_history")
        stored = " ".join(rows.scalars())
    assert "removed" in stored
    assert "ada" not in stored and "example.com" not in stored
