"""Lock the dependencies and write the requirements files."""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
LOCK = ROOT / "Pipfile.lock"
# The options of `pipenv requirements`. The embedded PostgreSQL is in neither file,
# because it has no wheel for the images' musl.
REQUIREMENTS = {
    "requirements.txt": ["--hash"],
    "requirements-dev.txt": ["--hash", "--dev"],
}


def run_pipenv(*arguments: str) -> str:
    """Run pipenv and return its output; exit if it fails."""
    result = subprocess.run(
        ["pipenv", *arguments],
        cwd=ROOT,
        # pipenv includes the index of pip's configuration in the Pipfile's hash, so
        # the lock would be out of date on machines with another index.
        env=os.environ | {"PIP_CONFIG_FILE": os.devnull},
        stdout=subprocess.PIPE,
        text=True,
    )
    if result.returncode:
        sys.exit(result.returncode)
    return result.stdout


def remove_indexes() -> None:
    """Remove the package indexes from the lock; each machine uses its own."""
    lock = json.loads(LOCK.read_text())
    lock["_meta"]["sources"] = []
    for category in lock.keys() - {"_meta"}:
        for package in lock[category].values():
            package.pop("index", None)
    LOCK.write_text(json.dumps(lock, indent=4, sort_keys=True) + "\n")


def render_requirements(options: list[str]) -> str:
    """Return the text of a requirements file, with one hash per line."""
    requirements = run_pipenv("requirements", *options)
    requirements = requirements.replace(" --hash", " \\\n    --hash")
    return f"# Made from Pipfile.lock by `pipenv run lock`.\n{requirements}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing, and fail if the lock or a requirements file is outdated",
    )
    check = parser.parse_args().check
    if check:
        run_pipenv("verify")
    else:
        run_pipenv("lock")
        remove_indexes()
    for name, options in REQUIREMENTS.items():
        path, text = ROOT / name, render_requirements(options)
        if not check:
            path.write_text(text)
        elif path.read_text() != text:
            sys.exit(f"{name} does not match Pipfile.lock: run `pipenv run lock`.")


if __name__ == "__main__":
    main()
