"""Virtual environments of the benchmarks and of the failure tests."""

import re

import pytest

from devtools.servers import ROOT


@pytest.mark.parametrize("folder", ["benchmarks", "deploy/cluster"])
def test_packages_are_locked_by_hash_without_an_index(folder: str) -> None:
    locked = (ROOT / folder / "requirements.txt").read_text()
    packages = re.findall(r"^[a-z].*==.*\\$", locked, re.M)
    assert len(packages) > 10
    assert locked.count("\n    --hash=") >= len(packages)
    assert "://" not in locked
