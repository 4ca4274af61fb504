"""What mutmut asks of the tests that it runs."""

import json
import os
import subprocess
import sys
import tomllib

import pytest
from mutated import ROOT

SELECTED = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mutmut"]["pytest_add_cli_args_test_selection"]
COLLECT = """
import json, sys, pytest

class Names:
    def pytest_collection_modifyitems(self, items):
        self.names = [item.nodeid for item in items]

found, again = Names(), Names()
for plugin, wanted in ((found, sys.argv[1:]), (again, [])):
    assert pytest.main(["--collect-only", "-qq", "-pno:cacheprovider", *(wanted or found.names)], [plugin]) == 0
print()
print(json.dumps([found.names, again.names]))
"""


@pytest.mark.skipif("MUTANTS" not in os.environ, reason="make mutants asks: it takes some seconds")
def test_every_test_can_be_named():
    """Mutmut names those that it wants; where one has no such name, none runs, and each mutant counts as noticed."""
    command = [sys.executable, "-c", COLLECT, *SELECTED]
    collected = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert collected.returncode == 0, collected.stdout
    found, again = json.loads(collected.stdout.splitlines()[-1])
    assert len(found) > 500
    assert again == found
