"""Write the software bill of materials (SBOM) of the service, in CycloneDX format.

It lists the runtime packages, with their versions and the hashes of their files.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parent.parent

# cyclonedx-py reads the subject of the SBOM from such a file only.
PYPROJECT = """\
[project]
name = "users"
version = "{}"
"""


def read_version() -> str:
    """Return the version of the service."""
    source = (ROOT / "project" / "__init__.py").read_text()
    match = re.search(r'^__version__ = "(.+)"$', source, re.M)
    assert match
    return match[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "file", nargs="?", default="sbom.json", help="default: %(default)s"
    )
    file = parser.parse_args().file
    with TemporaryDirectory() as folder:
        pyproject = Path(folder) / "pyproject.toml"
        pyproject.write_text(PYPROJECT.format(read_version()))
        # It also validates the file. Its warning, that requirements.txt does not say
        # which package needs which, is not about a mistake.
        result = subprocess.run(
            [
                *(sys.executable, "-W", "ignore", "-m", "cyclonedx_py", "requirements"),
                *("--pyproject", str(pyproject), "--output-file", file),
                str(ROOT / "requirements.txt"),
            ]
        )
    sys.exit(result.returncode)


if __name__ == "__main__":
    main()
