"""Look up all locked packages in the OSV database of known vulnerabilities.

It fails if a package has one, or if the database does not answer. setup.cfg lists the
vulnerabilities to ignore.
"""

import argparse
import json
import re
import subprocess
import sys
from configparser import ConfigParser
from datetime import date
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

ROOT = Path(__file__).parent.parent
LOCK = ROOT / "Pipfile.lock"

IGNORED = re.compile(r"(?P<id>\S+) until (?P<day>\S+): (?P<reason>.+)")


def parse_day(text: str) -> date | None:
    """Return the date, or None if the text is not a date."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def read_ignored() -> list[str]:
    """Return the ids of the vulnerabilities to ignore; exit if one has expired."""
    config = ConfigParser(interpolation=None)
    config.read(ROOT / "setup.cfg")
    ids = []
    for line in config.get("audit", "ignore").strip().splitlines():
        match = IGNORED.fullmatch(line)
        day = parse_day(match["day"]) if match else None
        if not match or not day:
            sys.exit(f"setup.cfg, [audit]: write `ID until YYYY-MM-DD: reason`: {line}")
        if day < date.today():
            sys.exit(
                f"setup.cfg, [audit]: {match['id']} is no longer ignored: upgrade the"
                " package and remove the line, or set a later date if the reason still"
                f" holds: {match['reason']}"
            )
        ids.append(match["id"])
    return ids


def query(
    packages: dict[str, Any], ignored: list[str], options: list[str]
) -> list[dict[str, Any]]:
    """Return what pip-audit reports about each package; exit if it cannot.

    Args:
        packages: a category of the lock.
        options: more options of pip-audit.
    """
    with NamedTemporaryFile("w", suffix=".txt") as requirements:
        for name, package in packages.items():
            # Without its marker, so that packages for other machines are included.
            # pip-audit accepts only hashed requirements without installing them.
            hashes = " ".join(f"--hash={digest}" for digest in package["hashes"])
            print(f"{name}{package['version']} {hashes}", file=requirements)
        requirements.flush()
        result = subprocess.run(
            [
                *(sys.executable, "-m", "pip_audit", "--strict", "--disable-pip"),
                *("--requirement", requirements.name, "--format", "json"),
                *("--vulnerability-service", "osv", "--progress-spinner", "off"),
                *(word for id in ignored for word in ("--ignore-vuln", id)),
                *options,
            ],
            capture_output=True,
            text=True,
        )
    # The exit status is 1 for a vulnerability and for a failure.
    try:
        reports: list[dict[str, Any]] = json.loads(result.stdout)["dependencies"]
    except ValueError:
        cause = result.stderr.strip().rpartition("\n")[2]
        sys.exit(
            "The audit is not complete: run `pipenv sync --all`, check that the"
            " database of vulnerabilities can be reached, then try again. Cause:"
            f" {cause}"
        )
    if len(reports) != len(packages):
        sys.exit(f"pip-audit looked up {len(reports)} of {len(packages)} packages.")
    return reports


def describe(package: dict[str, Any], found: dict[str, Any]) -> str:
    """Return a line about a vulnerability of a package."""
    ids = ", ".join([found["id"], *sorted(found["aliases"])])
    fixed = f"fixed in {', '.join(found['fix_versions'])}"
    if not found["fix_versions"]:
        fixed = "no version fixes it"
    return f"{package['name']} {package['version']}: {ids}: {fixed}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--osv-url", help="the URL of a mirror of the database")
    osv_url = parser.parse_args().osv_url
    options = ["--osv-url", osv_url] if osv_url else []
    ignored = read_ignored()
    lock = json.loads(LOCK.read_text())
    del lock["_meta"]
    # The categories of the lock that each vulnerability is in.
    vulnerabilities: dict[str, set[str]] = {}
    for category, packages in lock.items():
        for package in query(packages, ignored, options):
            for found in package["vulns"]:
                line = describe(package, found)
                vulnerabilities.setdefault(line, set()).add(category)
    for line, categories in vulnerabilities.items():
        kind = "production" if "default" in categories else "development"
        print(f"{kind}: {line}")
    if vulnerabilities:
        sys.exit(
            "Upgrade the packages with `pipenv run lock`, or ignore a vulnerability in"
            " setup.cfg, [audit]."
        )
    names = {name for packages in lock.values() for name in packages}
    print(f"No known vulnerability in {len(names)} packages; {len(ignored)} ignored.")


if __name__ == "__main__":
    main()
