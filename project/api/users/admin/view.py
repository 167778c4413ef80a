"""The users' pages in the admin site: list, details, forms, deletion, export."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeAlias, cast
from urllib.parse import urlencode

import sqlalchemy as sa
from flask import Blueprint, flash, g, redirect, request
from flask.typing import ResponseReturnValue
from flask_admin import expose
from flask_admin.contrib.sqla import ModelView
from flask_admin.helpers import get_redirect_target
from flask_wtf import FlaskForm
from psycopg2.errors import QueryCanceled
from pydantic_core import PydanticCustomError
from sqlalchemy.orm import Query, Session
from werkzeug.exceptions import BadRequest, Forbidden

from project import db
from project.admin.formatting import Count, format_boolean, format_datetime
from project.admin.security import AdminSecurityMixin
from project.api.users import history, queries, schemas
from project.api.users.admin.actions import ACTIONS, Action
from project.api.users.admin.counts import count_rows
from project.api.users.admin.filters import FILTERS, matches_search
from project.api.users.admin.forms import (
    InlineEditForm,
    UserChangeForm,
    UserForm,
    label_of,
)
from project.api.users.admin.uploads import MAX_UPLOAD, ImportForm, import_file
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


# The index of a filter, its name and its value.
ParsedFilter: TypeAlias = tuple[int, str, str]


def without(arguments: Mapping[str, str], suffix: str) -> dict[str, str]:
    """Return the arguments whose names do not have the suffix."""
    return {n: value for n, value in arguments.items() if not n.endswith(suffix)}


def export_value(view: ModelView, context: Any, user: User, name: str) -> Any:
    """Return a value for the CSV export."""
    value = getattr(user, name)
    return escape_formulas(value) if isinstance(value, str) else value


def export_date(view: ModelView, context: Any, user: User, name: str) -> str:
    """Return the creation date for the CSV export, in the format of the API."""
    return user.created_date.isoformat()


def export_users(query: Query[User], who: str) -> Iterator[User]:
    """Execute a query, and return an iterator that logs the number of its users.

    An export is sent after the request's session has ended, so it has a session of its
    own, which ends with the iterator, or when the client disconnects.
    """
    session = Session(db.engine)
    users = iter(query.with_session(session).yield_per(EXPORT_BATCH))
    try:
        # Executes the query, so that an error still changes the status of the response.
        first = list(islice(users, 1))
    except BaseException:
        session.close()
        raise

    def iterate() -> Iterator[User]:
        exported = 0
        try:
            with closing(session):
                for exported, user in enumerate(chain(first, users), 1):
                    yield user
        finally:
            record_bulk("export_users", who, exported=exported)

    return iterate()


class UsersAdminView(AdminSecurityMixin, ModelView):
    """All users, newest first.

    The forms have the rules of the API, and writes use its statements.
    """

    list_template = "users_admin/list.html"
    form = UserForm
    can_export = True
    can_set_page_size = True
    # Flask-Admin would count all rows for each page; see `count_found`.
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
    column_filters = FILTERS
    column_type_formatters = {
        bool: lambda view, value, name: format_boolean(value),
        datetime: lambda view, value, name: format_datetime(value),
        type(None): lambda view, value, name: "",
    }
    column_formatters_export = {
        **{name: export_value for name in WRITABLE_FIELDS},
        "created_date": export_date,
    }
    # The writable fields can be edited in the list.
    editable_fields = WRITABLE_FIELDS
    actions = ACTIONS

    def create_blueprint(self, admin: Any) -> Blueprint:
        """Return the view's blueprint with the templates of this package."""
        blueprint = super().create_blueprint(admin)
        blueprint.template_folder = str(Path(__file__).with_name("templates"))
        # Called before the CSRF check, which reads the form.
        blueprint.url_value_preprocessor(self.accept_upload)
        return blueprint

    def accept_upload(self, endpoint: str | None, arguments: object) -> None:
        """Accept a large body if the request uploads a file."""
        if endpoint == f"{self.endpoint}.import_view":
            request.max_content_length = MAX_UPLOAD

    def _get_list_extra_args(self) -> Any:
        """Parse the list's query string, without its unknown parameters.

        Flask-Admin would pass them to its own functions as keyword arguments.
        """
        arguments = super()._get_list_extra_args()
        arguments.extra_args = {}
        return arguments

    def active_filters(self) -> dict[str, str]:
        """Return the search and the filters of the current URL."""
        return {
            name: value
            for name, value in request.args.items()
            if name == "search" or name.startswith("flt")
        }

    def describe(self, filters: Sequence[ParsedFilter]) -> list[tuple[str, str]]:
        """Return the search and each filter in words, and the URL without it."""
        active = self.active_filters()
        texts = {
            f"_{index}": self._filters[index].describe(value)
            for index, _, value in filters
        }
        if "search" in active:
            texts["search"] = f"Search: {active['search']}"
        return [
            (text, self.get_url(".index_view", **without(active, suffix)))
            for suffix, text in texts.items()
        ]

    def get_query(self) -> Query[User]:
        """Return the query of the list and the export, limited to the search."""
        query: Query[User] = super().get_query()
        search = self.requested_search()
        try:
            return query.filter(matches_search(search)) if search else query
        except PydanticCustomError:
            # `index_view` shows the reason.
            return query.filter(sa.false())

    def requested_search(self) -> str:
        """Return the search text in the URL."""
        return request.args.get("search", "").strip()

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

    def found_ids(self, filters: Sequence[ParsedFilter]) -> sa.Select[Any]:
        """Return the query of the ids that the search and the filters find."""
        _, query = super().get_list(
            0, None, None, None, filters, execute=False, page_size=0
        )
        ids: sa.Select[Any] = query.order_by(None).with_entities(User.id).statement
        return ids

    def count_found(self, filters: Sequence[ParsedFilter]) -> Count:
        """Return the number of users that the search and the filters find."""
        return count_rows(self.found_ids(filters))

    def get_one(self, id: str) -> User | None:
        """Return the user with the id, and with its version as an attribute."""
        try:
            data, version = queries.get(schemas.parse_id(id) or 0)
        except UserNotFound:
            return None
        user = User(**data)
        user.version = version
        return user

    def requested_user(self) -> User:
        """Return the user whose id is in the query string or in the form.

        Raises:
            UserNotFound: there is none.
        """
        user = self.get_one(request.values.get("id", ""))
        if user is None:
            raise UserNotFound()
        return user

    def return_url(self) -> str:
        """Return the URL of the list from which the operator came."""
        url: str = get_redirect_target() or self.get_url(".index_view")
        return url

    def require_editor(self) -> None:
        """Check that the operator may change users.

        Raises:
            Forbidden: the operator may only read.
        """
        if not self.can_write:
            raise Forbidden("Your account may only read: ask an editor to do this.")

    @expose("/")
    def index_view(self) -> ResponseReturnValue:
        """List users. Empty fields of the search form are removed from the URL."""
        if "" in request.args.values():
            arguments = {name: value for name, value in request.args.items() if value}
            return redirect(f"{request.path}?{urlencode(arguments)}")
        if search := self.requested_search():
            try:
                matches_search(search)
            except PydanticCustomError as error:
                flash(f"Search: {error.message()}.", "error")
        page: str = super().index_view()
        return page

    @expose("/details/")
    def details_view(self) -> ResponseReturnValue:
        """Show a user, and its history if that is recorded.

        Raises:
            UserNotFound: there is none, and no history of a removed one.
        """
        user_id = schemas.parse_id(request.args.get("id", "")) or 0
        user = self.get_one(str(user_id))
        entries = history.read(user_id) if history.is_enabled() else []
        if user is None and not entries:
            raise UserNotFound()
        page: str = self.render(
            "users_admin/details.html",
            user_id=user_id,
            user=user,
            history=entries,
            format_datetime=format_datetime,
            return_url=self.return_url(),
        )
        return page, 200 if user else UserNotFound.status

    @expose("/new/", methods=("GET", "POST"))
    def create_view(self) -> ResponseReturnValue:
        """Add a user."""
        self.require_editor()
        form = UserForm()
        if form.validate_on_submit():
            try:
                user = self.insert_user(form)
            except EmailTaken as error:
                form.email.errors = [error.message]
            else:
                flash(f"{user['email']} was added.", "success")
                return redirect(self.return_url())
        page: str = self.render(
            "users_admin/form.html", form=form, return_url=self.return_url()
        )
        return page

    @expose("/edit/", methods=("GET", "POST"))
    def edit_view(self) -> ResponseReturnValue:
        """Change a user, unless somebody else has changed it meanwhile.

        The page then shows both versions, and saving again replaces the other one.
        """
        self.require_editor()
        user, conflict = self.requested_user(), None
        form = UserChangeForm(obj=user)
        if form.validate_on_submit():
            try:
                self.update_user(user.id, form, [form.version.data])
            except EmailTaken as error:
                form.email.errors = [error.message]
            except StaleVersion:
                conflict = self.requested_user()
                form.version.data = conflict.version
            else:
                flash(f"{form.email.data} was saved.", "success")
                return redirect(self.return_url())
        page: str = self.render(
            "users_admin/form.html",
            form=form,
            user=user,
            conflict=conflict,
            return_url=self.return_url(),
        )
        return page

    @expose("/delete/", methods=("GET", "POST"))
    def delete_view(self) -> ResponseReturnValue:
        """Ask whether to delete a user, and delete it."""
        self.require_editor()
        user = self.requested_user()
        if request.method == "POST":
            who = g.operator.username
            queries.delete(user.id, None, who)
            record_user("removed", user.id, who)
            flash(f"{user.email} was deleted.", "success")
            return redirect(self.return_url())
        page: str = self.render(
            "users_admin/delete.html", user=user, return_url=self.return_url()
        )
        return page

    @expose("/ajax/update/", methods=("POST",))
    def ajax_update(self) -> ResponseReturnValue:
        """Change one field of a row in the list; respond with a text."""
        names = [name for name in WRITABLE_FIELDS if name in request.form]
        if len(names) != 1:
            return InvalidPayload.message, InvalidPayload.status
        form = InlineEditForm()
        for name in set(WRITABLE_FIELDS) - set(names):
            del form[name]
        if not form.validate_on_submit():
            return " ".join(form[names[0]].errors), InvalidPayload.status
        user_id = schemas.parse_id(form.list_form_pk.data or "") or 0
        try:
            self.update_user(user_id, form, None)
        except (EmailTaken, UserNotFound) as error:
            return error.message, error.status
        return "Saved."

    @expose("/import/", methods=("GET", "POST"))
    def import_view(self) -> ResponseReturnValue:
        """Import the users in a file."""
        self.require_editor()
        form, result = ImportForm(), None
        if form.validate_on_submit():
            if not form.file.data:
                form.file.errors = ["Choose a file."]
            else:
                who = g.operator.username
                result = import_file(form.file.data, form.existing.data, who)
                if result.counts:
                    record_bulk("import_users", g.operator.username, **result.counts)
                    counts = (f"{n:,} {name}" for name, n in result.counts.items())
                    flash(f"Users: {', '.join(counts)}.", "success")
                    return redirect(self.return_url())
        page: str = self.render(
            "users_admin/import.html",
            form=form,
            result=result,
            return_url=self.return_url(),
        )
        return page

    def submitted_fields(self, form: FlaskForm) -> dict[str, Any]:
        """Return the fields of a user in a valid form."""
        return {name: form[name].data for name in WRITABLE_FIELDS if name in form}

    def insert_user(self, form: FlaskForm) -> queries.UserData:
        """Add the user in a valid form; see `queries.insert`."""
        who = g.operator.username
        user = queries.insert(self.submitted_fields(form), who).data
        record_user("added", user["id"], who)
        return user

    def update_user(
        self, user_id: int, form: FlaskForm, versions: list[str] | None
    ) -> None:
        """Change the fields in a valid form; see `queries.update`."""
        who = g.operator.username
        queries.update(user_id, self.submitted_fields(form), versions, who)
        record_user("updated", user_id, who)

    @expose("/action/", methods=("POST",))
    def action_view(self) -> ResponseReturnValue:
        """Change or delete the selected users, or all that the list's filters find.

        The operator must confirm what cannot be undone or concerns all users found.
        """
        action = ACTIONS.get(request.form.get("action", ""))
        if action is None:
            raise InvalidPayload()
        selected = self.selected_users()
        is_all = "all" in request.form
        if "confirmed" not in request.form and (action.is_final or is_all):
            page: str = self.render(
                "users_admin/confirm.html",
                action=action,
                count=count_rows(sa.select(User.id).where(selected)),
                filters=self.describe(self._get_list_filter_args()) if is_all else (),
                return_url=self.return_url(),
            )
            return page
        self.run_action(action, selected, is_all)
        return redirect(self.return_url())

    def selected_users(self) -> sa.ColumnElement[bool]:
        """Return the condition that the form of the list selects a user."""
        if "all" in request.form:
            found = self.found_ids(self._get_list_filter_args() or ())
            return User.id == sa.any_(sa.func.array(found.scalar_subquery()))
        ids = map(schemas.parse_id, request.form.getlist("rowid"))
        return User.id.in_([user_id for user_id in ids if user_id is not None])

    def run_action(
        self, action: Action, selected: sa.ColumnElement[bool], is_all: bool
    ) -> None:
        """Execute an action by one statement.

        Args:
            is_all: whether to log only the number of users, because there may be many.

        Raises:
            BadRequest: the statement exceeds DATABASE_STATEMENT_TIMEOUT.
        """
        statement, who = action.statement.where(selected), g.operator.username
        try:
            history.record_transaction_as(who, db.session.connection())
            if is_all:
                number = cast(
                    sa.CursorResult[Any], db.session.execute(statement)
                ).rowcount
            else:
                ids = db.session.scalars(statement.returning(User.id)).all()
                number = len(ids)
            db.session.commit()
        except sa.exc.OperationalError as error:
            if isinstance(error.orig, QueryCanceled):
                raise BadRequest(
                    "This takes too long: select fewer users by the search or filters."
                ) from None
            raise
        if is_all:
            record_bulk(f"{action.label.lower()}_users", who, **{action.done: number})
        else:
            for user_id in ids:
                record_user(action.audit_action, user_id, who)
        message = f"{number:,} user{'s' * (number != 1)} {action.done}."
        flash(message, "success" if number else "error")
