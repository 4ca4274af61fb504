"""Programs of the machine that a test needs: without one it is skipped, or fails where all have to be there."""

import os
import shutil

import pytest


def needed(program: str) -> str:
    """The path of a program; skips the test where it is missing, and fails it in continuous integration."""
    found = shutil.which(program)
    if found is None and os.environ.get("CI") == "true":
        pytest.fail(f"{program} is not installed")
    if found is None:
        pytest.skip(f"{program} is not installed")
    return found
