"""The users' pages in the admin site: list, forms, actions, export."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import sqlalchemy as sa
from flask import flash, g, request
from flask.typing import ResponseReturnValue
from flask_admin import expose
from flask_admin.actions import action
from flask_admin.contrib.sqla import ModelView
from flask_admin.contrib.sqla.filters import BooleanEqualFilter
from flask_wtf import FlaskForm
from pydantic_core import PydanticCustomError
from sqlalchemy.orm import Query

from project import db
from project.admin.security import AdminSecurityMixin
from project.api.users import queries, schemas
from project.api.users.admin.filters import (
    AfterFilter,
    BeforeFilter,
    ContainsFilter,
    SameEmailFilter,
    matches_search,
)
from project.api.users.admin.forms import (
    InlineEditForm,
    UserChangeForm,
    UserForm,
    label_of,
)
from project.api.users.errors import EmailTaken, StaleVersion, UserNotFound
from project.api.users.formulas import escape_formulas
from project.api.users.models import User
from project.api.users.schemas import FIELDS, WRITABLE_FIELDS
from project.audit_log import record_bulk, record_user
from project.web.errors import InvalidPayload

# A larger page number would make OFFSET exceed PostgreSQL's bigint.
MAX_PAGE = 10**9
# Users that an export reads at a time; other greenlets run in between.
EXPORT_BATCH = 200


def format_date(view: ModelView, context: Any, user: User, name: str) -> str:
    """Return the creation date for the list."""
    return f"{user.created_date:%d %b %Y, %H:%M} UTC"


def export_value(view: ModelView, context: Any, user: User, name: str) -> Any:
    """Return a value for the CSV export."""
    value = getattr(user, name)
    return escape_formulas(value) if isinstance(value, str) else value


def export_date(view: ModelView, context: Any, user: User, name: str) -> str:
    """Return the creation date for the CSV export, in the format of the API."""
    return user.created_date.isoformat()


def export_users(query: Query[User], who: str) -> Iterator[User]:
    """Yield the results of a query, read them in batches, and log their number.

    An export is sent after the request's session has ended, so this opens another
    session and closes it at the end, or when the client disconnects.
    """
    exported = 0
    try:
        with closing(query.session):
            for exported, user in enumerate(query.yield_per(EXPORT_BATCH), 1):
                yield user
    finally:
        record_bulk("export_users", who, exported=exported)


class UsersAdminView(AdminSecurityMixin, ModelView):
    """All users, newest first.

    The forms have the rules of the API, and writes use its statements.
    """

    list_template = "admin_site/list.html"
    create_template = edit_template = "admin_site/form.html"
    form = UserForm
    form_base_class = FlaskForm
    can_export = True
    can_set_page_size = True
    # Without a count of all rows, which would read the whole table for each page.
    simple_list_pager = True
    column_list = FIELDS
    column_labels = {name: label_of(name) for name in FIELDS}
    column_default_sort = ("id", True)
    column_sortable_list = (
        "id",
        *((name, (name, "id")) for name in WRITABLE_FIELDS),
        # Users are created in the order of their ids, which have an index.
        ("created_date", ("id",)),
    )
    column_searchable_list = ("username", "email")
    column_editable_list = WRITABLE_FIELDS
    column_filters = (
        BooleanEqualFilter(User.active, "Active"),
        ContainsFilter(User.username, "Username"),
        ContainsFilter(User.email, "E-mail"),
        SameEmailFilter(User.email, "E-mail"),
        AfterFilter(User.created_date, "Created"),
        BeforeFilter(User.created_date, "Created"),
    )
    column_formatters = {"created_date": format_date}
    column_formatters_export = {
        **{name: export_value for name in WRITABLE_FIELDS},
        "created_date": export_date,
    }

    def get_edit_form(self) -> type[FlaskForm]:
        """Return the form for an existing user."""
        return UserChangeForm

    def scaffold_list_form(
        self, widget: Any = None, validators: Any = None
    ) -> type[FlaskForm]:
        """Return the form for edits inside the list."""
        return InlineEditForm

    def search_placeholder(self) -> str:
        """Return the text in the empty search box."""
        return "Username or e-mail"

    def get_empty_list_message(self) -> str:
        """Return the text in place of an empty list."""
        return "No users here."

    def _get_list_extra_args(self) -> Any:
        """Parse the list's query string, without its unknown parameters.

        Flask-Admin would pass them to its own functions as keyword arguments.
        """
        arguments = super()._get_list_extra_args()
        arguments.extra_args = {}
        return arguments

    def is_action_allowed(self, name: str) -> bool:
        """Return whether the operator may run an action on the selected users."""
        return self.can_write

    def active_filters(self) -> dict[str, str]:
        """Return the search and the filters of the current URL."""
        return {
            name: value
            for name, value in request.args.items()
            if name == "search" or name.startswith("flt")
        }

    def get_query(self) -> Query[User]:
        """Return the query of the list and the export, limited to the search."""
        query: Query[User] = super().get_query()
        search = request.args.get("search", "").strip()
        if not search:
            return query
        try:
            return query.filter(matches_search(search))
        except PydanticCustomError as error:
            flash(f"Search: {error.message()}.", "error")
            return query.filter(sa.false())

    def get_list(
        self,
        page: int | None,
        sort: Any,
        desc: bool | None,
        search: str | None,
        filters: Any,
        execute: bool = True,
        page_size: int | None = None,
    ) -> tuple[None, Any]:
        """Return the users of a page, or of all pages for an export.

        The first item would be the number of all users; see `simple_list_pager`.
        """
        _, users = super().get_list(
            min(max(page or 0, 0), MAX_PAGE),
            sort,
            desc,
            # `get_query` applies it.
            None,
            filters,
            execute=bool(page_size),
            page_size=page_size,
        )
        if not page_size:
            users = export_users(users, g.operator.username)
        return None, users

    def get_one(self, id: str) -> User | None:
        """Return the user with the id, and with its version as an attribute."""
        try:
            data, version = queries.get(schemas.parse_id(id) or 0)
        except UserNotFound:
            return None
        user = User(**data)
        user.version = version
        return user

    def create_model(self, form: FlaskForm) -> User | bool:
        """Add a user; return False if the form shows an error."""
        try:
            user = queries.insert({name: form[name].data for name in WRITABLE_FIELDS})
        except EmailTaken as error:
            form.email.errors = [error.message]
            return False
        record_user("added", user.data["id"], g.operator.username)
        return User(**user.data)

    def update_model(self, form: FlaskForm, model: User) -> bool:
        """Change the fields in the form; return False if the page shows an error."""
        fields = {name: form[name].data for name in WRITABLE_FIELDS if name in form}
        versions = [form.version.data] if "version" in form else None
        try:
            queries.update(model.id, fields, versions)
        except EmailTaken as error:
            form.email.errors = [error.message]
        except (StaleVersion, UserNotFound) as error:
            flash(error.message, "error")
        else:
            record_user("updated", model.id, g.operator.username)
            return True
        return False

    def delete_model(self, model: User) -> bool:
        """Remove a user; return False if the page shows an error."""
        try:
            queries.delete(model.id, None)
        except UserNotFound as error:
            flash(error.message, "error")
            return False
        record_user("removed", model.id, g.operator.username)
        return True

    @expose("/ajax/update/", methods=("POST",))
    def ajax_update(self) -> ResponseReturnValue:
        """Change one field of a row in the list.

        The inline editor displays the response of an error as text.
        """
        if not set(WRITABLE_FIELDS) & set(request.form):
            return InvalidPayload.message, InvalidPayload.status
        form = self.list_form()
        for name in set(WRITABLE_FIELDS) - set(request.form):
            del form[name]
        user = self.get_one(form.list_form_pk.data)
        if user is None:
            return UserNotFound.message, UserNotFound.status
        if form.validate() and self.update_model(form, user):
            return "Saved."
        # A valid form was rejected because the user has just been removed.
        return " ".join(sum(form.errors.values(), [])) or UserNotFound.message, 400

    def write_selected(
        self, audit_action: str, statement: sa.Update | sa.Delete, ids: list[str]
    ) -> None:
        """Execute a write on the selected users in one transaction.

        Args:
            audit_action: see `record_user`.
            statement: an UPDATE or DELETE of all users.
        """
        keys = [key for key in map(schemas.parse_id, ids) if key is not None]
        selected = statement.where(User.id.in_(keys)).returning(User.id)
        written = db.session.scalars(selected).all()
        db.session.commit()
        for user_id in written:
            record_user(audit_action, user_id, g.operator.username)
        flash(f"{len(written)} user(s) {audit_action}.", "success")

    @action("activate", "Activate")
    def action_activate(self, ids: list[str]) -> None:
        """Activate the selected users."""
        self.write_selected("updated", sa.update(User).values(active=True), ids)

    @action("deactivate", "Deactivate")
    def action_deactivate(self, ids: list[str]) -> None:
        """Deactivate the selected users."""
        self.write_selected("updated", sa.update(User).values(active=False), ids)

    @action("delete", "Delete", "Delete the selected users? This cannot be undone.")
    def action_delete(self, ids: list[str]) -> None:
        """Delete the selected users."""
        self.write_selected("removed", sa.delete(User), ids)
