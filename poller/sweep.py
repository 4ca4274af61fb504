"""The complete listing of a stream. Records that it does not show are missing; ``absence.py`` settles those.

A sweep resumes where a failure left it, and a few pages before a crash at most.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import structlog

from poller import diff, overlap
from poller.absence import settle_missing
from poller.diff import Finding
from poller.model import Mark, Page, Quarantined, Record, State, Tagged
from poller.overlap import Late
from poller.running import CHUNK_MARKS, FETCH_RECORDS, UNREAD, Poll, began_ms, moved
from poller.sources import Incomplete, ParentGone, SourceError, Sweep
from poller.stores import Pass, Sweeping

log = structlog.get_logger()

KEEP_PAGES = 10
"""How far a sweep came is kept with every page that brings news, and after so many that bring none."""


def sweep(poll: Poll, kind: Pass) -> None:
    """List everything, or the rest of it if a sweep is under way, then conclude."""
    under_way = _resumed(poll, poll.progress.sweep or Sweeping(kind, poll.tools.now_ms()))
    poll.first = under_way.kind == Pass.BASELINE
    for parent in poll.parents:
        if parent >= under_way.parent:
            after = under_way.after if parent == under_way.parent else ""
            under_way = _sweep_listing(poll, replace(under_way, parent=parent, after=after))
    poll.first = False
    _conclude(poll, under_way)


def _resumed(poll: Poll, at: Sweeping) -> Sweeping:
    """A listing that is not there any more was perhaps not read to its end: if it comes back, it is read whole."""
    if not at.parent or at.parent in poll.parents:
        return at
    return replace(at, began={**at.began, at.parent: UNREAD})


def _sweep_listing(poll: Poll, at: Sweeping) -> Sweeping:
    try:
        for number, page in enumerate(poll.tools.source.list(poll.stream, _query(poll, at), at.parent)):
            at = _take(poll, page, at, keep=number % KEEP_PAGES == 0)
        return _rest(poll, at)
    except ParentGone:
        poll.tools.store.sweep_soon(poll.parent_stream())
        return replace(at, began={**at.began, at.parent: UNREAD})
    except SourceError:
        _commit(poll, at, [], [])
        raise


def _query(poll: Poll, at: Sweeping) -> Sweep:
    """What is as remembered need not be looked at, but by the first sweep."""
    store, bodies = poll.tools.store, at.kind != Pass.IDS
    if at.kind == Pass.BASELINE:
        return Sweep(at.after, bodies)
    tagged = partial(store.tagged, poll.stream, at.parent, bodies=bodies)
    return Sweep(at.after, bodies, partial(store.known, poll.stream, at.parent), tagged)


def _take(poll: Poll, page: Page, at: Sweeping, *, keep: bool) -> Sweeping:
    """Commit one page: what changed, what is back, and what the stretch up to its last id did not show."""
    began = began_ms(at.began.get(at.parent), page, poll.tools.now_ms())
    at = at if began is None else replace(at, began={**at.began, at.parent: began})
    if page.same:
        poll.count_seen(page.same.records, unchanged=page.same.records)
        return _commit(poll, replace(at, after=page.same.upto), [], [], keep=keep)
    if not page.ids:
        return _commit(poll, at, [], page.quarantined, keep=keep)
    upto, as_remembered = page.ids[-1], len(page.ids) - len(page.records)
    poll.count_seen(as_remembered, unchanged=as_remembered)
    marks = _beside(poll, page, at, as_remembered)
    suspects = diff.suspects(page.records, marks) if at.kind == Pass.IDS else []
    if at.kind == Pass.IDS:
        findings, quarantined = hydrated(poll, page, marks, suspects, at.parent)
        findings += diff.returned(page.records, marks)
    else:
        silent = poll.first and not poll.emits_first
        findings, quarantined = poll.look(page.records, marks, poll.rules(silent=silent), at.parent)
    if not poll.first:
        count_late(poll, findings, at.parent)
    quarantined = [*page.quarantined, *quarantined]
    late = late_after(poll, poll.progress.late, findings, marks, at.parent)
    if not (at.tainted or quarantined):
        findings += diff.absent(marks.values(), page.ids, at.parent)
        if page.tag and not (findings or suspects):
            shown = Tagged(at.parent, at.kind != Pass.IDS, at.after, upto, len(page.ids), page.tag)
            poll.pages.append(shown)
    return _commit(poll, replace(at, after=upto), findings, quarantined, keep=keep, late=late)


def _beside(poll: Poll, page: Page, at: Sweeping, as_remembered: int) -> dict[str, Mark]:
    """The marks of the stretch; without those of what is as remembered, if no live one is missing beside these."""
    store = poll.tools.store
    if as_remembered:
        marks = store.marks(poll.stream, [record.id for record in page.records])
        shown = sum(mark.state == State.LIVE and mark.parent == at.parent for mark in marks.values())
        if store.live_between(poll.stream, at.parent, at.after, page.ids[-1]) == shown + as_remembered:
            return marks
    return store.marks_between(poll.stream, at.after, page.ids[-1])


def late_after(poll: Poll, late: Late, findings: Sequence[Finding], marks: dict[str, Mark], parent: str) -> Late:
    """``late`` with what increments should have shown and did not: it showed up later than they look back.

    What is stamped long before the sweep before was rather put there with its old stamp.
    """
    watermark_ms = poll.progress.watermarks.get(parent, UNREAD)
    if poll.first or not findings or watermark_ms == UNREAD:
        return late
    overlap_s = overlap.span_s(poll.progress.late, poll.watch.overlap_s)
    to_ms = watermark_ms - int(overlap_s * 1000)
    from_ms = to_ms - int((poll.watch.sweep_every_s + overlap.LONGEST_S) * 1000)
    changes = sum(from_ms <= stamp_ms < to_ms for stamp_ms in moved(findings, marks))
    return overlap.missed(late, changes, overlap_s) if changes else late


def _commit(
    poll: Poll,
    at: Sweeping,
    findings: list[Finding],
    quarantined: Sequence[Quarantined],
    *,
    keep: bool = True,
    late: Late | None = None,
) -> Sweeping:
    at = replace(at, tainted=at.tainted or bool(quarantined))
    if keep or findings or quarantined:
        late = poll.progress.late if late is None else late
        poll.commit(replace(poll.progress, sweep=at, late=late), findings, quarantined)
    return at


def hydrated(
    poll: Poll, page: Page, marks: dict[str, Mark], suspects: Sequence[Record], parent: str
) -> tuple[list[Finding], list[Quarantined]]:
    """Ask for the records whose stamps are not those remembered, and compare them whole."""
    findings: list[Finding] = []
    quarantined: list[Quarantined] = []
    ids = [record.id for record in suspects]
    as_stamped = len(page.records) - len(ids)
    poll.count_seen(as_stamped, unchanged=as_stamped)
    for start in range(0, len(ids), FETCH_RECORDS):
        whole = poll.tools.source.fetch(poll.stream, ids[start : start + FETCH_RECORDS], parent)
        found, bad = poll.look(whole.records, marks, poll.rules(), parent)
        findings += found
        quarantined += [*whole.quarantined, *bad]
    return findings, quarantined


def count_late(poll: Poll, findings: list[Finding], parent: str) -> None:
    """Count changes stamped with a time that increments have been through: these should have shown them."""
    watermark_ms = poll.progress.watermarks.get(parent, UNREAD)
    late = sum(
        finding.change is not None and (finding.mark.updated_ms or watermark_ms) < watermark_ms for finding in findings
    )
    if late:
        poll.tools.meter.count("records_late", late, resource=poll.stream.resource)


def _rest(poll: Poll, at: Sweeping) -> Sweeping:
    """The listing ended: marks above its last id were not shown. A listing that showed nothing has to count nothing."""
    nothing = not (at.after or at.tainted)
    if nothing and at.kind == Pass.BASELINE:
        _count_none(poll, at.parent)
    while not at.tainted:
        marks = poll.tools.store.marks_between(poll.stream, at.after, None, CHUNK_MARKS)
        if not marks:
            break
        absent = list(diff.absent(marks.values(), (), at.parent))
        if absent and nothing:
            _count_none(poll, at.parent)
        at = replace(at, after=max(marks))
        poll.commit(replace(poll.progress, sweep=at), absent)
    return at


def _count_none(poll: Poll, parent: str) -> None:
    counted = poll.tools.source.count(poll.stream, parent)
    if counted > 0:
        raise Incomplete(f"the listing is empty, but the API counts {counted} records")


def _conclude(poll: Poll, done: Sweeping) -> None:
    """The sweep is complete: plan the next one, and settle what it missed."""
    now_ms = poll.tools.now_ms()
    progress = replace(
        poll.progress,
        sweep=None,
        sweeps=poll.progress.sweeps + 1,
        next_sweep_ms=now_ms + int(poll.watch.sweep_every_s * 1000),
    )
    if done.kind == Pass.BASELINE:
        watermarks = {parent: began if parent in poll.parents else UNREAD for parent, began in done.began.items()}
        progress = replace(progress, baselined_ms=now_ms, watermarks=watermarks)
        log.info("stream.baselined", stream=poll.stream.name, records=progress.live)
    poll.commit(progress)
    poll.tools.store.clear_quarantine(poll.stream, done.started_ms)
    if not done.tainted:
        settle_missing(poll)
