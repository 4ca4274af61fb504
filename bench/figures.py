"""Figures: how a piece of work is timed, several times over, and how the results are shown."""

import json
import os
import platform
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

PACKAGES = ("httpx", "msgspec", "sqlite-utils", "apscheduler", "pydantic")


@dataclass
class Timing:
    """What a piece of work took: CPU of this process, all its threads, and the clock on the wall."""

    cpu_s: float = 0.0
    wall_s: float = 0.0


@contextmanager
def timed() -> Iterator[Timing]:
    """Time the block; the answer is complete when it ends."""
    timing, wall_s, cpu_s = Timing(), time.perf_counter(), time.process_time()
    yield timing
    timing.cpu_s, timing.wall_s = time.process_time() - cpu_s, time.perf_counter() - wall_s


class Target(NamedTuple):
    """What a median has to be: ``sign`` is ``<=`` or ``>=``; of the last column where none is named."""

    sign: str
    limit: float
    column: str = ""

    def __str__(self) -> str:
        return f"{self.sign} {number(self.limit)} {self.column}".rstrip()

    def met(self, measured: float) -> bool:
        """Whether that is so."""
        return measured <= self.limit if self.sign == "<=" else measured >= self.limit


def most(limit: float, column: str = "") -> Target:
    """It is to be no more."""
    return Target("<=", limit, column)


def least(limit: float, column: str = "") -> Target:
    """It is to be no less."""
    return Target(">=", limit, column)


@dataclass(frozen=True)
class Figure:
    """One line of the report: ``samples`` by column, one of each run, and what they are to be."""

    name: str
    samples: dict[str, list[float]]
    targets: tuple[Target, ...] = ()

    def median(self, column: str) -> float:
        """The figure itself."""
        return statistics.median(self.samples[column])

    def measured(self, target: Target) -> float:
        """The median of the column that a target is for."""
        return self.median(target.column or list(self.samples)[-1])

    def row(self) -> list[str]:
        """Medians with their range, and the targets, as text."""
        return [self.name, *(_cell(values) for values in self.samples.values()), "; ".join(map(str, self.targets))]


@dataclass(frozen=True)
class Table:
    """Figures of one kind and unit."""

    title: str
    figures: Sequence[Figure] = field(default_factory=list)

    def text(self) -> str:
        """The table for people."""
        rows = [["", *self.figures[0].samples, "target"], *(figure.row() for figure in self.figures)]
        return grid(self.title, rows)

    def json(self) -> dict[str, Any]:
        """The table for programs, every run in it."""
        rows = [
            {
                "name": figure.name,
                "targets": [
                    target._asdict() | {"measured": figure.measured(target), "met": target.met(figure.measured(target))}
                    for target in figure.targets
                ],
                "median": {column: figure.median(column) for column in figure.samples},
                "samples": figure.samples,
            }
            for figure in self.figures
        ]
        return {"title": self.title, "figures": rows}


def rates(name: str, count: int, runs: int, work: Callable[[], Timing], *targets: Target) -> Figure:
    """Do ``work`` on ``count`` things so many times: how many a second of CPU, and a second of the clock."""
    timings = [work() for _ in range(runs)]
    return Figure(
        name,
        {
            "a second of CPU": [count / timing.cpu_s for timing in timings],
            "a second": [count / timing.wall_s for timing in timings],
        },
        targets,
    )


class Verdict(NamedTuple):
    """What was promised of a figure, and what was measured."""

    name: str
    target: str
    measured: float
    met: bool

    def row(self) -> list[str]:
        """The verdict as text."""
        return [self.name, self.target, number(self.measured), "met" if self.met else "MISSED"]


def verdicts(tables: Iterable[Table]) -> list[Verdict]:
    """One for every target of these tables."""
    return [
        Verdict(
            f"{table.title.partition(':')[0]}: {figure.name}",
            str(target),
            figure.measured(target),
            target.met(figure.measured(target)),
        )
        for table in tables
        for figure in table.figures
        for target in figure.targets
    ]


def grid(title: str, rows: Sequence[Sequence[str]]) -> str:
    """Rows as text, the first column to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join([title, *(_line(row, widths) for row in rows)])


def say(about: Mapping[str, str], tables: Iterable[Table], written: Path | None) -> list[Table]:
    """Print the machine, each table as soon as it is there, and the targets; write the same as JSON; the tables."""
    print("\n".join(f"{name:13} {value}" for name, value in about.items()))
    shown = []
    for table in tables:
        shown.append(table)
        print("\n" + table.text(), flush=True)
    judged = verdicts(shown)
    if judged:
        print("\n" + grid("Targets", [["", "target", "measured", ""], *(verdict.row() for verdict in judged)]))
    if written:
        said: dict[str, Any] = {"machine": dict(about), "tables": [table.json() for table in shown]}
        written.write_text(json.dumps(said | {"targets": [verdict._asdict() for verdict in judged]}, indent=1))
    return shown


def machine() -> dict[str, str]:
    """What the figures depend on."""
    return {
        "machine": f"{_processor()}, {_cores()} cores, {platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        **{name: version(name) for name in PACKAGES},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 0


def _cell(values: Sequence[float]) -> str:
    middle = number(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({number(min(values))} - {number(max(values))})"


def number(value: float) -> str:
    """A figure as people read it."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
    return "  " + "   ".join(cells).rstrip()
