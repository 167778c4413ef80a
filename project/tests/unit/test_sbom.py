"""`pipenv run sbom` lists what the lock contains."""

import json
import subprocess
import sys
from importlib.util import find_spec
from typing import Any

import pytest

from devtools.servers import ROOT
from project import __version__
from project.tests.requirements import skip_or_fail

pytestmark = pytest.mark.subprocess


@pytest.fixture(scope="module")
def sbom_json(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The text of the file."""
    if not find_spec("cyclonedx_py"):
        skip_or_fail("cyclonedx-bom: `pipenv sync --all`")
    path = tmp_path_factory.mktemp("sbom") / "sbom.json"
    script = ROOT / "scripts" / "sbom.py"
    subprocess.run([sys.executable, str(script), str(path)], check=True)
    return path.read_text()


@pytest.fixture
def sbom(sbom_json: str) -> Any:
    """The parsed file."""
    return json.loads(sbom_json)


def test_sbom_matches_the_schema_of_cyclonedx(sbom_json: str) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(sbom_json) is None


def test_sbom_is_of_this_version_of_the_service(sbom: Any) -> None:
    assert (sbom["bomFormat"], sbom["specVersion"]) == ("CycloneDX", "1.6")
    assert sbom["metadata"]["timestamp"]
    component = sbom["metadata"]["component"]
    assert (component["name"], component["version"]) == ("users", __version__)


def test_sbom_lists_exactly_the_locked_runtime_packages(sbom: Any) -> None:
    lock = json.loads((ROOT / "Pipfile.lock").read_text())["default"]
    listed = {
        component["name"]: (
            f"=={component['version']}",
            {
                f"sha256:{digest['content']}"
                for reference in component["externalReferences"]
                for digest in reference["hashes"]
            },
        )
        for component in sbom["components"]
    }
    assert len(sbom["components"]) == len(listed)
    assert listed == {
        name: (package["version"], set(package["hashes"]))
        for name, package in lock.items()
    }
