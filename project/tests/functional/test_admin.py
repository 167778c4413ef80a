"""`/admin/` over HTTP: who gets in, what is refused, what is logged."""

import csv
import io
import re
import subprocess
import sys

import pytest

from project import create_app, db
from project.admin import guard
from project.api.users import figures
from project.tests.conftest import IsolatedClient
from project.tests.servers import ROOT, outside

TOKEN = re.compile(r'name="csrf_token"[^>]* value="([^"]+)"')
LIBRARIES = {"flask_admin", "flask_login", "flask_wtf", "wtforms", "limits"}
ADA = {"username": "ada", "email": "ada@example.com"}


@pytest.fixture(scope="module")
def admin_app(test_database):
    """The application with the admin open."""
    app = create_app({"FLASK_ENV": "development"})
    app.test_client_class = IsolatedClient
    yield app
    with app.app_context():
        for engine in db.engines.values():
            engine.dispose()


@pytest.fixture
def admin(admin_app, empty_database):
    """A client of it, whose users table is empty."""
    return admin_app.test_client()


def post(client, url, data=None, **options):
    """Send a form of the admin, with its token; return the answer."""
    token = TOKEN.search(client.get("/admin/user/new/").text)[1]
    return client.post(url, data={"csrf_token": token, **(data or {})}, **options)


def audited(caplog):
    """Return what the audit lines say: who did what to whom."""
    lines = [line for line in caplog.records if line.name == "project.audit"]
    return sorted((line.who, line.action, line.user_id) for line in lines)


def users(client):
    return client.get("/users").json["data"]["users"]


@pytest.mark.parametrize(
    "settings, status",
    [
        ({"APP_SETTINGS": "Development"}, 200),
        ({"APP_SETTINGS": "Development", "FLASK_ENV": "development"}, 200),
        ({"APP_SETTINGS": "Development", "FLASK_ENV": "production"}, 404),
        ({"APP_SETTINGS": "Testing"}, 404),
        ({"APP_SETTINGS": "Testing", "FLASK_ENV": "development"}, 200),
        ({"APP_SETTINGS": "Testing", "FLASK_ENV": "production"}, 404),
        ({"APP_SETTINGS": "Production"}, 404),
        ({"APP_SETTINGS": "Production", "FLASK_ENV": "development"}, 404),
        ({"APP_SETTINGS": "Production", "SECRET_KEY": "x" * 16}, 404),
        (
            {
                "APP_SETTINGS": "Production",
                "ADMIN_USERNAME": "x",
                "SECRET_KEY": "x" * 16,
            },
            404,
        ),
    ],
    ids=lambda value: " ".join(value.values()) if isinstance(value, dict) else "",
)
def test_who_gets_in(monkeypatch, database_url, empty_database, settings, status):
    settings = settings | {
        "APP_SETTINGS": f"project.config.{settings['APP_SETTINGS']}Config",
        "DATABASE_URL": database_url,
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    client = create_app().test_client()
    for url in ("/admin/", "/admin/user/", "/admin/static/vendor/jquery.min.js"):
        with client.get(url) as answer:
            assert answer.status_code == status
    assert client.get("/admin/login").status_code == 404
    assert client.get("/ping").status_code == 200


def test_closed_it_costs_nothing():
    """Where nobody may get in, none of its libraries is loaded."""
    check = f"import manage, sys; assert not {LIBRARIES}.intersection(sys.modules)"
    subprocess.run(
        [sys.executable, "-c", check],
        cwd=ROOT,
        env=outside() | {"APP_SETTINGS": "project.config.ProductionConfig"},
        check=True,
    )


def test_the_api_does_not_notice(admin_app, test_app):
    """No hook, no session, no cookie reaches the API's requests."""
    for hooks in ("before_request_funcs", "after_request_funcs"):
        assert getattr(admin_app, hooks)[None] == getattr(test_app, hooks)[None]
    answer = admin_app.test_client().get("/users")
    assert "Vary" not in answer.headers
    assert "Content-Security-Policy" not in answer.headers


@pytest.mark.parametrize("url", ["/admin/", "/admin/user/", "/admin/user/new/"])
def test_headers(admin, url):
    answer = admin.get(url)
    assert answer.headers["Content-Security-Policy"] == guard.POLICY
    assert "unsafe" not in guard.POLICY
    assert answer.headers["Cache-Control"] == "no-store"
    assert not re.search(r'(src|href)="(https?:)?//', answer.text)


def test_create(admin, caplog):
    with caplog.at_level("INFO", "project.audit"):
        answer = post(admin, "/admin/user/new/", {**ADA, "active": "y"})
    assert answer.location == "/admin/user/"
    assert [user["email"] for user in users(admin)] == ["ada@example.com"]
    assert audited(caplog) == [("anybody", "added", 1)]


@pytest.mark.parametrize(
    "field, value, reason",
    [
        ("email", "ADA@example.com", "Sorry. That email already exists."),
        ("email", "grace", "An email address must have an @-sign."),
        ("email", "", "at least 1 character"),
        ("email", "a" * 117 + "@example.com", "at most 128 characters"),
        ("username", "   ", "at least 1 character"),
        ("username", "a" * 129, "at most 128 characters"),
        ("username", "a\0b", "Control characters are not allowed"),
    ],
)
@pytest.mark.parametrize("url", ["/admin/user/new/", "/admin/user/edit/?id=2"])
def test_refusal_is_beside_the_field(admin, add_user, url, field, value, reason):
    add_user(**ADA)
    add_user("grace", "grace@example.com")
    before = users(admin)
    version = re.search(
        r'name="version"[^>]* value="(\d+)"', admin.get("/admin/user/edit/?id=2").text
    )[1]
    form = {"username": "<b>kept</b>", "email": "new@example.com", "version": version}
    answer = post(admin, url, form | {field: value})
    assert answer.status_code == 200
    invalid = re.findall(r'is-invalid" id="(\w+)"', answer.text)
    assert invalid == [field]
    assert reason in answer.text
    kept = "new@example.com" if field == "username" else "&lt;b&gt;kept&lt;/b&gt;"
    assert f'value="{kept}"' in answer.text
    assert users(admin) == before


def test_edit_of_a_user_that_has_changed(admin, add_user):
    add_user(**ADA)
    page = admin.get("/admin/user/edit/?id=1").text
    version = re.search(r'name="version"[^>]* value="(\d+)"', page)[1]
    admin.patch("/users/1", json={"username": "countess"})
    form = {**ADA, "email": "new@example.com", "version": version}
    answer = post(admin, "/admin/user/edit/?id=1", form)
    assert "The user has changed since that version" in answer.text
    assert 'value="new@example.com"' in answer.text
    assert users(admin)[0]["username"] == "countess"


@pytest.mark.parametrize("id", ["2", "0", "-1", "ada", "1&id=2", "9" * 30, "%00"])
def test_edit_of_nobody(admin, add_user, id):
    add_user(**ADA)
    answer = admin.get(f"/admin/user/edit/?id={id}", follow_redirects=True)
    assert answer.status_code == 200
    assert "Record does not exist." in answer.text


@pytest.mark.parametrize(
    "cell, status, said",
    [
        ({"list_form_pk": "1", "email": "new@example.com"}, 200, "Saved."),
        ({"list_form_pk": "1", "active": ""}, 200, "Saved."),
        ({"list_form_pk": "1", "email": "GRACE@example.com"}, 400, "Sorry. That email"),
        ({"list_form_pk": "1", "username": ""}, 400, "at least 1 character"),
        ({"list_form_pk": "3", "username": "x"}, 404, "User does not exist"),
        ({"list_form_pk": "x", "username": "x"}, 404, "User does not exist"),
        ({"username": "x"}, 404, "User does not exist"),
    ],
)
def test_inline_edit(admin, add_user, caplog, cell, status, said):
    add_user(**ADA)
    add_user("grace", "grace@example.com")
    with caplog.at_level("INFO", "project.audit"):
        answer = post(admin, "/admin/user/ajax/update/", cell)
    assert answer.status_code == status
    assert said in answer.text
    assert audited(caplog) == ([("anybody", "updated", 1)] if status == 200 else [])
    assert users(admin)[0]["username"] == "ada"


def test_delete(admin, add_user, caplog):
    add_user(**ADA)
    with caplog.at_level("INFO", "project.audit"):
        post(admin, "/admin/user/delete/", {"id": "1"})
        again = post(admin, "/admin/user/delete/", {"id": "1"}, follow_redirects=True)
    assert "Record does not exist." in again.text
    assert users(admin) == []
    assert audited(caplog) == [("anybody", "removed", 1)]


@pytest.mark.parametrize(
    "action, left",
    [
        ("activate", [(1, True), (2, True), (3, False)]),
        ("deactivate", [(1, False), (2, False), (3, False)]),
        ("delete", [(3, False)]),
        ("explode", [(1, True), (2, False), (3, False)]),
    ],
)
def test_bulk(admin, add_user, caplog, action, left):
    for number in range(3):
        add_user("x", f"{number}@example.com", active=number == 0)
    chosen = {"action": action, "rowid": ["1", "2", "x", "9" * 30, "77"]}
    with caplog.at_level("INFO", "project.audit"):
        answer = post(admin, "/admin/user/action/", chosen)
    assert answer.status_code == 302
    assert [(user["id"], user["active"]) for user in users(admin)] == left
    done = {"delete": "removed"}.get(action, "updated")
    written = [] if action == "explode" else [1, 2]
    assert audited(caplog) == [("anybody", done, id) for id in written]


@pytest.mark.parametrize(
    "url", ["new/", "edit/?id=1", "delete/", "action/", "ajax/update/"]
)
@pytest.mark.parametrize("token", [None, "", "wrong"])
def test_no_token_no_write(admin, add_user, url, token):
    add_user(**ADA)
    form = {
        "username": "x",
        "email": "x@example.com",
        "id": "1",
        "list_form_pk": "1",
        "rowid": "1",
        "action": "delete",
    }
    if token is not None:
        form["csrf_token"] = token
    answer = admin.post(f"/admin/user/{url}", data=form)
    assert answer.status_code == 400
    assert "reload its page and try again" in answer.text
    assert [user["username"] for user in users(admin)] == ["ada"]


def test_delete_is_no_link(admin, add_user):
    add_user(**ADA)
    assert admin.get("/admin/user/delete/?id=1").status_code == 405
    assert len(users(admin)) == 1


def emails(answer):
    """Return the addresses of a list page, in its order."""
    assert answer.status_code == 200
    return re.findall(r'data-value="([^"]*@[^"]*)"', answer.text)


@pytest.mark.parametrize(
    "query, found",
    [
        ("", "cba"),
        ("search=B", "b"),
        ("search=lace+ada", "a"),
        ("search=LOVE", "a"),
        ("search=ov", ""),
        ("search=^grace", "b"),
        ("search=%3Dgrace", ""),
        ("search=%25%25%25", ""),
        ("search=r_c", "c"),
        ("search=%5C", ""),
        ("search=%00grace", "b"),
        ("search=%20", "cba"),
        ("sort=0", "abc"),
        ("sort=1", "abc"),
        ("sort=2&desc=1", "cba"),
        ("sort=3&desc=1", "cab"),
        ("sort=4", "abc"),
        ("flt0_0=1", "ca"),
        ("flt0_0=0", "b"),
        ("flt0_1=grace", "b"),
        ("flt0_2=c%40", "c"),
        ("flt0_3=C@example.com", "c"),
        ("flt0_4=2000-01-01+00:00:00", "cba"),
        ("flt0_5=2000-01-01+00:00:00", ""),
        ("flt0_2=%00", "cba"),
        ("flt0_2=%5C", ""),
        ("flt0_4=yesterday", "cba"),
        ("flt0_99=x", "cba"),
        ("page=1", ""),
        ("page=-1", "cba"),
        ("page=" + "9" * 30, ""),
        ("page_size=0&sort=99&desc=x", "cba"),
        ("page_size=100", "cba"),
    ],
)
def test_list(admin, add_user, query, found):
    add_user("Ada Lovelace", "a@example.com")
    add_user("Grace Hopper", "b@example.com", active=False)
    add_user("r_c", "c@example.com")
    shown = emails(admin.get(f"/admin/user/?{query}"))
    assert "".join(email[0] for email in shown) == found


def test_pages(admin, test_database):
    with test_database.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO users (username, email)"
            " SELECT n, n || '@example.com' FROM generate_series(1, 25) n"
        )
    first = admin.get("/admin/user/")
    assert emails(first)[::19] == ["25@example.com", "6@example.com"]
    assert re.search(r'rel="next"\s+href="/admin/user/\?page=1', first.text)
    assert emails(admin.get("/admin/user/?page=1"))[-1] == "1@example.com"


def test_no_page_counts_or_scans(admin_app, admin, add_user):
    """What a search asks costs the same at a million users."""
    add_user(**ADA)
    asked = []
    with admin_app.app_context():
        db.event.listen(
            db.engine, "before_cursor_execute", lambda *event: asked.append(event[2:4])
        )
    admin.get("/admin/user/?search=ada")
    ((statement, parameters),) = asked
    assert "count(" not in statement.lower()
    with db.engine.begin() as connection:
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        connection.exec_driver_sql("SET LOCAL enable_indexscan = off")
        plan = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
        assert "users_search_idx" in "\n".join(plan.scalars())


def test_export(admin, add_user):
    add_user("=1+1", "+a@example.com")
    add_user("ü, quoted", "b@example.com", active=False)
    answer = admin.get("/admin/user/export/csv/?sort=0", buffered=True)
    assert answer.mimetype == "text/csv"
    assert "attachment" in answer.headers["Content-Disposition"]
    rows = list(csv.reader(io.StringIO(answer.text)))
    created = [user["created_date"] for user in users(admin)]
    assert rows == [
        ["ID", "Username", "E-mail", "Active", "Created"],
        ["1", "'=1+1", "'+a@example.com", "True", created[0]],
        ["2", "ü, quoted", "b@example.com", "False", created[1]],
    ]
    found = admin.get("/admin/user/export/csv/?flt0_0=0", buffered=True).text
    assert len(found.splitlines()) == 2


def test_export_is_complete(admin, test_database):
    with test_database.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO users (username, email)"
            " SELECT n, n || '@example.com' FROM generate_series(1, 2500) n"
        )
    answer = admin.get("/admin/user/export/csv/", buffered=True)
    lines = answer.text.splitlines()
    assert len(lines) == 2501
    assert lines[1].startswith("2500,") and lines[-1].startswith("1,")


def test_stored_markup_stays_text(admin, add_user):
    add_user("<script>alert(1)</script>", '"\'onclick=x"@example.com')
    for url in ("/admin/user/", "/admin/user/edit/?id=1"):
        text = admin.get(url).text
        assert "<script>alert" not in text
        assert "&lt;script&gt;alert(1)" in text
        assert "\"'onclick" not in text


def test_home(admin, add_user, monkeypatch):
    add_user(**ADA)
    add_user("grace", "grace@example.com", active=False)
    text = admin.get("/admin/").text
    assert re.findall(r'display-4">([^<]*)<', text) == ["2", "1"]
    assert 'href="/docs"' in text
    with db.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.exec_driver_sql("ANALYZE users")
    monkeypatch.setattr(figures, "EXACT", 0)
    text = admin.get("/admin/").text
    assert re.findall(r'display-4">([^<]*)<', text) == ["≈ 2", "≈ 1"]
    assert "estimates" in text


def test_empty(admin):
    assert "No users here." in admin.get("/admin/user/").text


@pytest.mark.parametrize("url", ["/admin/", "/admin/user/", "/admin/user/edit/?id=1"])
def test_database_away(production, url, caplog):
    away = production(
        DATABASE_URL="postgresql://ada:secret@127.0.0.1:1/users",
        ADMIN_LOGIN=False,
        ADMIN_OPEN=True,
        SECRET_KEY="x" * 16,
    )
    client = away.test_client()
    answer = client.get(url, base_url="https://localhost")
    assert answer.status_code == 503
    assert answer.mimetype == "text/html"
    assert "try again later" in answer.text
    assert "Traceback" not in answer.text and "secret" not in answer.text
    assert "Retry-After" in answer.headers
    form = post_away(client)
    assert form.status_code == 503
    assert "check that PostgreSQL runs" in caplog.text


def post_away(client):
    """Send a form that was opened before the database went away."""
    page = client.get("/admin/user/new/", base_url="https://localhost").text
    data = {**ADA, "csrf_token": TOKEN.search(page)[1]}
    return client.post("/admin/user/new/", data=data, base_url="https://localhost")


@pytest.mark.parametrize(
    "query", ["export_type=x", "endpoint=x", "self=1", "_external=1"]
)
def test_list_takes_any_query(admin, add_user, query):
    add_user(**ADA)
    page = admin.get(f"/admin/user/?search=ada&{query}")
    assert page.status_code == 200
    (export,) = re.findall(r'href="(/admin/user/export/[^"]*)"', page.text)
    assert export == "/admin/user/export/csv/?search=ada"


@pytest.mark.parametrize("version", ["", "a\0b", "1; DROP TABLE users"])
def test_edit_form_needs_a_version(admin, add_user, version):
    add_user(**ADA)
    form = {"username": "new", "email": "new@example.com", "version": version}
    assert admin.post("/admin/user/edit/?id=1", data=form).status_code < 500
    assert "new@example.com" not in admin.get("/admin/user/").text
