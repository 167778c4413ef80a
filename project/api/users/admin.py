"""The users' pages in the admin: list, search, edit, export."""

from contextlib import closing

import sqlalchemy as sa
from flask import flash, request
from flask_admin import expose
from flask_admin.actions import action
from flask_admin.contrib.sqla import ModelView
from flask_admin.contrib.sqla.filters import BooleanEqualFilter
from flask_wtf import FlaskForm

from project import db
from project.admin.guard import Guarded, operator_name
from project.api.users import queries, schemas
from project.api.users.forms import UserCells, UserChangeForm, UserForm
from project.api.users.models import User
from project.api.users.search import After, Before, Contains, SameEmail, prepare
from project.errors import EmailTaken, StaleVersion, UserNotFound
from project.observability import audit

FIELDS = ("username", "email", "active")
# Beyond it the offset would not fit PostgreSQL's type.
LAST_PAGE = 10**9
# Users that an export reads at once; other requests get their turn in between.
BATCH = 200


def format_date(view, context, user, name):
    """Return the moment for people."""
    return f"{user.created_date:%d %b %Y, %H:%M} UTC"


def export_text(view, context, user, name):
    """Return the text; one that a spreadsheet would run as a formula, quoted."""
    text = getattr(user, name)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def export_date(view, context, user, name):
    """Return the moment as the API writes it."""
    return user.created_date.isoformat()


def each(query):
    """Yield what a query gives, a batch at a time.

    The answer is sent after the request, whose session is over by then: what the
    query opens is closed here, where a client breaks off, too.
    """
    with closing(query.session):
        yield from query.yield_per(BATCH)


class UsersAdminView(Guarded, ModelView):
    """Every user, newest first; refuses what the API refuses.

    Its writes are the API's statements, one transaction each.
    """

    list_template = "users_admin/list.html"
    create_template = edit_template = "users_admin/form.html"
    form = UserForm
    form_base_class = FlaskForm
    can_export = True
    can_set_page_size = True
    # A full count on every page would read the whole table.
    simple_list_pager = True
    column_list = ("id", *FIELDS, "created_date")
    column_labels = {
        "id": "ID",
        "username": "Username",
        "email": "E-mail",
        "active": "Active",
        "created_date": "Created",
    }
    column_default_sort = ("id", True)
    column_sortable_list = (
        "id",
        ("username", ("username", "id")),
        ("email", ("email", "id")),
        ("active", ("active", "id")),
        # Ids are given in this order, and have an index.
        ("created_date", ("id",)),
    )
    column_searchable_list = ("username", "email")
    column_editable_list = FIELDS
    column_filters = (
        BooleanEqualFilter(User.active, "Active"),
        Contains(User.username, "Username"),
        Contains(User.email, "E-mail"),
        SameEmail(User.email, "E-mail"),
        After(User.created_date, "Created"),
        Before(User.created_date, "Created"),
    )
    column_formatters = {"created_date": format_date}
    column_formatters_export = {
        "username": export_text,
        "email": export_text,
        "created_date": export_date,
    }

    def get_edit_form(self):
        """Return the form's class, which knows the version that it shows."""
        return UserChangeForm

    def scaffold_list_form(self, widget=None, validators=None):
        """Return the class of the form inside the list."""
        return UserCells

    def search_placeholder(self):
        """Return what an empty search box says."""
        return "Username or e-mail"

    def get_empty_list_message(self):
        """Return what a list without users says."""
        return "No users here."

    def _get_list_extra_args(self):
        """Return what the URL asks for, without what nobody knows.

        Flask-Admin would pass that on as arguments of its own functions.
        """
        known = super()._get_list_extra_args()
        known.extra_args = {}
        return known

    def chosen(self):
        """Return the search and the filters of the page's URL."""
        return {
            name: value
            for name, value in request.args.items()
            if name == "search" or name.startswith("flt")
        }

    def get_list(self, page, sort, desc, search, filters, execute=True, page_size=None):
        """Return no count, and a page's users, or for an export all, one by one.

        See Flask-Admin for the arguments.
        """
        page = min(max(page or 0, 0), LAST_PAGE)
        text = prepare(search)
        _, users = super().get_list(
            page,
            sort,
            desc,
            text,
            filters,
            execute=bool(page_size),
            page_size=page_size,
        )
        return None, users if page_size else each(users)

    def get_one(self, id):
        """Return the user with an id and its `version`, or None."""
        try:
            fields, version = queries.get(schemas.parse_id(id) or 0)
        except UserNotFound:
            return None
        user = User(**fields)
        user.version = version
        return user

    def create_model(self, form):
        """Add the user of a form; return it, or False where the form now says why."""
        try:
            fields, _ = queries.insert(*(form[name].data for name in FIELDS))
        except EmailTaken as refusal:
            form.email.errors = [refusal.message]
            return False
        audit("added", fields["id"], operator_name())
        return User(**fields)

    def update_model(self, form, model):
        """Change a user; return whether it was; where not, the page says why."""
        # None keeps the value of what an inline edit leaves alone.
        fields = {name: form[name].data if name in form else None for name in FIELDS}
        versions = [form.version.data] if "version" in form else None
        try:
            queries.update(model.id, fields, versions)
        except EmailTaken as refusal:
            form.email.errors = [refusal.message]
        except (StaleVersion, UserNotFound) as refusal:
            flash(refusal.message, "error")
        else:
            audit("updated", model.id, operator_name())
            return True
        return False

    def delete_model(self, model):
        """Remove a user; return whether this did it."""
        try:
            queries.delete(model.id, None)
        except UserNotFound as refusal:
            flash(refusal.message, "error")
            return False
        audit("removed", model.id, operator_name())
        return True

    @expose("/ajax/update/", methods=("POST",))
    def ajax_update(self):
        """Change one cell of the list; the text of a refusal is shown beside it."""
        form = self.list_form()
        for name in set(FIELDS) - set(request.form):
            del form[name]
        user = self.get_one(form.list_form_pk.data)
        if user is None:
            return UserNotFound.message, UserNotFound.status
        if form.validate() and self.update_model(form, user):
            return "Saved."
        # Where the form finds nothing wrong, somebody has removed the user meanwhile.
        return " ".join(sum(form.errors.values(), [])) or UserNotFound.message, 400

    def run_action(self, done, statement, ids):
        """Run a write on the chosen users, in one transaction.

        Args:
            done: what it does, in the words of the log.
            statement: the UPDATE or DELETE, which is limited to them here.
            ids: what the page sent.
        """
        keys = [key for key in map(schemas.parse_id, ids) if key is not None]
        chosen = statement.where(User.id.in_(keys)).returning(User.id)
        written = db.session.scalars(chosen).all()
        db.session.commit()
        for id in written:
            audit(done, id, operator_name())
        flash(f"{len(written)} user(s) {done}.", "success")

    @action("activate", "Activate")
    def action_activate(self, ids):
        """Make the chosen users active."""
        self.run_action("updated", sa.update(User).values(active=True), ids)

    @action("deactivate", "Deactivate")
    def action_deactivate(self, ids):
        """Make the chosen users inactive."""
        self.run_action("updated", sa.update(User).values(active=False), ids)

    @action("delete", "Delete", "Delete the selected users? This cannot be undone.")
    def action_delete(self, ids):
        """Remove the chosen users."""
        self.run_action("removed", sa.delete(User), ids)
