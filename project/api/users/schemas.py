"""What comes in and goes out: pure, no request and no SQL."""

import re
from datetime import datetime
from typing import Annotated

import email_validator
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from project.errors import InvalidPayload, InvalidQuery

# The columns' length in characters.
MAX_LENGTH = 128
# The largest id that the column holds.
MAX_ID = 2**63 - 1

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# Nearly every address is of this kind, which the full check never refuses. That takes
# 20 times as long: more than PostgreSQL takes to insert the user.
PLAIN_EMAIL = re.compile(
    r"[A-Za-z0-9]+(?:[._+-][A-Za-z0-9]+)*@(?:[A-Za-z0-9]{1,63}\.)+[A-Za-z]{2,63}"
)
# JSON Schema cannot trim: what may stand around a username, at its ends and within.
SPACE = r"\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
END = rf"[^\x00-\x1f\x7f-\x9f{SPACE}]"
USERNAME = (
    rf"^[{SPACE}]*{END}([^\x00-\x1f\x7f-\x9f]{{0,{MAX_LENGTH - 2}}}{END})?[{SPACE}]*$"
)

# The contract asks for syntax alone; reserved domains such as `.test` have it.
email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()


def check_printable(text):
    """Return the text.

    Raises:
        PydanticCustomError: it has a control character, which PostgreSQL (NUL) or a
            terminal would trip over.
    """
    if CONTROL.search(text):
        raise PydanticCustomError("control", "Control characters are not allowed")
    return text


def check_email(text):
    """Return the address as it was typed.

    Raises:
        PydanticCustomError: it is not a valid address; the reason says why.
    """
    if PLAIN_EMAIL.fullmatch(text):
        return text
    try:
        email_validator.validate_email(text, check_deliverability=False)
    except email_validator.EmailNotValidError as error:
        raise PydanticCustomError("email", "{why}", {"why": str(error)}) from None
    return text


def check_digits(value):
    """Return a query parameter's number as it is.

    Raises:
        PydanticCustomError: it has anything but ASCII digits, such as `1.0` or `+1`.
    """
    if isinstance(value, str) and not (value.isascii() and value.isdigit()):
        raise PydanticCustomError("digits", "Input should be a whole number")
    return value


def check_boolean(value):
    """Return a query parameter's boolean.

    Raises:
        PydanticCustomError: it is neither `true` nor `false`.
    """
    if value not in ("true", "false"):
        raise PydanticCustomError("boolean", "Input should be true or false")
    return value


Username = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_LENGTH),
    AfterValidator(check_printable),
    WithJsonSchema({"type": "string", "pattern": USERNAME}),
    Field(
        description=f"1 to {MAX_LENGTH} characters after trimming, none of them a"
        " control character.",
        examples=["ada"],
    ),
]
Email = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_LENGTH),
    AfterValidator(check_email),
    Field(
        description="An address, unique in any letter case and kept as typed.",
        examples=["Ada@example.com"],
        json_schema_extra={"format": "idn-email"},
    ),
]
Active = Annotated[
    bool,
    Field(description="Whether the user is active.", examples=[True]),
]
Id = Annotated[int, Field(ge=0, le=MAX_ID), BeforeValidator(check_digits)]


def require_one(schema):
    """Say in a JSON Schema that one of its properties has to be there."""
    one = [{"required": [name]} for name in schema["properties"]]
    # Bare, generators of clients would take it for a choice between schemas.
    schema["allOf"] = [{"anyOf": one}]


class Payload(BaseModel):
    """A request's body: exact types; members that it does not name are ignored."""

    model_config = ConfigDict(strict=True)


class NewUser(Payload):
    """The body of `POST /users`."""

    username: Username
    email: Email
    active: Active = True


class UserReplacement(Payload):
    """The body of `PUT /users/<id>`; `active` keeps its value where it is left out."""

    username: Username
    email: Email
    active: Active = None


class UserChange(Payload):
    """The body of `PATCH /users/<id>`; what is left out keeps its value."""

    model_config = ConfigDict(json_schema_extra=require_one)

    username: Username = None
    email: Email = None
    active: Active = None


class Page(BaseModel):
    """The query of `GET /users`."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[
        int,
        Field(ge=1, le=1000, description="The most users that the page may hold."),
        BeforeValidator(check_digits),
    ] = 100
    after: Annotated[Id, Field(description="Only users with a larger id.")] = 0
    email: Annotated[
        Email, Field(description="Only the user with this address, in any letter case.")
    ] = None
    active: Annotated[
        bool,
        BeforeValidator(check_boolean),
        Field(description="Only active users, or only inactive ones."),
    ] = None


class User(BaseModel):
    """A user as the API shows it."""

    id: Annotated[int, Field(examples=[1])]
    username: Annotated[str, Field(examples=["ada"])]
    email: Annotated[str, Field(examples=["Ada@example.com"])]
    active: Annotated[bool, Field(examples=[True])]
    created_date: Annotated[
        datetime, Field(examples=["2026-11-22T21:12:05.311842+00:00"])
    ]


# What is shown is what is read: the columns' names.
FIELDS = tuple(User.model_fields)
_user_id = TypeAdapter(Id)


def reasons(error):
    """Return what is wrong with each field, as `{name: reason}`, or None.

    Args:
        error: a ValidationError; one about the whole input names no field.
    """
    return {e["loc"][0]: e["msg"] for e in error.errors() if e["loc"]} or None


def parse_body(schema, body):
    """Return a body's known members as a dict.

    Args:
        schema: the Payload class that the operation takes.
        body: the bytes that came in.

    Raises:
        InvalidPayload: they are not such a body, or hold no known member at all.
    """
    return parse(schema.model_validate_json, body)


def parse_fields(schema, fields):
    """Return the known ones of fields that come from elsewhere; see `parse_body`."""
    return parse(schema.model_validate, fields)


def parse(validate, given):
    """Return what a Payload class knows of what is given; see `parse_body`."""
    try:
        fields = dict(validate(given))
    except ValidationError as error:
        raise InvalidPayload(reasons(error)) from None
    if not any(value is not None for value in fields.values()):
        raise InvalidPayload()
    return fields


def parse_query(arguments):
    """Return the page that a query string asks for, as a Page.

    Args:
        arguments: a mapping of each parameter to the list of its values.

    Raises:
        InvalidQuery: a parameter is unknown, given twice or out of range.
    """
    twice = {name: "Given twice" for name, v in arguments.items() if len(v) > 1}
    if twice:
        raise InvalidQuery(twice)
    try:
        return Page.model_validate({name: v[0] for name, v in arguments.items()})
    except ValidationError as error:
        raise InvalidQuery(reasons(error)) from None


def parse_id(text):
    """Return the id that a path names, or None where no user can have it."""
    try:
        return _user_id.validate_python(text)
    except ValidationError:
        return None
