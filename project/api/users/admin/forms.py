"""The admin site's forms, derived from `schemas.NewUser`."""

from collections.abc import Callable
from typing import Annotated, Any

from flask_wtf import FlaskForm
from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from wtforms import BooleanField, Field, Form, HiddenField, StringField
from wtforms.validators import Regexp, StopValidation

from project.api.users.errors import StaleVersion
from project.api.users.schemas import (
    DEFAULTS,
    WRITABLE_FIELDS,
    NewUser,
    is_boolean,
    is_nullable,
)

# Messages that replace pydantic's, by the type of the error.
MESSAGES = {
    "string_too_short": "Fill in this field",
    "string_too_long": "Use at most {max_length} characters",
    "bool_parsing": "Enter yes or no",
}
# Labels that differ from the name of the field.
LABELS = {"id": "ID", "email": "E-mail", "created_date": "Created"}


def label_of(name: str) -> str:
    """Return the label of a field for forms and tables."""
    return LABELS.get(name, name.replace("_", " ").capitalize())


def describe_error(error: ErrorDetails) -> str:
    """Return the reason for an invalid field, without the terms of programmers."""
    message = error["msg"]
    if plain := MESSAGES.get(error["type"]):
        message = plain.format(**error.get("ctx", {}))
    return message if message.endswith(".") else f"{message}."


def pydantic_validator(field: FieldInfo) -> Callable[[Form, Field], None]:
    """Return a WTForms validator with the rules of a field of a schema.

    It replaces the text in the form by the parsed value. An empty text is None if the
    field is nullable.
    """
    annotation: Any = Annotated[field.annotation, field]
    adapter: TypeAdapter[Any] = TypeAdapter(annotation)
    nullable = is_nullable(field)

    def validate(form: Form, form_field: Field) -> None:
        text = form_field.data or ""
        if nullable and not text.strip():
            form_field.data = None
            return
        try:
            form_field.data = adapter.validate_strings(text, strict=True)
        except ValidationError as error:
            raise StopValidation(describe_error(error.errors()[0])) from None

    return validate


def build_field(name: str, **options: Any) -> Field:
    """Return the form field for a field of NewUser."""
    field = NewUser.model_fields[name]
    # A check box cannot represent null.
    if is_boolean(field) and not is_nullable(field):
        return BooleanField(label_of(name), **options)
    return StringField(label_of(name), [pydantic_validator(field)], **options)


def build_form(name: str, doc: str, fields: dict[str, Field]) -> type[FlaskForm]:
    """Return a form class."""
    form: type[FlaskForm] = type(name, (FlaskForm,), {"__doc__": doc, **fields})
    return form


UserForm = build_form(
    "UserForm",
    "Creates a user.",
    {name: build_field(name, default=DEFAULTS.get(name)) for name in WRITABLE_FIELDS},
)
UserChangeForm = build_form(
    "UserChangeForm",
    "Changes a user, if its version is still that of the opened form.",
    {
        "version": HiddenField(
            validators=[Regexp(r"[0-9]+\Z", message=StaleVersion.message)]
        ),
        **{name: build_field(name) for name in WRITABLE_FIELDS},
    },
)
InlineEditForm = build_form(
    "InlineEditForm",
    "A row of the list. A request contains one of its fields.",
    {
        "list_form_pk": HiddenField(),
        **{name: build_field(name) for name in WRITABLE_FIELDS},
    },
)
