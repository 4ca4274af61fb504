"""Figures: how a piece of work is timed, several times over, and how the results are shown."""

import os
import platform
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

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


@dataclass(frozen=True)
class Figure:
    """One line of the report: ``samples`` by column, one of each run. ``target`` is for the last column."""

    name: str
    samples: dict[str, list[float]]
    target: str = ""

    def median(self, column: str) -> float:
        """The figure itself."""
        return statistics.median(self.samples[column])

    def row(self) -> list[str]:
        """Medians with their range, as text."""
        return [self.name, *(_cell(values) for values in self.samples.values()), self.target]


@dataclass(frozen=True)
class Table:
    """Figures of one kind and unit."""

    title: str
    figures: Sequence[Figure] = field(default_factory=list)

    def text(self) -> str:
        """The table for people."""
        rows = [["", *self.figures[0].samples, "target"], *(figure.row() for figure in self.figures)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join([self.title, *(_line(row, widths) for row in rows)])

    def json(self) -> dict[str, Any]:
        """The table for programs, every run in it."""
        rows = [
            {
                "name": figure.name,
                "target": figure.target,
                "median": {column: figure.median(column) for column in figure.samples},
                "samples": figure.samples,
            }
            for figure in self.figures
        ]
        return {"title": self.title, "figures": rows}


def rates(name: str, count: int, runs: int, work: Callable[[], Timing], target: str = "") -> Figure:
    """Do ``work`` on ``count`` things so many times: how many a second of CPU, and a second of the clock."""
    timings = [work() for _ in range(runs)]
    return Figure(
        name,
        {
            "a second of CPU": [count / timing.cpu_s for timing in timings],
            "a second": [count / timing.wall_s for timing in timings],
        },
        target,
    )


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
    middle = _number(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({_number(min(values))} - {_number(max(values))})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
    return "  " + "   ".join(cells).rstrip()
