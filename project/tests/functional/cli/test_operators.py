"""`manage.py set_operator`, `list_operators` and `remove_operator`."""

import pytest
from flask_sqlalchemy import SQLAlchemy
from werkzeug.security import check_password_hash

from project.admin import operators
from project.audit_log import operating_system_user
from project.tests.functional.cli.helpers import assert_one_line_error
from project.tests.types import RunCommand

PASSWORD = "correct horse battery"
TYPED_TWICE = f"{PASSWORD}\n" * 2


@pytest.fixture(autouse=True)
def no_operators(empty_database: SQLAlchemy) -> None:
    with empty_database.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM admin_operators")


def test_operator_is_added_listed_and_removed(run_command: RunCommand) -> None:
    added = run_command("set_operator", "ops", "--role", "editor", input=TYPED_TWICE)
    assert added.stdout == "The operator ops has the role editor.\n"
    assert PASSWORD not in added.output
    # The tests run without a login.
    assert "under ProductionConfig with SECRET_KEY only" in added.stderr
    operator = operators.get("ops")
    assert operator and check_password_hash(operator.password_hash, PASSWORD)
    run_command("set_operator", "auditor", "--role", "reader", input=TYPED_TWICE)
    assert run_command("list_operators").stdout == "auditor reader\nops editor\n"
    assert run_command("remove_operator", "ops").stdout == "ops was removed.\n"
    assert run_command("list_operators").stdout == "auditor reader\n"


def test_changes_are_audited(
    run_command: RunCommand, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "project.audit")
    run_command("set_operator", "ops", "--role", "reader", input=TYPED_TWICE)
    run_command("remove_operator", "ops")
    run_command("remove_operator", "ops")
    who = operating_system_user()
    assert [(vars(r)["action"], vars(r)["who"]) for r in caplog.records] == [
        ("set_operator", who),
        ("remove_operator", who),
    ]
    assert caplog.messages[0] == f"operator ops set as reader by {who}"


def test_new_password_keeps_the_role(run_command: RunCommand) -> None:
    run_command("set_operator", "ops", "--role", "reader", input=TYPED_TWICE)
    run_command("set_operator", "ops", input="another password\n" * 2)
    operator = operators.get("ops")
    assert operator and operator.role == "reader"
    assert check_password_hash(operator.password_hash, "another password")
    run_command("set_operator", "ops", "--role", "editor", input=TYPED_TWICE)
    assert run_command("list_operators").stdout == "ops editor\n"


def test_new_operator_without_a_role_is_refused(run_command: RunCommand) -> None:
    result = run_command("set_operator", "ops", input=TYPED_TWICE)
    assert_one_line_error(result, "add --role reader or --role editor")
    assert run_command("list_operators").stdout == ""


@pytest.mark.parametrize("name", ["", "a b", "é", "a\n", "x" * 65])
def test_invalid_username_is_refused(run_command: RunCommand, name: str) -> None:
    result = run_command("set_operator", name, "--role", "reader", input=TYPED_TWICE)
    assert_one_line_error(result, "1 to 64 letters, digits and ._@+-")


@pytest.mark.parametrize(
    "typed, message",
    [("short\nshort\n", "12 to 1024 characters"), ("one\nother\n", "do not match")],
)
def test_short_or_mistyped_password_is_refused(
    run_command: RunCommand, typed: str, message: str
) -> None:
    refused = run_command("set_operator", "ops", "--role", "reader", input=typed)
    assert refused.exit_code == 1
    assert message in refused.output
    assert refused.stdout == ""
    assert operators.get("ops") is None


def test_unknown_operator_cannot_be_removed(run_command: RunCommand) -> None:
    result = run_command("remove_operator", "nobody")
    assert_one_line_error(result, "there is no operator nobody", "`list_operators`")
