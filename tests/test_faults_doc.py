"""docs/faults.md says what poller does in each fault, and which test makes that fault happen."""

import ast
import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

TESTS = Path(__file__).parent
TEXT = (TESTS.parent / "docs" / "faults.md").read_text()
MOST = 68


class Row(NamedTuple):
    number: int
    fault: str
    behaviour: str
    tests: str

    @property
    def names(self):
        return re.findall(r"`(\w+)`", self.tests)


ROWS = [
    Row(int(number), *cells)
    for number, *cells in re.findall(r"^\| (\d+) \| (.+) \| (.+) \| (.+) \|$", TEXT, re.MULTILINE)
]


def functions():
    """The names of all tests of faults, wherever they are."""
    for path in sorted(TESTS.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_fault"):
                yield node.name


NAMES = [*functions()]


def numbers(name):
    """The faults that a test is of: ``test_fault_25_26_what_is_no_list`` is of two."""
    found = re.match(r"test_fault((?:_\d\d)+)_[a-z]", name)
    return [int(number) for number in found[1].split("_")[1:]] if found else []


def test_every_fault_has_its_line():
    """Once, and in order."""
    assert [row.number for row in ROWS] == [*range(1, MOST + 1)]
    assert TEXT.count("\n| ") == len(ROWS) + 2 * TEXT.count("\n## ")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.number:02}")
def test_a_line_names_its_tests_or_says_why_there_is_none(row):
    """Each named test is there, and carries the number of the line."""
    if not row.names:
        assert re.fullmatch(r"none: .{20,}", row.tests)
    else:
        assert re.fullmatch(r"`\w+`(, `\w+`)*", row.tests)
    assert [name for name in row.names if name not in NAMES] == []
    assert [name for name in row.names if row.number not in numbers(name)] == []
    assert len(set(row.names)) == len(row.names)


@pytest.mark.parametrize("name", sorted(set(NAMES)))
def test_a_test_of_faults_is_named_in_their_lines(name):
    """In that of each number it carries; and no two have the same name."""
    assert numbers(name)
    assert [number for number in numbers(name) if name not in ROWS[number - 1].names] == []
    assert Counter(NAMES)[name] == 1
