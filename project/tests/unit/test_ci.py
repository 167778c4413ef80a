"""The workflow, `.ci/run`, the README and the hook before commits agree."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
RUN = (ROOT / ".ci/run").read_text()
WORKFLOW = (ROOT / ".github/workflows/ci.yml").read_text()
# The labels of the case statement.
CHECKS = re.findall(r"^ {8}([\w-]+)\)$", RUN, re.M)
# Those that run if none is named.
DEFAULT_CHECKS = re.findall(r"set -- ([\w -]+)$", RUN, re.M)[0].split()


def test_workflow_runs_every_check_once() -> None:
    commands = re.findall(r"run: \.ci/run ([\w -]+)$", WORKFLOW, re.M)
    assert sorted(" ".join(commands).split()) == sorted(CHECKS)
    assert set(DEFAULT_CHECKS) < set(CHECKS)


@pytest.mark.parametrize("use", sorted({*re.findall(r"uses: (.+)$", WORKFLOW, re.M)}))
def test_action_is_pinned_by_hash(use: str) -> None:
    assert re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", use)


def test_ci_runs_the_command_of_the_readme() -> None:
    command = (
        "python3 project/python_version.py && python3 -m pip install pipenv"
        " && pipenv sync --all && pipenv run test"
    )
    assert f"\n    {command}\n" in (ROOT / "README.md").read_text()
    assert f" ({command})\n" in RUN


def test_pre_commit_runs_the_lint_script() -> None:
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    assert re.findall(r"^ +entry: (.+)$", hooks, re.M) == ["pipenv run lint"]
