"""The validation code and the published JSON Schemas accept the same values."""

import re
import unicodedata
from typing import Annotated

import email_validator
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from sqlalchemy import String

from project.api.users import schemas
from project.api.users.models import User
from project.web.errors import InvalidPayload

username_adapter: TypeAdapter[str] = TypeAdapter(schemas.Username)
# Characters that are trimmed, characters that are refused, and others.
EDGE_CHARACTERS = st.sampled_from(
    " \t\n\x85\xa0\u2003\u2028\u200b\u200c\u200d\u094d\ufe0f\ufeff\U000e0041"
    "\x1b\x1c\x1f\x7f\0aü😀"
)
LONG = "a" * 126
JOINERS = set("\u200c\u200d")
# Default_Ignorable_Code_Point of Unicode, which Python does not know, except for
# category Cf. Then: characters that look like a space or like nothing.
DEFAULT_IGNORABLE = [
    *(0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, *range(0x180B, 0x1810), 0x2065, 0x3164),
    *(*range(0xFE00, 0xFE10), 0xFFA0, *range(0xFFF0, 0xFFF9), *range(0xE0000, 0xE1000)),
]
BLANK = [0x2028, 0x2029, 0x2800, 0x16FE4, 0x1D159]


@pytest.mark.generated
@settings(derandomize=True, database=None, max_examples=100, deadline=None)
@given(st.from_regex(schemas.PLAIN_EMAIL, fullmatch=True))
def test_plain_email_passes_the_full_check(email: str) -> None:
    if len(email) <= schemas.MAX_LENGTH:
        email_validator.validate_email(email, check_deliverability=False)


@pytest.mark.parametrize(
    "email", ["ada@example.com", "a.d-a_l+x@mail.example.org", "A1@b2.co"]
)
def test_common_emails_are_plain(email: str) -> None:
    assert schemas.PLAIN_EMAIL.fullmatch(email)


def is_accepted(username: str) -> bool:
    """Return whether the API accepts the username."""
    try:
        username_adapter.validate_python(username)
    except ValidationError:
        return False
    return True


def matches_pattern(username: str) -> bool:
    """Return whether the username matches the pattern in the JSON Schema."""
    return bool(re.search(username_adapter.json_schema()["pattern"], username))


@pytest.mark.generated
@settings(derandomize=True, database=None, max_examples=500, deadline=None)
@given(st.text(EDGE_CHARACTERS | st.characters(codec="utf-8"), max_size=8))
def test_username_pattern_matches_accepted_usernames(username: str) -> None:
    if max(username, default="") > "\uffff":
        # The pattern cannot exclude characters beyond U+FFFF.
        assert matches_pattern(username) or not is_accepted(username)
    elif JOINERS.isdisjoint(username):
        assert matches_pattern(username) == is_accepted(username)
    else:
        assert not matches_pattern(username)


@pytest.mark.parametrize("inside", ["a", " ", "\u2003", "😀", "aa", "a\n", "\x85"])
@pytest.mark.parametrize("around", ["", " ", "\n\t ", "\u3000\x85", "\x1f"])
def test_username_pattern_has_the_same_length_limit(inside: str, around: str) -> None:
    username = f"{around}a{inside}{LONG}{around}"
    assert matches_pattern(username) == is_accepted(username)
    assert matches_pattern(username + "a") == is_accepted(username + "a")


def test_invisible_characters_are_refused() -> None:
    formats = [n for n in range(0x110000) if unicodedata.category(chr(n)) == "Cf"]
    for number in [*formats, *DEFAULT_IGNORABLE, *BLANK]:
        username = f"a{chr(number)}b"
        assert not matches_pattern(username) or number > 0xFFFF
        with pytest.raises(ValidationError) as error:
            username_adapter.validate_python(username)
        assert error.value.errors()[0]["msg"] == (
            "Invisible or direction-changing characters are not allowed"
            f" (U+{number:04X})"
        )


@pytest.mark.generated
def test_visible_characters_are_accepted() -> None:
    invisible = {*DEFAULT_IGNORABLE, *BLANK}
    for number in range(0x20, 0x110000):
        character = chr(number)
        if unicodedata.category(character) in ("Cc", "Cf", "Cn", "Co", "Cs"):
            continue
        assert is_accepted(f"a{character}b") == (number not in invisible)


@pytest.mark.parametrize(
    "username, accepted",
    [
        ("क्\u200dष", True),  # a half form in Devanagari
        ("क्\u200cष", True),
        ("می\u200cخواهم", True),  # the Persian letters do not join
        ("ශ්\u200dරී", True),  # Sri
        ("\u200dक", False),
        ("क\u200d", False),
        ("a\u200db", False),
        ("a\u200cb", False),
        ("\u0378\u200c", False),  # Unicode does not define the first character
        ("👩\u200d💻", False),
        ("क्\u200dष\u200b", False),
    ],
)
def test_joiners_are_accepted_where_a_script_needs_them(
    username: str, accepted: bool
) -> None:
    assert is_accepted(username) is accepted


@pytest.mark.parametrize("max_length", [1, 2, 3])
@pytest.mark.parametrize("text", ["", " ", "a", " a ", "ab", "a b", "abc", "abcd"])
def test_pattern_of_a_short_text_has_the_same_limit(max_length: int, text: str) -> None:
    short_text: TypeAdapter[str] = TypeAdapter(
        Annotated[str, schemas.TrimmedText(max_length)]
    )
    pattern = short_text.json_schema()["pattern"]
    assert bool(re.search(pattern, text)) == (0 < len(text.strip()) <= max_length)


@pytest.mark.parametrize("name", schemas.WRITABLE_FIELDS)
def test_every_field_fits_its_column(name: str) -> None:
    """A value that the schema accepts must not fail in the database."""
    field = schemas.NewUser.model_fields[name]
    column = User.__table__.columns[name]
    assert column.nullable is schemas.is_nullable(field)
    if not isinstance(column.type, String):
        return
    invalid = ["a\0b"]
    if limit := column.type.length:
        json_schema = schemas.UserChange.model_json_schema()["properties"][name]
        assert json_schema.get("maxLength", limit) <= limit
        invalid += ["a" * (limit + 1), "+1" + "1" * limit]
    for value in invalid:
        with pytest.raises(InvalidPayload):
            schemas.parse_payload(schemas.UserChange.model_validate, {name: value})


def test_every_field_has_an_example() -> None:
    assert set(schemas.example(schemas.NewUser, schemas.WRITABLE_FIELDS)) == set(
        schemas.WRITABLE_FIELDS
    )
