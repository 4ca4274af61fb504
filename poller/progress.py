"""How far long work is, in a terminal: one line on standard error that is written anew and taken away at the end.

Nothing is shown where standard error is no terminal. The cursor waits at the line's beginning, so that a line of the
log that comes meanwhile is written over it.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import get_terminal_size

from poller.stores import Standing, StoreError, reading
from poller.stores.opening import OpeningError

AFTER_S = 0.7
"""What is over by then shows no progress."""

EVERY_S = 0.3
_ERASE = "\r\x1b[K"

Words = Callable[[], str | None]
"""How far it is; None when there is no more to say."""


@contextmanager
def progress(what: str, words: Words = lambda: "") -> Iterator[None]:
    """Show how far ``what`` is for as long as the block takes, from ``AFTER_S`` on."""
    if sys.stderr is None or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield
        return
    over = threading.Event()
    thread = threading.Thread(target=_show, args=(what, words, over), name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(1.0)  # a terminal that was stopped takes nothing


def _show(what: str, words: Words, over: threading.Event) -> None:
    began_s = time.monotonic()
    if over.wait(AFTER_S):
        return
    with suppress(OSError, ValueError):  # the terminal is gone, or closed
        while not over.is_set() and (told := words()) is not None:
            _write(_ERASE + line(what, told, time.monotonic() - began_s, get_terminal_size().columns) + "\r")
            over.wait(EVERY_S)
        _write(_ERASE)


def line(what: str, told: str, span_s: float, columns: int) -> str:
    """The line, not wider than the terminal: what, how far, and for how long."""
    text = f"{what}: {told}, {span_s:.0f} s" if told else f"{what}: {span_s:.0f} s"
    return text[: max(1, columns - 1)]


def _write(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def polled(state: Path, least: int = 0) -> Words:
    """How far the reading of whole listings is, as the state tells; over when ``least`` streams are read, if any."""
    told = ""

    def words() -> str | None:
        nonlocal told
        with suppress(OpeningError, StoreError), reading.View(state) as view:
            standings = view.streams()
            told = read(standings)
            if least and len(standings) >= least and not any(map(_under_way, standings)):
                return None
        return told

    return words


def read(standings: list[Standing]) -> str:
    """How many streams are read to their end, and the records that are known."""
    done = sum(not _under_way(one) for one in standings)
    return f"{sum(one.progress.live for one in standings):,} records, {done} of {len(standings)} streams read"


def _under_way(one: Standing) -> bool:
    """Whether its listing is being read, or is to be; what fails or is denied is not waited for."""
    if one.suspended or one.paused or one.failures:
        return False
    return one.progress.sweep is not None or one.progress.baselined_ms is None


def written(part: Path, whole: Path) -> Words:
    """How much of a file is written, beside the size of that which it is a copy of."""

    def words() -> str:
        with suppress(OSError):
            return f"{100 * part.stat().st_size / max(1, whole.stat().st_size):.0f} %"
        return ""

    return words
