"""What comes in and goes out."""

import email_validator
import pytest
from hypothesis import given, settings
from hypothesis.strategies import from_regex

from project.api.users import schemas


@settings(max_examples=300, deadline=None)
@given(from_regex(schemas.PLAIN_EMAIL, fullmatch=True))
def test_plain_address_would_pass_the_full_check(address):
    if len(address) <= schemas.MAX_LENGTH:
        email_validator.validate_email(address, check_deliverability=False)


@pytest.mark.parametrize(
    "address", ["ada@example.com", "a.d-a_l+x@mail.example.org", "A1@b2.co"]
)
def test_common_addresses_are_plain(address):
    assert schemas.PLAIN_EMAIL.fullmatch(address)
