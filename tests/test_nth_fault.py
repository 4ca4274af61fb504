"""One story, told again and again: each time the next of all its statements, requests or sends fails.

It ends with the first run in which nothing is left to fail. Whatever failed, the clean polls and turns after it
bring everything to its end: nothing is lost, nothing is invented. ``FAULT_STRIDE`` in the environment says how
many runs are left out for each that is made (3; 1 is none): so each statement fails in one of three ways at least.
"""

import os
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import acts
import pytest
from broken import STUMBLING
from lives import MEMORY, Life, life
from points import Points, fails, no_trouble, unwatched, watched
from rest import rest
from scripted import ANSWERS
from upstream import FAULTS, Change

from poller.stores import StoreError
from poller.stores.opening import OpeningError
from poller.stores.reading import View
from poller.stores.sqlite import SqliteStore

STRIDE = int(os.environ.get("FAULT_STRIDE", "3"))
MOST = 2000
"""So many statements or requests the story has at most."""

CODES = ("SQLITE_BUSY", "SQLITE_FULL", "SQLITE_IOERR")
WAYS = ("reset", "hang", "status 500", "status 429", "status 401", "truncated", "html")
PASSING = ("reset", "hang", "status 500", "status 429")
"""What is tried again within a poll, so often."""

TRIES = 4


def begin(lived: Life) -> None:
    """There is something, and it is told."""
    lived.act(partial(acts.poll, lived, "clients"))
    lived.act(partial(acts.poll, lived, "prices"))
    lived.act(partial(acts.deliver_due, lived))


def go_on(lived: Life) -> None:
    """Much changes; all of it is polled, delivered, given up, sent again, and forgotten."""
    for kind in ("update", "create", "soft delete"):
        lived.world.change(Change(kind, "clients", 1, 2))
    lived.world.change(Change("hard delete", "prices", 0, 0))
    lived.world.change(Change("update", "prices", 1, 3))
    lived.receivers["all"].script.extend(["refused for good", "later", "lost yes"])
    lived.act(partial(acts.poll, lived, "clients"))
    lived.act(partial(acts.deliver_due, lived))
    lived.act(partial(acts.poll, lived, "prices", full=True))
    lived.act(partial(acts.deliver_due, lived))
    lived.act(partial(acts.retry, lived))
    lived.act(partial(acts.deliver_due, lived))
    lived.world.clock.advance(15 * 86_400_000)
    lived.act(partial(acts.tidy, lived))


def sweep(fail: Callable[[Life, int], Callable[[], bool]], first: int = 0, stride: int = 1) -> int:
    """Tell the story until nothing fails any more; how often something did. ``fail`` gives whether it has."""
    numbers = range(first % stride, MOST, stride)
    for told, number in enumerate(numbers):
        with life(records=4, page_cap=3) as lived:
            failed = fail(lived, number)
            begin(lived)
            go_on(lived)
            if not failed():
                return told
            lived.points.trouble = no_trouble
            rest(lived)
    raise AssertionError("the story does not end")


def statement(code: str) -> Callable[[Life, int], Callable[[], bool]]:
    """The statement of this number fails. SQLite takes the transaction back by itself where its disk is full."""

    def fail(lived: Life, number: int) -> Callable[[], bool]:
        lived.points.trouble = fails(number, code, rolled_back=code == "SQLITE_FULL")
        return lambda: bool(lived.points.errors)

    return fail


def request(way: str) -> Callable[[Life, int], Callable[[], bool]]:
    """The request of this number is answered in this way, so often that its poll fails."""

    def fail(lived: Life, number: int) -> Callable[[], bool]:
        struck = []
        for nth in range(number, number + (TRIES if way in PASSING else 1)):
            fault = FAULTS[way]()
            lived.simulator.faults.at(
                nth + 1, lambda asked, proper, fault=fault: struck.append(asked) or fault(asked, proper)
            )
        return lambda: bool(struck)

    return fail


def send(answer: str) -> Callable[[Life, int], Callable[[], bool]]:
    """The send of this number to the first sink is answered so."""

    def fail(lived: Life, number: int) -> Callable[[], bool]:
        lived.receivers["all"].script.extend(["yes"] * number + [answer])
        return lambda: answer not in lived.receivers["all"].script

    return fail


@pytest.mark.parametrize("code", CODES)
def test_any_statement_may_fail(figures, code):
    """The call that it is part of did not happen; the next one goes on from there."""
    failed = sweep(statement(code), CODES.index(code), STRIDE)
    figures(f"{failed} statements")
    assert failed * STRIDE > 200


@pytest.mark.parametrize("way", WAYS)
def test_any_request_may_fail(figures, way):
    """Its poll fails, proves nothing, and can be run again."""
    failed = sweep(request(way), WAYS.index(way), STRIDE)
    figures(f"{failed} requests")
    assert failed * STRIDE > 20


@pytest.mark.parametrize("answer", [answer for answer in ANSWERS if answer != "yes"])
def test_any_send_may_fail(figures, answer):
    """The event comes again, or is given up and then sent by an operator; all others come, too."""
    failed = sweep(send(answer))
    figures(f"{failed} sends")
    assert failed > 5


def test_the_disk_may_be_full_at_any_page(figures):
    """SQLite's own refusal, wherever it strikes: nothing is lost, and it all goes on once there is room."""
    for pages in range(0, MOST, STRIDE):
        with life(records=4, page_cap=3) as lived:
            begin(lived)
            ((used,),) = unwatched(lived.store._connection, "PRAGMA page_count")
            unwatched(lived.store._connection, f"PRAGMA max_page_count = {used + pages}")
            grow(lived)
            unwatched(lived.store._connection, "PRAGMA max_page_count = 1073741823")
            refused = lived.points.errors["SQLITE_FULL"]
            rest(lived)
        if not refused:
            figures(f"{pages} pages")
            assert pages > 5
            return
    raise AssertionError("it needs ever more room")


def grow(lived: Life) -> None:
    """There is much to remember, to tell, and to deliver."""
    for value in range(3):
        lived.world.change(Change("bulk create", "clients", 0, 6))
        lived.world.change(Change("bulk update", "clients", 0, value))
        lived.act(partial(acts.poll, lived, "clients"))
        lived.act(partial(acts.deliver_due, lived))


@pytest.mark.parametrize("build", STUMBLING.values(), ids=STUMBLING)
def test_a_broken_build_stumbles(build):
    """The sweep fails where a failure of the machine does harm."""
    with build(), pytest.raises(AssertionError):
        sweep(statement("SQLITE_BUSY"))


@pytest.fixture
def folder():
    with TemporaryDirectory(dir=MEMORY) as name:
        yield Path(name)


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("first", [True, False], ids=["first start", "later start"])
def test_a_start_may_fail_at_any_statement(folder, code, first):
    """It is said in so many words, be it at the end, and the next start finds the state as it was."""
    path = folder / "poller.db"
    if not first:
        SqliteStore(path, "it").close()
    for number in range(MOST):
        if first:
            path = folder / f"{number}.db"
        points = Points(path, folder / "grave", Counter())
        points.trouble = fails(number, code)
        with watched(points):
            try:
                SqliteStore(path, "it").close()
            except (OpeningError, StoreError):
                points.bury()
            else:
                assert number > 20
                return
        SqliteStore(path, "it").close()
        with View(path) as view:
            assert list(view.violations()) == []
    raise AssertionError("it never starts")
