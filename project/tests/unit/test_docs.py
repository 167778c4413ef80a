"""The documentation matches the code."""

import configparser
import pkgutil
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import click
import pytest
from flask import Flask
from flask.cli import ScriptInfo
from werkzeug import exceptions

import manage
from devtools.settings_docs import ENV_EXAMPLE, render_env_example, replace_table
from project import __version__, db
from project.database import migrations
from project.web import errors
from project.web.error_codes import ErrorCode, code_of_status

ROOT = Path(manage.__file__).parent
PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
}
README = PAGES["README.md"]
API = PAGES["docs/api.md"]
OPERATIONS = PAGES["docs/operations.md"]
CHANGELOG = PAGES["CHANGELOG.md"]
MOVES = CHANGELOG.partition("\n### Changed: module and name moves\n")[2]

STALE_SETTINGS = "run `pipenv run settings-docs`"

CODE = re.compile(r"^```.*?^```$|^ {4,}.*?$|`[^`\n]*`", re.M | re.S)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.M)
# A line of the README's layout: a path, and what is there.
LAYOUT = re.compile(r"^ {4}([\w./]+) {2,}\S", re.M)
# The second column of a table with two columns.
NEW_NAMES = re.compile(r"^\|[^|]+\| ([^|]+) \|$", re.M)
DOTTED_NAME = re.compile(r"`((?:project|manage)\.[\w.]+)`")
SHORT_NAME = re.compile(r"`(\w+)`")


def get_anchors(page: str) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    return {
        re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-")
        for heading in HEADING.findall(re.sub(CODE, "", page))
    }


def iter_new_names(cells: list[str]) -> Iterator[str]:
    """Yield the dotted names in cells of CHANGELOG.md.

    A cell contains dotted names, or short names followed by "of" and a dotted name.
    """
    for cell in cells:
        short, of, parent = cell.partition(" of ")
        dotted = DOTTED_NAME.findall(cell)
        yield from dotted
        if of and DOTTED_NAME.fullmatch(parent):
            yield from (f"{dotted[0]}.{name}" for name in SHORT_NAME.findall(short))


def iter_error_classes(
    parent: type[errors.ApiError],
) -> Iterator[type[errors.ApiError]]:
    for child in parent.__subclasses__():
        yield child
        yield from iter_error_classes(child)


def test_readme_has_at_most_180_lines() -> None:
    assert README.count("\n") <= 180


@pytest.mark.parametrize("name", PAGES)
def test_every_link_has_a_target(name: str) -> None:
    for link in LINK.findall(re.sub(CODE, "", PAGES[name])):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / name).parent / path if path else ROOT / name
        assert target.exists(), link
        if anchor:
            assert anchor in get_anchors(target.read_text()), link


def test_settings_table_is_up_to_date() -> None:
    assert replace_table(OPERATIONS) == OPERATIONS, STALE_SETTINGS


def test_example_file_is_up_to_date() -> None:
    assert ENV_EXAMPLE.read_text() == render_env_example(), STALE_SETTINGS


def test_changelog_lists_the_releases_newest_first() -> None:
    """What is not released yet may be above them."""
    titles = re.findall(r"^## (.+)$", CHANGELOG, re.M)
    releases = titles[1:] if titles[0] == "Unreleased" else titles
    versions, dates = zip(*(title.split(" - ") for title in releases))
    assert versions[0] == __version__
    assert sorted(dates, key=date.fromisoformat, reverse=True) == [*dates]


@pytest.mark.parametrize("name", sorted({*iter_new_names(NEW_NAMES.findall(MOVES))}))
def test_every_new_name_in_the_changelog_can_be_imported(name: str) -> None:
    pkgutil.resolve_name(name)


def test_every_operation_is_documented(test_app: Flask) -> None:
    served = {
        f"{method} {re.sub('<.*>', '<id>', rule.rule)}"
        for rule in test_app.url_map.iter_rules()
        if not rule.endpoint.endswith(".static")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert set(re.findall(r"^\| `([A-Z]+ /\S*)` \|", README, re.M)) == served


def test_every_error_message_is_documented() -> None:
    documented = {
        *(
            (error.status, error.code, error.message)
            for error in iter_error_classes(errors.ApiError)
        ),
        *(
            (error.code, code_of_status(error.code), error.description)
            for error in (
                exceptions.NotFound,
                exceptions.MethodNotAllowed,
                exceptions.RequestEntityTooLarge,
            )
        ),
        (500, ErrorCode.INTERNAL_ERROR, errors.INTERNAL_ERROR),
    }
    rows = [f"| {status} | `{code}` | `{text}` |" for status, code, text in documented]
    assert [row for row in rows if row not in API] == []


def test_every_error_code_of_the_api_is_documented() -> None:
    only_in_the_admin_site = {ErrorCode.UNAUTHORIZED, ErrorCode.FORBIDDEN}
    documented = set(re.findall(r"^\| [45]\d\d \| `(\w+)` \|", API, re.M))
    assert documented == set(ErrorCode) - only_in_the_admin_site


def test_every_management_command_is_documented(test_app: Flask) -> None:
    documented = set(re.findall(r"^\| `python manage\.py (\w+)", OPERATIONS, re.M))
    migrations.init_migrate(test_app, db)
    context = click.Context(manage.cli, obj=ScriptInfo(create_app=lambda: test_app))
    assert documented == set(manage.cli.list_commands(context))


def read_ini(name: str) -> configparser.ConfigParser:
    """Parse a file of the project; the sections that are needed have INI syntax."""
    parser = configparser.ConfigParser(comment_prefixes="#")
    parser.read(ROOT / name)
    return parser


def test_every_script_is_documented() -> None:
    documented = re.findall(r"^\| `pipenv run ([\w-]+)` \|", README, re.M)
    assert set(documented) == set(read_ini("Pipfile")["scripts"])


def test_quick_excludes_every_marker() -> None:
    registered = read_ini("setup.cfg")["tool:pytest"]["markers"]
    names = re.findall(r"^(\w+):", registered, re.M)
    expression = f"not ({' or '.join(names)})"
    assert f"-m '{expression}'" in read_ini("Pipfile")["scripts"]["quick"]


def test_every_metric_is_documented() -> None:
    source = (ROOT / "project/web/metrics.py").read_text()
    names = re.findall(r'"((?:http|database)_[a-z_]+)", "', source)
    names += re.findall(r'^ +"((?:http|database)_[a-z_]+)",$', source, re.M)
    documented = re.findall(r"^\| `((?:http|database)_\w+)` \|", OPERATIONS, re.M)
    assert set(documented) == set(names)


def test_every_table_is_listed_with_its_personal_data() -> None:
    documented = re.findall(
        r"^\| table `(\w+)` \|", PAGES["docs/data-protection.md"], re.M
    )
    assert set(db.metadata.tables) <= set(documented)


@pytest.mark.parametrize("path", LAYOUT.findall(README))
def test_every_path_of_the_layout_exists(path: str) -> None:
    assert (ROOT / path).exists()


def test_every_package_is_in_the_layout() -> None:
    packages = {
        f"{path.parent.relative_to(ROOT)}/"
        for path in (ROOT / "project").glob("**/__init__.py")
        if not path.is_relative_to(ROOT / "project" / "tests")
    }
    assert packages - set(LAYOUT.findall(README)) == {"project/"}


def test_every_test_command_names_a_test() -> None:
    commands = re.findall(r"^ {4}pipenv run pytest (\S+)(?: -k (\S+))?$", README, re.M)
    assert commands
    for path, name in commands:
        assert f"def {name}" in (ROOT / path).read_text()
