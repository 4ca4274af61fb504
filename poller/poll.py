"""Loop one: list, diff, commit. One poll follows one stream.

A poll has an increment (what changed since the watermark), and now and then a sweep (the complete
listing) or a count (the cheap check). Each page is one transaction, and nothing is asked of the network
inside one. An answer that is not whole ends the poll by a ``SourceError``: what was committed before it
stands, the watermark stays where it was, and no absence is concluded.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from threading import Lock

import structlog

from poller import diff, overlap
from poller.absence import counts, disagreement, settle_missing
from poller.model import Page, State, Stream
from poller.running import CHUNK_MARKS, UNREAD, Poll, Tools, began_ms, moved
from poller.search import search
from poller.sources import Increment, ParentGone, Sweep
from poller.stores import Pass
from poller.sweep import sweep

log = structlog.get_logger()

WOBBLE_MS = 30_000
"""By so much a watermark may go back by itself: it is ``Date`` less the time that the request took."""


def poll(tools: Tools, stream: Stream, *, full: bool = False) -> int:
    """Run one poll of ``stream``, its parent's first where it has one; how many events it made.

    ``full`` makes it sweep at once, digests included. Raises ``SourceError`` or ``StoreError``; the same
    poll can then be run again at any time.
    """
    parent = tools.plan.watches[stream.resource].resource.parent
    before = poll(tools, Stream(stream.org, parent), full=full) if parent else 0
    with tools.turns.setdefault(stream, Lock()), tools.polling(stream.name):
        run = Poll(tools, stream)
        if run.progress.baselined_ms is None:
            sweep(run, Pass.BASELINE)
        else:
            _follow(run, full=full)
    if run.events:
        log.info("stream.changed", stream=stream.name, events=run.events)
    return before + run.events


def _follow(run: Poll, *, full: bool) -> None:
    _increment(run)
    with suppress(ParentGone):  # between two requests: its own stream will tell, and the next poll goes on
        _look_closer(run, full=full)


def _look_closer(run: Poll, *, full: bool) -> None:
    if run.decision:
        settle_missing(run)  # before a sweep adds to what was decided about
    progress = run.progress
    if full and progress.sweep and progress.sweep.kind != Pass.FULL:
        run.commit(replace(progress, sweep=None))  # the rest of a sweep of stamps would not do
    if full or progress.sweep or run.tools.now_ms() >= progress.next_sweep_ms:
        sweep(run, Pass.FULL if full or progress.sweeps % run.watch.full_every == 0 else Pass.IDS)
    elif progress.missing and progress.held_ms is None:
        settle_missing(run)
    elif progress.polls % run.watch.count_every == 0:
        _check_count(run)


def _increment(run: Poll) -> None:
    """What changed since the watermark of each listing; a listing without one is new and read whole."""
    _enter_new(run)
    watermarks = dict(run.progress.watermarks)
    for parent in run.parents:
        try:
            watermarks[parent] = _read(run, parent, watermarks[parent])
        except ParentGone:
            run.tools.store.sweep_soon(run.parent_stream())
    for parent in _orphaned(run):
        _end(run, parent)
        del watermarks[parent]
    wobble_ms = min(WOBBLE_MS, int(run.watch.overlap_s * 1000))
    went_back = any(time_ms + wobble_ms < run.progress.watermarks[parent] for parent, time_ms in watermarks.items())
    sweep_ms = 0 if went_back else run.progress.next_sweep_ms  # the server's clock was ahead: look at everything
    run.commit(replace(run.progress, watermarks=watermarks, polls=run.progress.polls + 1, next_sweep_ms=sweep_ms))


def _enter_new(run: Poll) -> None:
    """Keep that a listing is read before any of its records: else nobody would miss them once it is gone."""
    new = {parent: UNREAD for parent in run.parents if parent not in run.progress.watermarks}
    if new:
        run.commit(replace(run.progress, watermarks={**run.progress.watermarks, **new}))


def _read(run: Poll, parent: str, since_ms: int) -> int:
    """Read one listing; the watermark to go on from next time."""
    overlap_ms = int(overlap.span_s(run.progress.late, run.watch.overlap_s) * 1000)
    query = Sweep("", bodies=True) if since_ms == UNREAD else Increment(since_ms - overlap_ms)
    watermark_ms: int | None = None
    for page in run.tools.source.list(run.stream, query, parent):
        watermark_ms = began_ms(watermark_ms, page, run.tools.now_ms())
        if page.records or page.quarantined:
            _take(run, page, parent, since_ms, watermark_ms)
    return since_ms if watermark_ms is None else watermark_ms


def _take(run: Poll, page: Page, parent: str, since_ms: int, watermark_ms: int | None) -> None:
    marks = run.tools.store.marks(run.stream, {record.id for record in page.records})
    findings, quarantined = run.look(page.records, marks, run.rules(), parent)
    if findings or page.quarantined or quarantined:  # else it is what the overlap shows once more
        delays_s = _delays_s(moved(findings, marks), since_ms, watermark_ms)
        progress = replace(run.progress, late=overlap.observed(run.progress.late, delays_s))
        run.commit(progress, findings, [*page.quarantined, *quarantined])


def _delays_s(stamps_ms: Iterable[int], since_ms: int, watermark_ms: int | None) -> list[float]:
    """How late changes of these stamps showed up; one stamped after the increment before began is on time."""
    if since_ms == UNREAD or watermark_ms is None:
        return []
    return [0.0 if stamp_ms >= since_ms else (watermark_ms - stamp_ms) / 1000 for stamp_ms in stamps_ms]


def _orphaned(run: Poll) -> list[str]:
    """Listings whose parent record is confirmed as deleted: their records went with it."""
    gone = set(run.progress.watermarks) - set(run.parents)
    if not gone:
        return []
    marks = run.tools.store.marks(run.parent_stream(), gone)
    return [parent for parent in gone if parent not in marks or marks[parent].state == State.DELETED]


def _end(run: Poll, parent: str) -> None:
    after = ""
    while marks := run.tools.store.marks_between(run.stream, after, None, CHUNK_MARKS):
        after = max(marks)
        theirs = [mark for mark in marks.values() if mark.parent == parent and mark.state != State.DELETED]
        bodies = run.tools.store.bodies(theirs)
        run.commit(run.progress, [diff.vanished(mark, bodies[mark.id], run.rules()) for mark in theirs])


def _check_count(run: Poll) -> None:
    """Where the API counts fewer than we do: search for them. Else, or in vain: at the news once more, then sweep."""
    counted = counts(run)
    differs = disagreement(run, counted)
    if differs == 0:
        return
    if differs < 0 and search(run, counted):
        run.tools.meter.count("count_disagreements", resource=run.stream.resource)
        return
    _increment(run)
    if disagreement(run) == 0:
        return
    run.tools.meter.count("count_disagreements", resource=run.stream.resource)
    log.info("count.differs", stream=run.stream.name, live=run.progress.live)
    sweep(run, Pass.IDS)
    if not run.progress.missing:
        run.commit(replace(run.progress, count_gap=run.progress.count_gap + disagreement(run)))
