"""Measure speed and memory; the entry of ``make bench``."""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import agenda
import core
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
import sustained
from figures import Table, machine

from poller import log

Section = Callable[[argparse.Namespace], Sequence[Table]]

SECTIONS: dict[str, Section] = {
    "core": lambda asked: [core.report(asked.records, asked.runs)],
    "idle": lambda asked: [idle.report(asked.polls, asked.runs)],
    "routing": lambda asked: [routing.report(asked.events, asked.runs)],
    "delivery": lambda asked: [delivery.report(asked.events, asked.runs)],
    "sustained": lambda asked: sustained.report(asked.events, asked.runs),
    "latency": lambda asked: [latency.report(min(asked.events, 200), asked.runs)],
    "scrape": lambda asked: [scrape.report(asked.runs)],
    "memory": lambda asked: [memory.report(asked.records)],
    "pages": lambda asked: [pages.report(asked.page_mb)],
    "schedule": lambda asked: schedule.report(asked.hours, asked.orgs),
    "agenda": lambda asked: [agenda.report(asked.streams, asked.polls // 2, asked.runs)],
    "startup": lambda asked: [startup.report(asked.runs)],
    "restart": lambda asked: [restart.report(asked.records, asked.runs)],
}
"""What is measured, by name, in this order."""


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__)
    parser.add_argument("--records", type=int, default=100_000, help="records of the stream (default: %(default)s)")
    parser.add_argument("--events", type=int, default=5_000, help="events to deliver (default: %(default)s)")
    parser.add_argument("--polls", type=int, default=2_000, help="idle polls (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=3, help="repetitions; medians are shown (default: %(default)s)")
    parser.add_argument("--streams", type=int, default=20_000, help="streams on the agenda (default: %(default)s)")
    parser.add_argument("--page-mb", type=int, default=31, help="size of the worst pages (default: %(default)s)")
    parser.add_argument("--orgs", type=int, default=200, help="organizations to schedule (default: %(default)s)")
    parser.add_argument("--hours", type=float, default=12, help="simulated time to schedule (default: %(default)s)")
    parser.add_argument("--only", choices=SECTIONS, action="append", help="measure only this; may be repeated")
    parser.add_argument("--json", type=Path, help="write all samples to this file too")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Print one table after the other; medians, and the range in parentheses."""
    asked = _arguments(argv)
    log.configure("error")
    about = machine()
    print("\n".join(f"{name:13} {value}" for name, value in about.items()))
    tables = []
    for name in asked.only or SECTIONS:
        for table in SECTIONS[name](asked):
            tables.append(table)
            print("\n" + table.text(), flush=True)
    if asked.json:
        asked.json.write_text(json.dumps({"machine": about, "tables": [table.json() for table in tables]}, indent=1))


if __name__ == "__main__":
    main()
