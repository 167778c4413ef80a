"""Programs for Node.js: linters, generators of clients, axe-core, Kubernetes schemas.

`npm ci --ignore-scripts` installs them in PROGRAMS.
"""

from pathlib import Path

from project.tests.requirements import skip_or_fail

PROGRAMS = Path(__file__).parent / "npm"


def find_node_modules() -> Path:
    """Return the folder of the installed programs, or skip the test without them."""
    folder = PROGRAMS / "node_modules"
    if not folder.exists():
        skip_or_fail(f"Node.js 20.19 and `npm ci --ignore-scripts` in {PROGRAMS}")
    return folder
