"""What a test needs and not every machine has."""

import os
from typing import NoReturn

import pytest


def skip_or_fail(requirement: str) -> NoReturn:
    """Skip the test because a requirement is missing; in CI, fail it."""
    message = f"this test needs {requirement}"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)
