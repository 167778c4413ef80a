"""The list of users: search, filters, sorting, paging and export."""

import csv
import io
import re
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event

from project import db
from project.api.users.schemas import FIELDS
from project.tests.functional.admin.helpers import (
    list_users,
    listed_emails,
    users_table_missing,
)
from project.tests.types import AddUser
from project.tests.users import ADA


def insert_numbered_users(database: SQLAlchemy, count: int) -> None:
    """Insert users whose addresses are 1@example.com, 2@example.com and so on."""
    with database.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO users (username, email)"
            " SELECT n, n || '@example.com' FROM generate_series(1, %s) n",
            (count,),
        )


@pytest.mark.parametrize(
    "query, initials",
    [
        ("", "cba"),
        ("search=B", "b"),
        ("search=lace+ada", "a"),
        ("search=LOVE", "a"),
        ("search=ov", ""),
        ("search=^grace", ""),
        ("search=g%3Dr", ""),
        ("search=2", "b"),
        ("search=2+grace", "b"),
        ("search=1+grace", ""),
        (f"search={'9' * 30}", ""),
        ("search=%25%25%25", ""),
        ("search=r_c", "c"),
        ("search=%5C", ""),
        ("search=%00grace", ""),
        ("search=%20", "cba"),
        ("sort=0", "abc"),
        ("sort=1", "abc"),
        ("sort=2&desc=1", "cba"),
        (f"sort={FIELDS.index('active')}&desc=1", "cab"),
        (f"sort={FIELDS.index('created_date')}", "abc"),
        ("flt0_0=1", "ca"),
        ("flt0_0=0", "b"),
        ("flt0_1=grace", "b"),
        ("flt0_2=c%40", "c"),
        ("flt0_3=C@example.com", "c"),
        ("flt0_3=ｃ@ｅｘａｍｐｌｅ.com", "c"),
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
def test_query_selects_and_orders_users(
    admin: FlaskClient, add_user: AddUser, query: str, initials: str
) -> None:
    add_user("Ada Lovelace", "a@example.com")
    add_user("Grace Hopper", "b@example.com", active=False)
    add_user("r_c", "c@example.com")
    response = admin.get(f"/admin/user/?{query}")
    assert response.status_code == 200
    assert "".join(email[0] for email in listed_emails(response)) == initials


@pytest.mark.parametrize(
    "query", ["export_type=x", "endpoint=x", "self=1", "_external=1"]
)
def test_unknown_query_parameter_is_ignored(
    admin: FlaskClient, add_user: AddUser, query: str
) -> None:
    add_user(**ADA)
    response = admin.get(f"/admin/user/?search=ada&{query}")
    assert response.status_code == 200
    (export,) = re.findall(r'href="(/admin/user/export/[^"]*)"', response.text)
    assert export == "/admin/user/export/csv/?search=ada"


@pytest.mark.parametrize(
    "query, text",
    [
        ("", "There are no users yet."),
        ("?search=nobody", "No user matches the search and the filters."),
        ("?page=1", "This page is beyond the end of the list."),
    ],
)
def test_list_without_users_says_why(admin: FlaskClient, query: str, text: str) -> None:
    assert text in admin.get(f"/admin/user/{query}").text


def test_list_shows_its_count(admin: FlaskClient, test_database: SQLAlchemy) -> None:
    insert_numbered_users(test_database, 1234)
    assert "1–20 of 1,234" in admin.get("/admin/user/").text
    assert "1,221–1,234 of 1,234" in admin.get("/admin/user/?page=61").text
    assert "1–1 of 1\n" in admin.get("/admin/user/?search=1233").text


def test_page_before_the_first_one_is_the_first_one(
    admin: FlaskClient, add_user: AddUser
) -> None:
    add_user(**ADA)
    assert "1–1 of 1\n" in admin.get("/admin/user/?page=-1").text


def test_invalid_search_is_explained_once(admin: FlaskClient) -> None:
    text = admin.get("/admin/user/?search=%25%25").text
    assert text.count("Each word must contain a letter or a digit.") == 1


def test_export_without_a_table_is_an_error(
    admin: FlaskClient, test_database: SQLAlchemy
) -> None:
    with users_table_missing(test_database):
        assert admin.get("/admin/user/export/csv/").status_code == 503


def test_empty_fields_of_the_search_form_are_left_out_of_the_url(
    admin: FlaskClient,
) -> None:
    response = admin.get("/admin/user/?search=&flt0_0=1&flt4_4=&endpoint=x")
    assert response.location == "/admin/user/?flt0_0=1&endpoint=x"


def test_active_filters_are_shown_in_words(admin: FlaskClient) -> None:
    url = "/admin/user/?search=ada&flt0_0=1&flt3_3=a@x.com&flt4_4=2026-01-31T12:00"
    text = admin.get(url).text
    for words in ("Search: ada", "Active: Yes", "E-mail is a@x.com"):
        assert f"<li>{words} <a" in text
    assert 'Created after <time datetime="2026-01-31T12:00:00+00:00">' in text
    assert 'href="/admin/user/?flt0_0=1&amp;flt3_3=a@x.com&amp;flt4_4' in text


def test_list_shows_20_users_on_a_page(
    admin: FlaskClient, test_database: SQLAlchemy
) -> None:
    insert_numbered_users(test_database, 25)
    first = admin.get("/admin/user/")
    assert first.status_code == 200
    assert listed_emails(first)[::19] == ["25@example.com", "6@example.com"]
    assert re.search(r'rel="next"\s+href="/admin/user/\?page=1', first.text)
    second = admin.get("/admin/user/?page=1")
    assert second.status_code == 200
    assert listed_emails(second)[-1] == "1@example.com"


def test_search_uses_its_index_and_counts_a_limited_number(
    admin_app: Flask, admin: FlaskClient, add_user: AddUser
) -> None:
    add_user(**ADA)
    executed: list[tuple[str, Any]] = []

    def record(*args: Any) -> None:
        _, _, statement, parameters, *_ = args
        executed.append((statement, parameters))

    with admin_app.app_context():
        event.listen(db.engine, "before_cursor_execute", record)
    admin.get("/admin/user/?search=ada")
    assert len(executed) == 2
    for statement, parameters in executed:
        assert "LIMIT" in statement
        with db.engine.begin() as connection:
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            connection.exec_driver_sql("SET LOCAL enable_indexscan = off")
            plan = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
            assert "users_search_idx" in "\n".join(plan.scalars())


def test_export_escapes_formulas_and_applies_filters(
    admin: FlaskClient, add_user: AddUser
) -> None:
    add_user("=1+1", "+a@example.com")
    add_user("ü; =quoted", "b@example.com", active=False)
    response = admin.get("/admin/user/export/csv/?sort=0", buffered=True)
    assert response.mimetype == "text/csv"
    assert "attachment" in response.headers["Content-Disposition"]
    reader = csv.DictReader(io.StringIO(response.text))
    columns = ["ID", "Username", "E-mail", "Active", "Created"]
    rows = [[row[column] for column in columns] for row in reader]
    created = [user["created_date"] for user in list_users(admin)]
    assert rows == [
        ["1", "'=1+1", "'+a@example.com", "True", created[0]],
        ["2", "ü; '=quoted", "b@example.com", "False", created[1]],
    ]
    assert len(reader.fieldnames or []) == len(FIELDS)
    filtered = admin.get("/admin/user/export/csv/?flt0_0=0", buffered=True).text
    assert len(filtered.splitlines()) == 2


def test_export_is_not_limited_to_a_page(
    admin: FlaskClient, test_database: SQLAlchemy
) -> None:
    insert_numbered_users(test_database, 2500)
    response = admin.get("/admin/user/export/csv/", buffered=True)
    lines = response.text.splitlines()
    assert len(lines) == 2501
    assert lines[1].startswith("2500,") and lines[-1].startswith("1,")
