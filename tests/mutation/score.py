"""The score of the last ``mutmut run``, file by file, and what survived. Exits with 1 where a file is below the goal.

A mutant that only writes SQL in other letters is none: SQL does not tell them apart. Such are counted by themselves.
"""

import sys
from collections.abc import Iterator
from typing import NamedTuple

import click
from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import walk_mutatable_files
from tabulate import tabulate

GOAL_PERCENT = 90.0
NOTICED = {"killed", "timeout"}
SQL = ("SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WHERE ", "ON CONFLICT ", "AND ")


class Score(NamedTuple):
    """How many mutants of a file there were, and how many of them tests noticed."""

    file: str
    mutants: int
    noticed: int
    same: int
    survived: int

    @property
    def percent(self) -> float:
        return 100 * self.noticed / (self.noticed + self.survived)


def changed(name: str, data: SourceFileMutationData) -> tuple[str, str]:
    """The line of a mutant, before and after."""
    lines = [line for line in get_diff_for_mutant(name, path=data.path).splitlines()[2:] if line[:1] in ("-", "+")]
    before, after = ("".join(line[1:].strip() for line in lines if line[0] == sign) for sign in "-+")
    return before, after


def is_same(before: str, after: str) -> bool:
    return before.lower() == after.lower() and any(word.lower() in before.lower() for word in SQL)


def scores() -> Iterator[tuple[Score, list[tuple[str, str, str]]]]:
    """Of each file, and its survivors."""
    for path in walk_mutatable_files():
        data = SourceFileMutationData(path=path)
        data.load()
        status = {name: status_by_exit_code[code] for name, code in data.exit_code_by_key.items()}
        left = [(name, *changed(name, data)) for name, how in status.items() if how not in NOTICED]
        survivors = [one for one in left if not is_same(*one[1:])]
        same = len(left) - len(survivors)
        yield Score(str(path), len(status), len(status) - len(left), same, len(survivors)), survivors


def main() -> int:
    found = sorted(scores())
    for _, survivors in found:
        for name, before, after in survivors:
            click.echo(f"{name}\n  - {before}\n  + {after}")
    rows = [(*score, f"{score.percent:.1f} %") for score, _ in found]
    click.echo(tabulate(rows, ["file", "mutants", "noticed", "other letters in SQL", "survived", "score"]))
    return int(any(score.percent < GOAL_PERCENT for score, _ in found))


if __name__ == "__main__":
    sys.exit(main())
