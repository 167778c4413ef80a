"""Write `.env.example` and the table of settings from `project.config.Environment`.

    pipenv run settings-docs

A test compares the files with the descriptions in the code.
"""

import re
import textwrap
from pathlib import Path

from pydantic.fields import FieldInfo

from project.config import ROOT, Environment

ENV_EXAMPLE = ROOT / ".env.example"
OPERATIONS = ROOT / "docs" / "operations.md"

HEADER = """\
# Settings of this checkout. Copy this file to .env and edit it. The server and all
# commands read .env; the tests use only DATABASE_TEST_URL from it. The production image
# does not contain it. A commented-out line shows the default or an example.
"""
BEGIN, END = "<!-- settings: begin -->", "<!-- settings: end -->"
WIDTH = 88


def render_value(value: object) -> str:
    """Return a default or an example as the text of an environment variable."""
    return str(value) if value not in (None, (), []) else ""


def render_entry(name: str, field: FieldInfo) -> str:
    """Return the lines of `.env.example` for a variable."""
    comment = textwrap.fill(
        (field.description or "").replace("`", ""),
        WIDTH,
        initial_indent="# ",
        subsequent_indent="# ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    value = field.examples[0] if field.examples else render_value(field.default)
    return f"{comment}\n# {name}={value}\n"


def render_env_example() -> str:
    """Return the text of `.env.example`."""
    entries = [
        render_entry(name, field) for name, field in Environment.model_fields.items()
    ]
    return "\n".join([HEADER, *entries])


def render_row(name: str, field: FieldInfo) -> str:
    """Return the row of the table for a variable."""
    default = render_value(field.default)
    cell = f"`{default}`" if default else "none"
    return f"| `{name}` | {cell} | {field.description} |"


def render_table() -> str:
    """Return the table of docs/operations.md in Markdown."""
    rows = [render_row(name, field) for name, field in Environment.model_fields.items()]
    return "\n".join(["| variable | default | meaning |", "| --- | --- | --- |", *rows])


def replace_table(page: str) -> str:
    """Return a page with the table between its markers replaced."""
    pattern = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    return pattern.sub(lambda _: f"{BEGIN}\n{render_table()}\n{END}", page)


def write_if_changed(path: Path, text: str) -> None:
    """Write a file, and print its name if its contents change."""
    if path.read_text() != text:
        path.write_text(text)
        print(f"updated {path.relative_to(ROOT)}")


if __name__ == "__main__":
    write_if_changed(ENV_EXAMPLE, render_env_example())
    write_if_changed(OPERATIONS, replace_table(OPERATIONS.read_text()))
