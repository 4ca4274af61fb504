"""Measure speed and memory; the entry of ``make bench``."""

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path

import agenda
import conditions
import core
import curves
import deletions
import delivery
import idle
import latency
import memory
import pages
import restart
import routing
import schedule
import scrape
import startup
import streams
import sustained
from figures import Table, machine, say
from publish import publish

from poller import log

DOCS = Path(__file__).parent.parent / "docs"

Section = Callable[[argparse.Namespace], Iterable[Table]]

SECTIONS: dict[str, Section] = {
    "core": lambda asked: core.report(asked.records, asked.runs),
    "conditions": lambda asked: [conditions.report(asked.records, asked.runs)],
    "idle": lambda asked: [idle.report(asked.polls, asked.runs)],
    "routing": lambda asked: [routing.report(asked.events, asked.runs)],
    "delivery": lambda asked: [delivery.report(asked.events, asked.runs)],
    "sustained": lambda asked: sustained.report(asked.events, asked.runs),
    "latency": lambda asked: [latency.report(min(asked.events, 200), asked.runs)],
    "scrape": lambda asked: [scrape.report(asked.runs)],
    "memory": lambda asked: [memory.report(asked.records)],
    "pages": lambda asked: [pages.report(asked.page_mb)],
    "schedule": lambda asked: schedule.report(asked.hours, asked.orgs),
    "deletions": lambda asked: deletions.report(min(asked.records, 10_000), asked.runs),
    "agenda": lambda asked: [agenda.report(asked.streams, asked.polls // 2, asked.runs)],
    "startup": lambda asked: [startup.report(asked.runs)],
    "curves": lambda asked: curves.report(asked.polls, long=asked.long, docs=DOCS if asked.docs else None),
    "streams": lambda asked: [streams.report()] if asked.long else [],
    "restart": lambda asked: [restart.report(asked.records, asked.runs)],
}
"""What is measured, by name, in this order."""


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__)
    parser.add_argument("--records", type=int, default=20_000, help="records of the stream (default: %(default)s)")
    parser.add_argument("--events", type=int, default=5_000, help="events to deliver (default: %(default)s)")
    parser.add_argument("--polls", type=int, default=2_000, help="idle polls (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=3, help="repetitions; medians are shown (default: %(default)s)")
    parser.add_argument("--streams", type=int, default=20_000, help="streams on the agenda (default: %(default)s)")
    parser.add_argument("--page-mb", type=int, default=31, help="size of the worst pages (default: %(default)s)")
    parser.add_argument("--orgs", type=int, default=200, help="organizations to schedule (default: %(default)s)")
    parser.add_argument("--hours", type=float, default=12, help="simulated time to schedule (default: %(default)s)")
    parser.add_argument("--only", choices=SECTIONS, action="append", help="measure only this; may be repeated")
    parser.add_argument("--long", action="store_true", help="the long ends of curves too, which takes half an hour")
    parser.add_argument("--docs", action="store_true", help="write tables and curves into docs/")
    parser.add_argument("--json", type=Path, help="write all samples to this file too")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Print one table after the other; medians, and the range in parentheses."""
    asked = _arguments(argv)
    log.configure("error")
    about, sections = machine(), asked.only or SECTIONS
    tables = say(about, (table for name in sections for table in SECTIONS[name](asked)), asked.json)
    if asked.docs:
        publish(DOCS / "performance.md", about, tables)


if __name__ == "__main__":
    main()
