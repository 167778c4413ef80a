"""The procedures in CONTRIBUTING.md work: a new field, and a new endpoint."""

import json
import re
import shutil
import subprocess
import sys
import textwrap
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import make_url

from devtools.servers import ROOT, clean_environment
from devtools.sql import execute
from project.database.embedded import CREATE_DATABASE

CODE_BLOCKS = [
    textwrap.dedent(block)
    for block in re.findall(
        r"^ *```python\n(.*?)^ *```",
        (ROOT / "CONTRIBUTING.md").read_text(),
        re.S | re.M,
    )
]
TYPE, SCHEMA_FIELD, COLUMN, ENDPOINT = CODE_BLOCKS


@dataclass
class Field:
    """A field to add, and values for new_field_checks.py."""

    name: str
    nullable: bool
    first: str
    second: str
    invalid: str
    type_definition: str
    schema_field: str
    column: str


# The example of CONTRIBUTING.md.
PHONE = Field(
    name="phone",
    nullable=True,
    first="+4930123456",
    second="+331234567",
    invalid="none",
    type_definition=TYPE,
    schema_field=SCHEMA_FIELD,
    column=COLUMN,
)
TEAM = Field(
    name="team",
    nullable=False,
    first="Research",
    second="Sales",
    invalid="x" * 65,
    type_definition="""\
Team = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=64),
    Field(description="The name of a team.", examples=["Research"]),
]
""",
    schema_field="team: Team\n",
    column='team: Mapped[str] = mapped_column(String(64), server_default="none")\n',
)


class ProjectCopy:
    """A copy of the project with a database of its own."""

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

    def run(self, *arguments: str, **variables: str) -> str:
        """Run Python in the copy, and return its output."""
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
            text=True,
        )
        assert result.returncode == 0, result.stdout
        return result.stdout


@pytest.fixture
def project_copy(
    tmp_path: Path, database_url: str, request: pytest.FixtureRequest
) -> ProjectCopy:
    """A copy of the project whose database has the current schema and two users."""
    folder = tmp_path / "project_copy"
    for name in ("project", "migrations", "devtools"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    for name in ("manage.py", "setup.cfg"):
        shutil.copy(ROOT / name, folder)
    database = f"copy_{uuid4().hex}_test"
    execute(database_url, CREATE_DATABASE.format(database))
    request.addfinalizer(
        lambda: execute(database_url, f"DROP DATABASE {database} WITH (FORCE)")
    )
    url = make_url(database_url).set(database=database)
    copy = ProjectCopy(folder, url.render_as_string(hide_password=False))
    copy.run("manage.py", "db", "upgrade")
    copy.run("manage.py", "seed_db")
    return copy


@pytest.mark.parametrize("field", [PHONE, TEAM], ids=lambda field: field.name)
def test_documented_procedure_adds_a_field(
    project_copy: ProjectCopy, field: Field
) -> None:
    schemas, models = (f"project/api/users/{name}.py" for name in ("schemas", "models"))
    project_copy.insert(
        schemas, "class NewUser(Payload)", field.type_definition + "\n\n"
    )
    project_copy.insert(schemas, "active: Active = True", field.schema_field)
    project_copy.insert(models, "created_date: Mapped", field.column)
    project_copy.run(
        *("manage.py", "db", "migrate", "--rev-id", "0003", "-m", f"Add {field.name}")
    )
    migrations = list((project_copy.folder / "migrations/versions").glob("0003_*.py"))
    assert len(migrations) == 1
    # With the two users in the table.
    project_copy.run("manage.py", "db", "upgrade")
    output = project_copy.run(
        *("-m", "pytest", "-q", "project/tests/functional/new_field_checks.py"),
        NEW_FIELD=json.dumps(asdict(field)),
    )
    assert "passed" in output and "failed" not in output


def test_documented_endpoint_works_next_to_user_ids(project_copy: ProjectCopy) -> None:
    views = project_copy.folder / "project/api/users/views.py"
    views.write_text(f"{views.read_text()}\n\n{ENDPOINT}")
    output = project_copy.run(
        "-c",
        "from project import create_app\n"
        "client = create_app().test_client()\n"
        "for method, path in [('GET', '/users/count'), ('DELETE', '/users/count'),\n"
        "                     ('GET', '/users/counts'), ('GET', '/users/1')]:\n"
        "    response = client.open(path, method=method)\n"
        "    print(response.status_code, response.get_json().get('message'),\n"
        "          response.get_json().get('data'), response.headers.get('Allow'))\n",
    )
    count, deletion, missing, user = output.splitlines()[-4:]
    assert count == "200 None {'count': 2} None"
    assert deletion.startswith("405 ")
    allowed = deletion.rpartition(" None ")[2]
    assert sorted(allowed.split(", ")) == ["GET", "HEAD", "OPTIONS"]
    assert missing == "404 User does not exist None None"
    assert user.startswith("200 ") and "'username': 'ada'" in user
