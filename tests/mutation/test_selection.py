"""What mutmut asks of the tests that it runs."""

import os
import subprocess
import sys
import tomllib

import pytest
from mutated import ROOT

MUTMUT = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mutmut"]


def collected(names):
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-pno:cacheprovider", *names]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    return found.returncode, [line for line in found.stdout.splitlines() if "::" in line]


@pytest.mark.skipif("MUTANTS" not in os.environ, reason="make mutants asks: it takes some seconds")
def test_every_test_can_be_named():
    """Mutmut names those that it wants; where one has no such name, none runs, and each mutant counts as noticed."""
    _, names = collected(MUTMUT["pytest_add_cli_args_test_selection"])
    assert len(names) > 500
    assert collected(names) == (0, names)
