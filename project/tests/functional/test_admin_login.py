"""The admin under production settings: logging in and out, and what is refused."""

import re
from datetime import timedelta

import pytest
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from project.passwords import make_hash
from project.tests.conftest import IsolatedClient

TOKEN = re.compile(r'name="csrf_token"[^>]* value="([^"]+)"')
PASSWORD = "correct horse battery"
HASH = make_hash(PASSWORD)
HTTPS = {"base_url": "https://localhost"}


@pytest.fixture(scope="module")
def guarded(production, database_url, test_database):
    """A function that builds an app whose admin has a login, with settings changed."""

    def _guarded(**settings):
        defaults = {
            "DATABASE_URL": database_url,
            "SECRET_KEY": "a secret, long enough",
            "ADMIN_USERNAME": "ops",
            "ADMIN_PASSWORD": HASH,
        }
        app = production(**defaults | settings)
        app.test_client_class = IsolatedClient
        return app

    return _guarded


@pytest.fixture(scope="module")
def login_app(guarded):
    """An app whose admin has a login."""
    return guarded()


@pytest.fixture
def operator(login_app, empty_database):
    """A client of it, which is not logged in; the brake is fresh."""
    home = login_app.extensions["admin"][0].index_view
    home.brake = MovingWindowRateLimiter(MemoryStorage())
    return login_app.test_client()


def log_in(client, username="ops", password=PASSWORD, query="", **options):
    token = TOKEN.search(client.get("/admin/login", **HTTPS).text)[1]
    data = {"csrf_token": token, "username": username, "password": password}
    return client.post(f"/admin/login{query}", data=data, **HTTPS | options)


def welcome(client, url="/admin/user/"):
    """Return whether a page of the admin opens."""
    answer = client.get(url, **HTTPS)
    assert answer.status_code in (200, 302)
    return answer.status_code == 200


@pytest.mark.parametrize("word", [None, "development", "production"])
def test_flask_env_counts_for_nothing(guarded, word):
    client = guarded(FLASK_ENV=word).test_client()
    answer = client.get("/admin/user/?search=a", **HTTPS)
    assert answer.status_code == 302
    assert answer.location == "/admin/login?next=/admin/user/?search%3Da"
    assert client.get("/ping").status_code == 200


def test_log_in_and_out(operator, caplog):
    assert not welcome(operator)
    with caplog.at_level("INFO", "project.admin"):
        entered = log_in(operator, query="?next=/admin/user/?search%3Da")
    assert entered.location == "/admin/user/?search=a"
    assert "ops logged in from 127.0.0.1" in caplog.text
    cookie = entered.headers["Set-Cookie"]
    for attribute in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/admin", "Expires="):
        assert attribute in cookie
    assert welcome(operator)
    token = TOKEN.search(operator.get("/admin/", **HTTPS).text)[1]
    assert operator.get("/admin/logout", **HTTPS).status_code == 405
    assert operator.post("/admin/logout", **HTTPS).status_code == 400
    assert welcome(operator)
    left = operator.post("/admin/logout", data={"csrf_token": token}, **HTTPS)
    assert left.location == "/admin/login"
    assert not welcome(operator)


def test_writes_are_the_operators(operator, add_user, caplog):
    add_user("ada", "ada@example.com")
    log_in(operator)
    token = TOKEN.search(operator.get("/admin/user/", **HTTPS).text)[1]
    with caplog.at_level("INFO", "project.audit"):
        operator.post(
            "/admin/user/delete/", data={"csrf_token": token, "id": "1"}, **HTTPS
        )
    (record,) = [line for line in caplog.records if line.name == "project.audit"]
    assert (record.who, record.user_id, record.action) == ("ops", 1, "removed")


@pytest.mark.parametrize(
    "username, password",
    [
        ("ops", "wrong"),
        ("ops", ""),
        ("root", PASSWORD),
        ("", ""),
        ("ops", HASH),
        ("öps", "\0"),
        ("ops", PASSWORD + "x" * 2000),
    ],
)
def test_wrong_password(operator, caplog, username, password):
    refused = log_in(operator, username, password)
    assert "The username or the password is wrong." in refused.text
    assert not welcome(operator)
    assert "127.0.0.1 failed to log in" in caplog.text
    assert password == "" or password not in caplog.text


def test_brake(operator, caplog):
    for _ in range(5):
        assert log_in(operator, password="wrong").status_code == 200
    braked = log_in(operator)
    assert braked.status_code == 429
    assert "Too many tries" in braked.text
    assert not welcome(operator)
    elsewhere = {"environ_overrides": {"REMOTE_ADDR": "192.0.2.1"}}
    assert log_in(operator, **elsewhere).status_code == 302


@pytest.mark.parametrize("token", [{}, {"csrf_token": "wrong"}])
def test_log_in_without_a_token(operator, token):
    data = {"username": "ops", "password": PASSWORD, **token}
    assert operator.post("/admin/login", data=data, **HTTPS).status_code == 400
    assert not welcome(operator)


def test_token_of_another_session(operator, login_app):
    log_in(operator)
    thief = login_app.test_client()
    data = {"csrf_token": TOKEN.search(thief.get("/admin/login", **HTTPS).text)[1]}
    data |= {"username": "x", "email": "x@example.com"}
    assert operator.post("/admin/user/new/", data=data, **HTTPS).status_code == 400
    assert operator.get("/users").json["data"]["users"] == []


@pytest.mark.parametrize(
    "target", ["https://example.com/", "//example.com", "javascript:x", "\\\\x"]
)
def test_log_in_leads_nowhere_else(operator, target):
    answer = log_in(operator, query=f"?next={target}")
    assert answer.location == "/admin/"


def test_session_expires(operator, login_app, monkeypatch):
    log_in(operator)
    assert welcome(operator)
    monkeypatch.setitem(
        login_app.config, "PERMANENT_SESSION_LIFETIME", timedelta(seconds=-1)
    )
    assert not welcome(operator)


@pytest.mark.parametrize("change", ["ADMIN_USERNAME", "ADMIN_PASSWORD", "SECRET_KEY"])
def test_session_ends_with_the_credentials(guarded, operator, change):
    log_in(operator)
    cookie = operator.get_cookie("session", path="/admin").value
    same, other = guarded(), guarded(**{change: make_hash("another password")})
    for app, expected in ((same, True), (other, False)):
        client = app.test_client()
        client.set_cookie("session", cookie, path="/admin", secure=True)
        assert welcome(client) is expected


@pytest.mark.parametrize(
    "method, url",
    [
        ("GET", "/admin/"),
        ("GET", "/admin/user/"),
        ("GET", "/admin/user/new/"),
        ("GET", "/admin/user/edit/?id=1"),
        ("GET", "/admin/user/export/csv/"),
        ("GET", "/admin/user/ajax/lookup/"),
        ("HEAD", "/admin/user/"),
        ("POST", "/admin/user/new/"),
        ("POST", "/admin/user/edit/?id=1"),
        ("POST", "/admin/user/delete/"),
        ("POST", "/admin/user/action/"),
        ("POST", "/admin/user/ajax/update/"),
        ("POST", "/admin/logout"),
    ],
)
def test_nothing_without_a_login(operator, add_user, method, url):
    add_user("ada", "ada@example.com")
    data = {"id": "1", "rowid": "1", "action": "delete", "username": "x"}
    answer = operator.open(url, method=method, data=data, **HTTPS)
    assert answer.status_code == (302 if method == "GET" else 401)
    assert "ada@example.com" not in answer.text
    assert operator.get("/users/1").json["data"]["username"] == "ada"


def test_script_without_a_login_gets_text(operator):
    """The inline editor takes a redirect to the login page for a success."""
    script = {"X-Requested-With": "XMLHttpRequest"}
    answer = operator.post("/admin/user/ajax/update/", headers=script, **HTTPS)
    assert answer.status_code == 401
    assert answer.mimetype == "text/plain"
    assert answer.text == "You are logged out: log in and try again."


def test_login_page_needs_no_database(guarded):
    away = guarded(DATABASE_URL="postgresql://127.0.0.1:1/users").test_client()
    assert log_in(away).status_code == 302
    assert away.get("/admin/user/", **HTTPS).status_code == 503
