"""Lock the dependencies and write the requirements files from the lock.

`pipenv run lock` after a change to the Pipfile; `pipenv run lock --check` changes
nothing and fails where the Pipfile, its lock and the requirements files differ.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
LOCK = ROOT / "Pipfile.lock"
# The embedded server is in neither file: it has no wheel for the images' musl.
REQUIREMENTS = {
    "requirements.txt": ["--hash"],
    "requirements-dev.txt": ["--hash", "--dev"],
}


def pipenv(*arguments):
    """Run pipenv in the project and return what it prints.

    Raises:
        SystemExit: pipenv failed; what it said is on standard error.
    """
    done = subprocess.run(
        ["pipenv", *arguments],
        cwd=ROOT,
        # An index of the machine's pip would be part of the Pipfile's hash, and the
        # lock out of date on every other machine.
        env=os.environ | {"PIP_CONFIG_FILE": os.devnull},
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        sys.exit(done.returncode)
    return done.stdout


def forget_index():
    """Empty the lock's sources: whoever installs uses their own machine's index."""
    lock = json.loads(LOCK.read_text())
    lock["_meta"]["sources"] = []
    for category in lock.keys() - {"_meta"}:
        for package in lock[category].values():
            package.pop("index", None)
    LOCK.write_text(json.dumps(lock, indent=4, sort_keys=True) + "\n")


def render(options):
    """Return the text of a requirements file, one hash a line.

    Args:
        options: the options of `pipenv requirements`.
    """
    pinned = pipenv("requirements", *options).replace(" --hash", " \\\n    --hash")
    return f"# Made from Pipfile.lock by `pipenv run lock`.\n{pinned}"


def main(check):
    """Lock and write, or only check.

    Args:
        check: whether to compare instead of writing.

    Raises:
        SystemExit: the files differ from what the Pipfile asks for.
    """
    if check:
        pipenv("verify")
    else:
        pipenv("lock")
        forget_index()
    for name, options in REQUIREMENTS.items():
        path, text = ROOT / name, render(options)
        if not check:
            path.write_text(text)
        elif path.read_text() != text:
            sys.exit(f"{name} is not what Pipfile.lock says: run `pipenv run lock`.")


if __name__ == "__main__":
    main(check="--check" in sys.argv[1:])
