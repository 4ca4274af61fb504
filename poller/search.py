"""A search for hard deletions: what a sweep would find, by counts and a page or two where few records are gone.

It concludes nothing that a sweep would not: an absence is one from a gapless stretch of a listing, and settled as every
other. Nothing is kept of a search that leads nowhere, or is cut short: what it saw will be seen again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import structlog

from poller import diff, locate
from poller.absence import settle_missing
from poller.diff import Finding
from poller.locate import Count, Known, Ranks, Stretch
from poller.model import Mark, Page, State
from poller.running import Poll
from poller.sources import Sweep
from poller.sweep import count_late, hydrated, late_after

log = structlog.get_logger()

PAGE_MARKS = 100
"""How finely ids are counted: by what a page of a listing holds."""


class _Seen(NamedTuple):
    """What the listing of a stretch showed, beside what was remembered of it."""

    parent: str
    findings: list[Finding]
    marks: dict[str, Mark]


def search(poll: Poll, counted: Mapping[str, int]) -> bool:
    """Find the records that the API counts no more, and settle them; False where only a sweep can tell.

    ``counted`` is how many the API counts in each listing, together fewer than are remembered. It takes hardly more
    requests than a sweep in the worst case: ``locate.step`` lists nothing twice, and gives up where it would list all.
    """
    before = poll.progress
    if before.held_ms is not None or poll.tools.store.quarantined(poll.stream):
        return False  # a person is asked about what a sweep missed, or an absence proves nothing
    stretches = _located(poll, counted)
    seen = _listed_all(poll, stretches) if stretches else None
    if not (stretches and seen):
        return False
    gone = sum(stretch.gone for stretch in stretches)
    log.info("count.located", stream=poll.stream.name, live=before.live, gone=gone)
    _keep(poll, seen)
    settle_missing(poll)
    return poll.progress.live <= before.live - gone  # else the API shows by their ids what it neither counts nor lists


def _located(poll: Poll, counted: Mapping[str, int]) -> Sequence[Stretch] | None:
    """Count until it is known where to look. What the API always counted otherwise is taken to lie below all ids."""
    ranks = poll.tools.store.ranks(poll.stream, PAGE_MARKS)
    counts = {parent: {0: count} for parent, count in counted.items()}
    for first in poll.parents[:1]:
        counts[first][0] -= poll.progress.count_gap
    known = {parent: Known(ranks.get(parent, Ranks(0, PAGE_MARKS)), counts[parent]) for parent in counted}
    while isinstance(step := locate.step(known), Count):
        counts[step.parent][step.place] = poll.tools.source.count(poll.stream, step.parent, step.after)
    return step


def _listed_all(poll: Poll, stretches: Iterable[Stretch]) -> list[_Seen] | None:
    """What the stretches show; None once one of them does not lack as many as were counted."""
    found = []
    for stretch in stretches:
        seen = _listed(poll, stretch)
        if seen is None:
            return None
        found.append(seen)
    return found


def _listed(poll: Poll, stretch: Stretch) -> _Seen | None:
    """List a stretch until all that are gone in it are known; None if those are others than were counted."""
    seen, after = _Seen(stretch.parent, [], {}), stretch.after
    for page in poll.tools.source.list(poll.stream, Sweep(after, bodies=False), stretch.parent):
        within, upto = _cut(page, stretch.upto)
        marks = poll.tools.store.marks_between(poll.stream, after, upto)
        suspects = diff.suspects(within.records, marks)
        findings, quarantined = hydrated(poll, within, marks, suspects, stretch.parent)
        if page.quarantined or quarantined:
            return None
        absent = diff.absent(marks.values(), within.ids, stretch.parent)
        seen.findings.extend([*findings, *diff.returned(within.records, marks), *absent])
        seen.marks.update(marks)
        if upto is None or upto == stretch.upto or _gone(seen.findings) >= stretch.gone:
            break
        after = upto
    return seen if _gone(seen.findings) == stretch.gone else None


def _cut(page: Page, end: str | None) -> tuple[Page, str | None]:
    """The page without what lies above the end of the stretch, and how far that shows it; None is to the end of all."""
    last = page.ids[-1] if page.ids else None
    if last is not None and (end is None or last <= end):
        return page, last
    ids = tuple(one for one in page.ids if end is None or one <= end)
    return page._replace(ids=ids, records=tuple(record for record in page.records if record.id in ids)), end


def _gone(findings: Iterable[Finding]) -> int:
    """By how many there are fewer live ones."""
    return sum((finding.was == State.LIVE) - (finding.mark.state == State.LIVE) for finding in findings)


def _keep(poll: Poll, seen: Iterable[_Seen]) -> None:
    """Commit all of it at once, so that the guard against mass deletions sees all of it."""
    late, findings = poll.progress.late, list[Finding]()
    for parent, found, marks in seen:
        count_late(poll, found, parent)
        late = late_after(poll, late, found, marks, parent)
        findings += found
    poll.commit(replace(poll.progress, late=late), findings)
