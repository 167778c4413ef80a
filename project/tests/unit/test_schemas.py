"""What comes in: the code that validates it, and the schemas that are published."""

import re

import email_validator
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from project.api.users import schemas

username = TypeAdapter(schemas.Username)
# What is trimmed, what is refused, and what is neither.
LETTERS = st.sampled_from(" \t\n\x85\xa0\u2003\u200b\ufeff\x1b\x1c\x1f\x7f\0aü😀")
LONG = "a" * 126


@settings(derandomize=True, database=None, max_examples=100, deadline=None)
@given(st.from_regex(schemas.PLAIN_EMAIL, fullmatch=True))
def test_plain_address_would_pass_the_full_check(address):
    if len(address) <= schemas.MAX_LENGTH:
        email_validator.validate_email(address, check_deliverability=False)


@pytest.mark.parametrize(
    "address", ["ada@example.com", "a.d-a_l+x@mail.example.org", "A1@b2.co"]
)
def test_common_addresses_are_plain(address):
    assert schemas.PLAIN_EMAIL.fullmatch(address)


def is_accepted(text):
    """Return whether the API takes the text for a username."""
    try:
        username.validate_python(text)
    except ValidationError:
        return False
    return True


def is_published(text):
    """Return whether the document says that it does."""
    return bool(re.search(username.json_schema()["pattern"], text))


@settings(derandomize=True, database=None, max_examples=500, deadline=None)
@given(st.text(LETTERS | st.characters(codec="utf-8"), max_size=8))
def test_pattern_of_a_username(text):
    assert is_published(text) == is_accepted(text)


@pytest.mark.parametrize("inside", ["a", " ", "\u2003", "😀", "aa", "a\n", "\x85"])
@pytest.mark.parametrize("around", ["", " ", "\n\t ", "\u3000\x85", "\x1f"])
def test_pattern_of_a_long_username(inside, around):
    text = f"{around}a{inside}{LONG}{around}"
    assert is_published(text) == is_accepted(text)
    assert is_published(text + "a") == is_accepted(text + "a")
