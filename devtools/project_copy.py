"""Copies of the project, to which the code blocks of the documentation are applied."""

import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

from devtools.servers import ROOT, clean_environment

# The names in the documentation, and names that do not collide with a field or an
# endpoint that exists.
UNUSED_NAMES = {
    "phone": "example_phone",
    "Phone": "ExamplePhone",
    "language": "example_language",
    "Language": "ExampleLanguage",
    "/users/count": "/users/example_count",
    "UsersCount": "ExampleCount",
}
SCHEMAS = "project/api/users/schemas.py"
MODELS = "project/api/users/models.py"


class ProjectCopy:
    """A copy of the project that can be changed and run.

    Args:
        database_url: the database of `run`.
    """

    def __init__(self, folder: Path, database_url: str) -> None:
        self.folder = folder
        self.database_url = database_url

    def insert(self, file: str, anchor: str, text: str) -> None:
        """Insert text in front of a line that occurs once, with its indentation."""
        path = self.folder / file
        before, line, after = re.split(
            rf"(?m)^( *{re.escape(anchor)}.*\n)", path.read_text()
        )
        indented = textwrap.indent(text, " " * (len(line) - len(line.lstrip())))
        path.write_text(f"{before}{indented}{line}{after}")

    def add_field(self, type_definition: str, schema_field: str, column: str) -> None:
        """Add a field to the schemas and the model, without a migration."""
        self.insert(SCHEMAS, "Id = Annotated", type_definition)
        self.insert(SCHEMAS, "active: Active = True", schema_field)
        self.insert(MODELS, "created_date: Mapped", column)

    def migrations(self) -> list[str]:
        """Return the numbers of the migrations."""
        versions = self.folder / "migrations" / "versions"
        return sorted(path.name.split("_")[0] for path in versions.glob("*.py"))

    def add_migration(self, name: str, functions: str) -> str:
        """Write a migration after the latest one, and return its number.

        Args:
            functions: its imports, `upgrade` and `downgrade`.
        """
        latest = self.migrations()[-1]
        number = f"{int(latest) + 1:04}"
        path = self.folder / "migrations" / "versions" / f"{number}_{name}.py"
        path.write_text(
            f'{functions}\n\nrevision = "{number}"\ndown_revision = "{latest}"\n'
        )
        return number

    def run(self, *arguments: str, input: str = "", **variables: str) -> str:
        """Run Python in the copy, and return its output.

        Raises:
            RuntimeError: the exit status is not 0.
        """
        result = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=clean_environment()
            | {
                "DATABASE_URL": self.database_url,
                "DATABASE_TEST_URL": self.database_url,
            }
            | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            input=input,
            text=True,
        )
        if result.returncode:
            raise RuntimeError(result.stdout)
        return result.stdout


def copy_project(folder: Path, database_url: str = "") -> ProjectCopy:
    """Copy what `manage.py`, gunicorn and the tests need."""
    ignore = shutil.ignore_patterns("node_modules", "__pycache__")
    for name in ("project", "migrations", "devtools"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    for name in ("manage.py", "gunicorn.conf.py", "setup.cfg"):
        shutil.copy(ROOT / name, folder)
    return ProjectCopy(folder, database_url)


def read_code_blocks(page: str) -> list[str]:
    """Return the Python code blocks of a page, with unused names."""
    blocks = re.findall(
        r"^ *```python\n(.*?)^ *```", (ROOT / page).read_text(), re.S | re.M
    )
    # A name may be the last part of another one, such as that of an index.
    pattern = "|".join(rf"(?<![a-zA-Z]){re.escape(name)}\b" for name in UNUSED_NAMES)
    return [
        re.sub(pattern, lambda match: UNUSED_NAMES[match[0]], textwrap.dedent(block))
        for block in blocks
    ]


def copy_project_with_new_field(folder: Path) -> Path:
    """Copy the project, and add the field `example_language`.

    The copy has the migrations of "Change a table under load" in docs/operations.md,
    which run while the original serves the same database.

    Returns:
        The folder, in which `manage.py` and gunicorn can be started.
    """
    project = copy_project(folder)
    *field, imports, expand, backfill, index, contract = read_code_blocks(
        "docs/operations.md"
    )
    project.add_field(*field)
    for name, functions in (
        ("expand", expand),
        ("backfill", backfill),
        ("index", index),
        ("contract", contract),
    ):
        project.add_migration(name, f"{imports}\n\n{functions}")
    return folder
