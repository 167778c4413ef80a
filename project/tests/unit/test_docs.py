"""The documentation says what the code does."""

import configparser
import re
from pathlib import Path

import click
import pytest
from flask.cli import ScriptInfo

import manage
from project import schema
from project.config import Environment

ROOT = Path(manage.__file__).parent
README = (ROOT / "README.md").read_text()


def test_every_variable_is_in_the_readme():
    assert re.findall(r"^\| `([A-Z_]+)` \|", README, re.M) == list(
        Environment.model_fields
    )


def test_every_variable_is_in_the_example():
    example = (ROOT / ".env.example").read_text()
    assert re.findall(r"^#? ?([A-Z_]+)=", example, re.M) == list(
        Environment.model_fields
    )


def test_every_operation_is_in_the_readme(test_app):
    served = {
        f"{method} {re.sub('<.*>', '<id>', rule.rule)}"
        for rule in test_app.url_map.iter_rules()
        if not rule.endpoint.endswith(".static")
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    assert set(re.findall(r"^\| `([A-Z]+ /\S*)` \|", README, re.M)) == served


def test_every_command_is_in_the_readme(test_app):
    shown = set(re.findall(r"`python manage\.py (\w+)", README))
    script = ScriptInfo(create_app=lambda: schema.with_commands(test_app))
    context = click.Context(manage.cli, obj=script)
    assert shown == set(manage.cli.list_commands(context))


def test_every_script_is_in_the_readme():
    pipfile = configparser.ConfigParser(comment_prefixes="#")
    pipfile.read(ROOT / "Pipfile")
    for script in pipfile["scripts"]:
        assert f"`pipenv run {script}`" in README


@pytest.mark.parametrize("path", re.findall(r"^    (\S+[/y])  ", README, re.M))
def test_every_path_of_the_layout_exists(path):
    assert (ROOT / path).exists()
