"""The admin's forms: the API's input rules, with the reason beside the field."""

from functools import partial

from flask_admin.model.widgets import XEditableWidget
from flask_wtf import FlaskForm
from pydantic import TypeAdapter, ValidationError
from wtforms import BooleanField, HiddenField, StringField
from wtforms.validators import Regexp, StopValidation

from project.api.users import schemas
from project.errors import StaleVersion


def follow(rule):
    """Return a validator of a form's field.

    Args:
        rule: the type of the API's schemas that the text has to be.
    """
    adapter = TypeAdapter(rule)

    def validate(form, field):
        try:
            field.data = adapter.validate_python(field.data or "")
        except ValidationError as error:
            raise StopValidation(error.errors()[0]["msg"]) from None

    return validate


class Switch(XEditableWidget):
    """A cell with yes or no to choose from."""

    def get_kwargs(self, field, kwargs):
        """Return the link's attributes; a browser's own list is wide enough to read."""
        return super().get_kwargs(field, kwargs) | {"data-type": "select"}


username = partial(StringField, "Username", [follow(schemas.Username)])
email = partial(StringField, "E-mail", [follow(schemas.Email)])
active = partial(BooleanField, "Active")


class UserForm(FlaskForm):
    """A new user."""

    username = username()
    email = email()
    active = active(default=True)


class UserChangeForm(FlaskForm):
    """A user as it was when the form was opened."""

    version = HiddenField(
        validators=[Regexp(r"[0-9]+\Z", message=StaleVersion.message)]
    )
    username = username()
    email = email()
    active = active()


class UserCells(FlaskForm):
    """A row of the list; one field of it comes back."""

    list_form_pk = HiddenField()
    username = username(widget=XEditableWidget())
    email = email(widget=XEditableWidget())
    active = active(widget=Switch())
