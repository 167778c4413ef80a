"""The commands of examples/README.md generate clients and run the examples.

The types of each client are checked strictly.
"""

import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from devtools.servers import ROOT, clean_environment, start_gunicorn
from project.tests.node import find_node_modules
from project.tests.requirements import skip_or_fail
from project.tests.types import AddUser

pytestmark = pytest.mark.server

EXAMPLES = ROOT / "examples"
# The heading and the commands of each example.
SECTION = re.compile(r"^## (.*?)\n.*?^```sh\n(.*?)^```$", re.M | re.S)
COMMANDS: dict[str, str] = dict(SECTION.findall((EXAMPLES / "README.md").read_text()))
INSTALLATION = re.compile(r"^(npm|pip) install .*\n", re.M)
TOKEN = "the-token-of-the-examples"
OUTPUT = """\
mary@example.com was added!
The address is taken.
mary is active.
The username is admiral.
The user has changed.
4 users
found: admiral
mary@example.com was removed!
"""


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    """A copy of the examples, so that no generated file is in the project."""
    return shutil.copytree(
        EXAMPLES,
        tmp_path / "examples",
        ignore=shutil.ignore_patterns("node_modules", "client", "users_client"),
    )


@pytest.fixture
def service_url(add_user: AddUser, database_url: str) -> Iterator[str]:
    """The service with three users, so that the list has several pages."""
    for number in range(3):
        add_user(f"user{number}", f"user{number}@example.com")
    with start_gunicorn(database_url, API_TOKENS=TOKEN) as (url, _):
        yield url


def run_shell(script: str, folder: Path, **variables: str) -> str:
    """Run the commands of a script, of which none may fail, and return the output."""
    result = subprocess.run(
        ["sh", "-euc", script],
        cwd=folder,
        env={**clean_environment(), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert result.returncode == 0, result.stdout
    return result.stdout


def run_example(heading: str, examples: Path, url: str) -> str:
    """Run an example as examples/README.md describes it, and return the output.

    The packages are installed already, in locked versions.
    """
    commands = INSTALLATION.sub("", COMMANDS[heading])
    return run_shell(
        commands.replace("http://127.0.0.1:5000", url),
        examples,
        USERS_URL=url,
        USERS_TOKEN=TOKEN,
    )


def test_curl_example(examples: Path, service_url: str) -> None:
    if not shutil.which("jq"):
        skip_or_fail("jq")
    assert run_example("curl", examples, service_url) == OUTPUT


@pytest.mark.parametrize(
    "folder, heading",
    [
        ("openapi-typescript", "TypeScript with openapi-typescript"),
        ("hey-api", "TypeScript with @hey-api/openapi-ts"),
    ],
)
def test_typescript_example(
    examples: Path, service_url: str, folder: str, heading: str
) -> None:
    """The compiler's options, which include `strict`, are in tsconfig.json."""
    # A symbolic link would hide tsconfig.json from openapi-ts.
    shutil.copytree(
        find_node_modules(), examples / folder / "node_modules", symlinks=True
    )
    output = run_example(heading, examples, service_url)
    assert output.endswith(f"\n{OUTPUT}")


def test_python_example(examples: Path, service_url: str) -> None:
    for module in ("openapi_python_client", "mypy"):
        if importlib.util.find_spec(module) is None:
            skip_or_fail(f"{module}: `pipenv sync --all`")
    output = run_example("Python with openapi-python-client", examples, service_url)
    assert output.endswith(f"\n{OUTPUT}")
    run_shell(
        f"{sys.executable} -m mypy --strict --follow-imports=silent example.py",
        examples / "openapi-python-client",
    )
