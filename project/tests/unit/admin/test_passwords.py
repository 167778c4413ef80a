"""The hashes of the operators' passwords."""

import gevent
import pytest
from werkzeug.security import check_password_hash

from project.admin.login import check_password
from project.admin.passwords import hash_password

HASH = hash_password("correct horse battery")


def test_hash_is_salted_and_verifies_the_password() -> None:
    assert check_password_hash(HASH, "correct horse battery")
    assert not check_password_hash(HASH, "correct horse")
    assert hash_password("correct horse battery") != HASH


def test_short_password_is_refused() -> None:
    with pytest.raises(ValueError, match="12 to 1024 characters"):
        hash_password("short")


def test_password_is_checked() -> None:
    assert check_password(HASH, "correct horse battery")
    assert not check_password(HASH, "correct horse")


def test_event_loop_continues_while_a_password_is_checked() -> None:
    check = gevent.spawn(check_password, HASH, "correct horse battery")
    rounds = 0
    while not check.ready():
        gevent.sleep(0.001)
        rounds += 1
    assert check.value
    assert rounds > 1
