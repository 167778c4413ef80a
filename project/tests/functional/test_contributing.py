"""The procedures in CONTRIBUTING.md work: a new field, and a new endpoint."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from devtools.project_copy import (
    MODELS,
    SCHEMAS,
    ProjectCopy,
    copy_project,
    read_code_blocks,
)
from devtools.servers import ROOT
from project.tests.databases import own_name, temporary_database

pytestmark = pytest.mark.subprocess

TYPE, SCHEMA_FIELD, COLUMN, ENDPOINT, OPERATION, SCHEMA = read_code_blocks(
    "CONTRIBUTING.md"
)


@dataclass
class Field:
    """A field to add, and values for new_field_checks.py."""

    name: str
    nullable: bool
    first: str | bool
    second: str | bool
    invalid: str
    type_definition: str
    schema_field: str
    column: str
    imports: str = ""


# The example of CONTRIBUTING.md.
PHONE = Field(
    name="example_phone",
    nullable=True,
    first="+4930123456",
    second="+331234567",
    invalid="none",
    type_definition=TYPE,
    schema_field=SCHEMA_FIELD,
    column=COLUMN,
)
TEAM = Field(
    name="example_team",
    nullable=False,
    first="Research",
    second="Sales",
    invalid="x" * 65,
    type_definition="""\
ExampleTeam = Annotated[
    str,
    TrimmedText(64),
    Field(description="The name of a team.", examples=["Research"]),
]
""",
    schema_field="example_team: ExampleTeam\n",
    column="example_team: Mapped[str] = mapped_column("
    'String(64), server_default="none")\n',
)
BIRTHDAY = Field(
    name="example_birthday",
    nullable=False,
    first="1815-12-10",
    second="1906-12-09",
    invalid="yesterday",
    type_definition="""\
ExampleBirthday = Annotated[date, Field(examples=["1815-12-10"])]
""",
    schema_field="example_birthday: ExampleBirthday\n",
    column="example_birthday: Mapped[date] = mapped_column("
    'server_default="1970-01-01")\n',
    imports="from datetime import date\n",
)
# A nullable boolean, whose name is a keyword of SQL.
GROUP = Field(
    name="group",
    nullable=True,
    first=True,
    second=False,
    invalid="maybe",
    type_definition="Group = Annotated[bool, Field(examples=[True])]\n",
    schema_field="group: Group | None = None\n",
    column="group: Mapped[bool | None] = mapped_column()\n",
)


@pytest.fixture(scope="module")
def template(database_url: str) -> Iterator[str]:
    """The name of a database with the current schema and two users."""
    name = own_name("template")
    with temporary_database(database_url, name) as url:
        project = ProjectCopy(ROOT, url)
        project.run("manage.py", "db", "upgrade")
        project.run("manage.py", "seed_db")
        yield name


@pytest.fixture
def project_copy(
    tmp_path: Path, database_url: str, template: str
) -> Iterator[ProjectCopy]:
    """A copy of the project whose database is a copy of the template."""
    with temporary_database(database_url, own_name("copy"), template) as url:
        yield copy_project(tmp_path / "project_copy", url)


@pytest.mark.parametrize(
    "field", [PHONE, TEAM, BIRTHDAY, GROUP], ids=lambda field: field.name
)
def test_documented_procedure_adds_a_field(
    project_copy: ProjectCopy, field: Field
) -> None:
    for file in (SCHEMAS, MODELS):
        project_copy.insert(file, "from datetime import", field.imports)
    project_copy.add_field(field.type_definition, field.schema_field, field.column)
    migrations = project_copy.migrations()
    project_copy.run("manage.py", "db", "migrate", "-m", f"Add {field.name}")
    assert project_copy.migrations() == [*migrations, f"{len(migrations) + 1:04}"]
    # With the two users in the table.
    project_copy.run("manage.py", "db", "upgrade")
    output = project_copy.run(
        *("-m", "pytest", "-q", "--basetemp", str(project_copy.folder / "tmp")),
        "project/tests/functional/new_field_checks.py",
        NEW_FIELD=json.dumps(asdict(field)),
    )
    assert "passed" in output and "failed" not in output


SCRIPT = """
import json
from project import create_app
client = create_app().test_client()
for request in json.loads(input()):
    response = client.open(request[1], method=request[0])
    allow = response.headers.get("Allow")
    print(json.dumps([response.status_code, allow, response.json]))
"""


def test_documented_endpoint_works_next_to_user_ids(project_copy: ProjectCopy) -> None:
    views = project_copy.folder / "project/api/users/views.py"
    views.write_text(f"{views.read_text()}\n\n{ENDPOINT}")
    operations = "project/api/openapi/operations.py"
    project_copy.insert(operations, '("post", "/users"): {', OPERATION)
    components = "project/api/openapi/components.py"
    project_copy.insert(components, '"ErrorResponse": {', SCHEMA)
    requests = [
        ("GET", "/openapi.json"),
        ("GET", "/users/example_count"),
        ("DELETE", "/users/example_count"),
        ("POST", "/users/example_count"),
        ("OPTIONS", "/users/example_count"),
        ("GET", "/users/unknown"),
        ("OPTIONS", "/users/unknown"),
        ("POST", "/users/unknown"),
        ("GET", "/users/1"),
    ]
    output = project_copy.run("-c", SCRIPT, input=json.dumps(requests))
    responses = {
        request: json.loads(line)
        for request, line in zip(requests, output.splitlines()[-len(requests) :])
    }
    paths = responses["GET", "/openapi.json"][2]["paths"]
    documented = paths["/users/example_count"]["get"]["responses"]["200"]["content"]
    examples = documented["application/json"]["examples"]
    # With the two users in the table.
    assert responses["GET", "/users/example_count"][2] == examples["done"]["value"]
    for method in ("DELETE", "POST", "OPTIONS"):
        status, allow, _ = responses[method, "/users/example_count"]
        assert status == (200 if method == "OPTIONS" else 405)
        assert sorted(allow.split(", ")) == ["GET", "HEAD", "OPTIONS"]
    status, _, body = responses["GET", "/users/unknown"]
    assert (status, body["message"]) == (404, "User does not exist")
    assert responses["OPTIONS", "/users/unknown"][0] == 200
    assert responses["POST", "/users/unknown"][0] == 405
    assert responses["GET", "/users/1"][2]["data"]["username"] == "ada"
