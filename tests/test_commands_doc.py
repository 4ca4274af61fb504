"""Commands that the documentation and the deployment files show are commands that there are."""

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from poller.cli import main

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "systemd/README.md",
]
UNITS = sorted((ROOT / "systemd").glob("*.service"))


def shown(path):
    """What stands in code and begins with poller, by itself or by its path; up to what the shell makes of the rest."""
    text = path.read_text()
    code = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    code += [
        line for block in re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL) for line in block.split("\n")
    ]
    code += re.findall(r"^Exec[A-Za-z]+=(.*)$", text, re.MULTILINE)
    found = (re.match(r"(?:sudo )?(?:[\w./]+/)?poller ((?! )[^|>;#()]+)", line.strip()) for line in code)
    return {match[1].strip() for match in found if match}


@pytest.mark.parametrize("path", [*PAGES, *UNITS], ids=lambda path: path.name)
def test_every_command_is_understood(path):
    """Its name and its options; so that what is copied and pasted, and what systemd starts, is no wrong usage."""
    wrong = {}
    for command in shown(path):
        done = CliRunner().invoke(main, [*shlex.split(command), "--help"])
        if done.exit_code:
            wrong[command] = done.output
    assert wrong == {}


def test_commands_are_found():
    """There would be nothing to see otherwise."""
    assert "dead retry" in shown(ROOT / "docs/operating.md")
    assert all(len(shown(unit)) == 2 for unit in UNITS)
