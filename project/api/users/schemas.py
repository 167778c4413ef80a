"""The schemas of requests and responses.

`NewUser` is the one definition of the fields that clients can write. The other
schemas, the SQL statements, imports and exports, the admin site and the OpenAPI
document are derived from it.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from types import NoneType
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import email_validator
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
    create_model,
)
from pydantic.fields import FieldInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import PydanticCustomError, core_schema, from_json

from project.api.users.characters import INVISIBLE_BMP, find_invisible
from project.api.users.mailbox import fold_domain
from project.api.users.search import parse_words
from project.web.errors import InvalidPayload, InvalidQuery

# The length of the text columns, in characters.
MAX_LENGTH = 128
# The largest value of the column `id`.
MAX_ID = 2**63 - 1

# The maximum number of ids in a query.
MAX_IDS = 100

# A list of ids. Only some numbers of 19 digits are ids, so the pattern excludes them.
ID_LIST = rf"^[0-9]{{1,18}}(,[0-9]{{1,18}}){{0,{MAX_IDS - 1}}}$"
# The maximum number of unknown members that an error names.
MAX_UNKNOWN_MEMBERS = 10

# A date and time with a time zone, as RFC 3339 defines it.
TIMESTAMP = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# Most addresses match this expression, which accepts only valid ones. The complete
# check takes 20 times as long, longer than the INSERT in PostgreSQL.
PLAIN_EMAIL = re.compile(
    r"[A-Za-z0-9]+(?:[._+-][A-Za-z0-9]+)*@(?:[A-Za-z0-9]{1,63}\.)+[A-Za-z]{2,63}"
)
# White space, the characters that are not allowed in a text, and the others.
SPACE = r"\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
NOT_ALLOWED = rf"\x00-\x1f\x7f-\x9f{INVISIBLE_BMP}"
NOT_SPACE = rf"[^{NOT_ALLOWED}{SPACE}]"

# Accept reserved domains such as `.test`: the syntax of these addresses is valid.
email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()


def check_printable(text: str) -> str:
    """Return the text unchanged.

    Raises:
        PydanticCustomError: it contains a control character. PostgreSQL rejects NUL,
            and a terminal interprets the others.
    """
    if CONTROL_CHARACTERS.search(text):
        raise PydanticCustomError("control", "Control characters are not allowed")
    return text


def check_visible(text: str) -> str:
    """Return the text unchanged.

    Raises:
        PydanticCustomError: it contains a control character, or an invisible or
            direction-changing one. Two texts would look the same.
    """
    invisible = find_invisible(check_printable(text))
    if invisible:
        raise PydanticCustomError(
            "invisible",
            "Invisible or direction-changing characters are not allowed ({character})",
            {"character": f"U+{ord(invisible):04X}"},
        )
    return text


def check_email(text: str) -> str:
    """Return the address unchanged.

    Raises:
        PydanticCustomError: it is not a valid address; the message says why.
    """
    if PLAIN_EMAIL.fullmatch(text):
        return text
    check_visible(text)
    try:
        valid = email_validator.validate_email(text, check_deliverability=False)
    except email_validator.EmailNotValidError as error:
        raise PydanticCustomError("email", "{why}", {"why": str(error)}) from None
    # The database would take the two spellings of the domain for different ones.
    if fold_domain(text.rpartition("@")[2]) != fold_domain(valid.domain):
        raise PydanticCustomError(
            "domain",
            "The domain name system replaces letters of this domain: write {domain}",
            {"domain": valid.domain},
        )
    return text


def check_digits(value: object) -> object:
    """Return the text of a query parameter unchanged.

    Raises:
        PydanticCustomError: it is not a sequence of ASCII digits. pydantic would also
            accept `1.0` and `+1`.
    """
    if isinstance(value, str) and not (value.isascii() and value.isdigit()):
        raise PydanticCustomError("digits", "Input should be a whole number")
    return value


def check_boolean(value: object) -> object:
    """Return the text of a query parameter unchanged.

    Raises:
        PydanticCustomError: it is not `true` or `false`. pydantic would also accept
            `yes` and `1`.
    """
    if value not in ("true", "false"):
        raise PydanticCustomError("boolean", "Input should be true or false")
    return value


def check_timestamp(value: object) -> object:
    """Return the text of a query parameter unchanged.

    Raises:
        PydanticCustomError: it does not have the format of RFC 3339. pydantic would
            also accept a number of seconds and a date.
    """
    if not (isinstance(value, str) and TIMESTAMP.fullmatch(value)):
        raise PydanticCustomError(
            "timestamp",
            "Input should be a date and time with a time zone, such as"
            " 2026-11-22T21:12:05Z or 2026-11-22T22:12:05%2B01:00",
        )
    return value


def to_utc(value: datetime) -> datetime:
    """Return a time in UTC: PostgreSQL refuses some offsets that RFC 3339 allows.

    Raises:
        PydanticCustomError: it is not in the years 1 to 9999 in UTC.
    """
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError(
            "year", "Input should be in the years 1 to 9999 in UTC"
        ) from None


def check_search(value: str) -> str:
    """Return the text of a search unchanged; see `parse_words` for the errors."""
    parse_words(check_printable(value))
    return value


def split_list(value: object) -> object:
    """Return the items of a list in a query parameter, which commas separate."""
    return value.split(",") if isinstance(value, str) else value


@dataclass(frozen=True)
class TrimmedText:
    """A text of 1 to `max_length` visible characters after trimming.

    Used as metadata: `Annotated[str, TrimmedText(32), Field(...)]`.
    """

    max_length: int

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Return the validator."""
        return core_schema.no_info_after_validator_function(
            check_visible,
            core_schema.str_schema(
                strip_whitespace=True, min_length=1, max_length=self.max_length
            ),
        )

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Return the JSON Schema.

        JSON Schema cannot trim, so the pattern allows white space around the text. It
        accepts no joiners (U+200C, U+200D), whose context it cannot check, and all
        characters beyond U+FFFF.
        """
        text = NOT_SPACE
        if self.max_length > 1:
            middle = rf"[^{NOT_ALLOWED}]{{0,{self.max_length - 2}}}"
            text += f"({middle}{NOT_SPACE})?"
        return {"type": "string", "pattern": f"^[{SPACE}]*{text}[{SPACE}]*$"}


Username = Annotated[
    str,
    TrimmedText(MAX_LENGTH),
    Field(
        description=f"1 to {MAX_LENGTH} characters after trimming. Control characters,"
        " and invisible or direction-changing characters, are not allowed. The service"
        " also accepts the joiners U+200C and U+200D where a script needs them.",
        examples=["ada"],
    ),
]
Email = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_LENGTH),
    AfterValidator(check_email),
    Field(
        description="An address, kept as typed. It is unique: spellings that differ in"
        " letter case, in Unicode compatibility forms, or in the form of an"
        " international domain (bücher.example, xn--bcher-kva.example) are one"
        " address.",
        examples=["Ada@example.com"],
        json_schema_extra={"format": "idn-email"},
    ),
]
Active = Annotated[
    bool,
    Field(description="Whether the user is active.", examples=[True]),
]
Id = Annotated[int, Field(ge=0, le=MAX_ID), BeforeValidator(check_digits)]
# A point in time in a query string.
Timestamp = Annotated[
    AwareDatetime, BeforeValidator(check_timestamp), AfterValidator(to_utc)
]


class Payload(BaseModel):
    """A request body. Types are strict; unknown members are ignored."""

    model_config = ConfigDict(strict=True)


class NewUser(Payload):
    """The body of `POST /users`."""

    username: Username
    email: Email
    active: Active = True


class PartialPayload(Payload):
    """A request body of which at least one member is required."""

    # JSON Schema can say that a known member is required, by `anyOf`. But generators of
    # clients read that as a choice between types.
    model_config = ConfigDict(json_schema_extra={"minProperties": 1})


# The names of the columns that clients can write.
WRITABLE_FIELDS = tuple(NewUser.model_fields)
REQUIRED_FIELDS = [
    name for name, field in NewUser.model_fields.items() if field.is_required()
]
OPTIONAL_FIELDS = [name for name in WRITABLE_FIELDS if name not in REQUIRED_FIELDS]
# The value of each optional field that a new user omits.
DEFAULTS = {name: NewUser.model_fields[name].default for name in OPTIONAL_FIELDS}


def derive_payload(
    name: str, base: type[Payload], *, required: Collection[str], doc: str
) -> type[Payload]:
    """Create a schema with the fields of NewUser.

    A field that is not in `required` may be omitted. `model_fields_set` tells an
    omitted field from one that is null; the default None is never used.
    """
    fields: dict[str, Any] = {
        field_name: (
            Annotated[field.annotation, field],
            ... if field_name in required else None,
        )
        for field_name, field in NewUser.model_fields.items()
    }
    return create_model(name, __base__=base, __doc__=doc, **fields)


UserReplacement = derive_payload(
    "UserReplacement",
    Payload,
    required=REQUIRED_FIELDS,
    doc="The body of `PUT /users/<id>`. An optional field that is omitted keeps its"
    " value.",
)
UserChange = derive_payload(
    "UserChange",
    PartialPayload,
    required=[],
    doc="The body of `PATCH /users/<id>`. A field that is omitted keeps its value; at"
    " least one is required.",
)

# The definitions of the fields for create_model.
OUTPUT_FIELDS: dict[str, Any] = {
    "id": (int, Field(examples=[1])),
    **{
        name: (field.annotation, Field(examples=field.examples))
        for name, field in NewUser.model_fields.items()
    },
    "created_date": (datetime, Field(examples=["2026-11-22T21:12:05.311842+00:00"])),
}
UserOut = create_model(
    "UserOut",
    __config__=ConfigDict(title="User"),
    __doc__="A user as the API shows it.",
    **OUTPUT_FIELDS,
)
# The names of the columns that clients see.
FIELDS = tuple(UserOut.model_fields)


class PageQuery(BaseModel):
    """The query string of `GET /users`."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[
        int,
        Field(ge=1, le=1000, description="The maximum number of users in the page."),
        BeforeValidator(check_digits),
    ] = 100
    after: Annotated[
        Id | None,
        Field(
            description="Only users with a larger id; with `order=desc`, with a smaller"
            " one. The `after` of a page leads to the next one."
        ),
    ] = None
    order: Annotated[
        Literal["asc", "desc"],
        Field(description="The order of the ids; `desc` begins with the newest user."),
    ] = "asc"
    id: Annotated[
        Annotated[list[Id], Field(min_length=1, max_length=MAX_IDS)] | None,
        BeforeValidator(split_list),
        # Generated clients differ in how they send a list, but not a text.
        WithJsonSchema({"type": "string", "pattern": ID_LIST}),
        Field(
            description=f"Only the users with these ids: up to {MAX_IDS}, separated by"
            " commas.",
        ),
    ] = None
    email: Annotated[
        Email | None,
        Field(description="Only the user with this address, in any spelling."),
    ] = None
    username: Annotated[
        Username | None,
        Field(description="Only users with this username, in any letter case."),
    ] = None
    search: Annotated[
        Annotated[
            str,
            StringConstraints(min_length=1, max_length=MAX_LENGTH),
            AfterValidator(check_search),
        ]
        | None,
        Field(
            description="Only users whose username or address contains each word, in"
            " any letter case. A word with fewer than three letters and digits must be"
            " at the beginning.",
        ),
    ] = None
    active: Annotated[
        bool | None,
        BeforeValidator(check_boolean),
        Field(description="Only active users, or only inactive ones."),
    ] = None
    created_after: Annotated[
        Timestamp | None, Field(description="Only users that were created later.")
    ] = None
    created_before: Annotated[
        Timestamp | None, Field(description="Only users that were created earlier.")
    ] = None
    count: Annotated[
        Literal["exact", "estimated"] | None,
        Field(
            description="Adds the number of users on all pages to the response. The"
            " cost of `exact` grows with it; `estimated` asks PostgreSQL's planner."
        ),
    ] = None


AnyPayload = TypeVar("AnyPayload", bound=Payload)


def is_nullable(field: FieldInfo) -> bool:
    """Return whether null is a valid value of a field."""
    return NoneType in get_args(field.annotation)


def is_boolean(field: FieldInfo) -> bool:
    """Return whether a field is a boolean, which may be nullable."""
    types = get_args(field.annotation) if is_nullable(field) else (field.annotation,)
    return any(
        type_ is bool or (get_origin(type_) is Annotated and get_args(type_)[0] is bool)
        for type_ in types
    )


def example_of(field: FieldInfo) -> Any:
    """Return the first of a field's examples.

    Raises:
        LookupError: the field has none.
    """
    infos = [field]
    for annotation in get_args(field.annotation):
        # The metadata of `Annotated[..., Field(...)] | None`.
        infos += [m for m in get_args(annotation)[1:] if isinstance(m, FieldInfo)]
    for info in infos:
        if info.examples:
            return info.examples[0]
    raise LookupError(
        "a field of NewUser has no example: add examples=[...] to its Field(...)"
    )


def example(model: type[BaseModel], names: Collection[str] = ()) -> dict[str, Any]:
    """Return an example of a model.

    Args:
        names: the fields to include; by default the required ones.
    """
    return {
        name: example_of(field)
        for name, field in model.model_fields.items()
        if (name in names if names else field.is_required())
    }


def field_errors(error: ValidationError) -> dict[str, str] | None:
    """Return the reason for each invalid field, or None if no field is to blame."""
    errors = {str(e["loc"][0]): e["msg"] for e in error.errors() if e["loc"]}
    return errors or None


def parse_payload(
    validate: Callable[[Any], AnyPayload], data: bytes | Mapping[str, str]
) -> AnyPayload:
    """Validate data with one of the validation methods of a Payload class.

    Raises:
        InvalidPayload: the data is invalid.
    """
    try:
        return validate(data)
    except ValidationError as error:
        raise InvalidPayload(field_errors(error)) from None


def parse_body(schema: type[AnyPayload], body: bytes) -> AnyPayload:
    """Validate a JSON object.

    Raises:
        InvalidPayload: it is invalid, or has no known member.
    """
    payload = parse_payload(schema.model_validate_json, body)
    if not payload.model_fields_set:
        raise InvalidPayload(unknown_members(schema, from_json(body)))
    return payload


def unknown_members(
    schema: type[BaseModel], members: Collection[str]
) -> dict[str, str] | None:
    """Return the reason for each member of an object that has no known one.

    Returns:
        At most MAX_UNKNOWN_MEMBERS reasons, or None if the object is empty.
    """
    reason = f"Unknown field: send at least one of {', '.join(schema.model_fields)}"
    return dict.fromkeys(islice(members, MAX_UNKNOWN_MEMBERS), reason) or None


def parse_query(arguments: Mapping[str, list[str]]) -> PageQuery:
    """Validate the query string of `GET /users`.

    Args:
        arguments: the values of each parameter.

    Raises:
        InvalidQuery: a parameter is unknown, repeated or out of range.
    """
    repeated = {name: "Given twice" for name, v in arguments.items() if len(v) > 1}
    if repeated:
        raise InvalidQuery(repeated)
    try:
        return PageQuery.model_validate({name: v[0] for name, v in arguments.items()})
    except ValidationError as error:
        raise InvalidQuery(field_errors(error)) from None


def parse_id(text: object) -> int | None:
    """Return the id of a user, or None if it is not one, whatever its type."""
    if not (isinstance(text, str) and text.isascii() and text.isdigit()):
        return None
    try:
        user_id = int(text)
    except ValueError:  # it has thousands of digits
        return None
    return user_id if user_id <= MAX_ID else None
