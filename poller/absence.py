"""What may be concluded from records that a complete listing did not show.

They are missing; they are deleted only when the API, asked for them by id, does not show them either, its count
agrees, and they are not so many that a person should look first.
"""

from collections.abc import Mapping
from dataclasses import replace
from itertools import groupby
from operator import attrgetter

import structlog

from poller import diff
from poller.diff import Finding
from poller.model import Mark, State, Stream
from poller.running import CHUNK_MARKS, FETCH_RECORDS, Poll
from poller.sources import ParentGone
from poller.stores import Decision, Progress

log = structlog.get_logger()


def settle_missing(poll: Poll) -> None:
    """Announce, hold, dismiss or let go the records that no listing shows any more."""
    progress, decision = poll.progress, poll.decision
    if poll.tainted and not decision:
        return
    if decision == Decision.REJECT:
        _dismiss(poll)
    elif decision == Decision.APPROVE or not diff.holds(progress.missing, progress.live):
        _confirm(poll, approved=decision == Decision.APPROVE)
    elif progress.held_ms is None:
        poll.commit(replace(progress, held_ms=poll.tools.now_ms()))
        poll.tools.meter.count("holds", resource=poll.stream.resource)
        log.warning(
            "deletions.held",
            stream=poll.stream.name,
            missing=progress.missing,
            live=progress.live,
            hint=f"look, then: poller approve {poll.stream.name}, or: poller reject {poll.stream.name}",
        )
        return
    if decision or (poll.progress.held_ms is not None and not poll.progress.missing):
        poll.commit(replace(poll.progress, held_ms=None), decided=True)
        poll.decision = None


def _dismiss(poll: Poll) -> None:
    after = ""
    while marks := poll.tools.store.missing(poll.stream, after, CHUNK_MARKS):
        after = marks[-1].id
        poll.commit(poll.progress, [Finding(mark.state, mark._replace(state=State.DISMISSED)) for mark in marks])


def _confirm(poll: Poll, *, approved: bool) -> None:
    """Ask for each missing record by id. Gone is what neither that nor the count, or an operator, still shows."""
    gone = approved or (bool(poll.progress.missing) and disagreement(poll) + min(poll.progress.count_gap, 0) <= 0)
    if poll.progress.missing and not gone:
        log.warning(
            "deletions.unconfirmed",
            stream=poll.stream.name,
            reason="the API still counts the missing records",
            hint=f"if that stays so, look, then: poller approve {poll.stream.name}",
        )
    if gone and not (approved or _knows_listings(poll)):
        return  # one may have moved to a listing that only the next poll reads
    after = ""
    while marks := poll.tools.store.missing(poll.stream, after, FETCH_RECORDS):
        after = marks[-1].id
        unshown: dict[str, Mark] = {}
        for parent, group in groupby(sorted(marks, key=attrgetter("parent", "id")), attrgetter("parent")):
            unshown |= _unshown(poll, parent, {mark.id: mark for mark in group})
        vanished = _nowhere(poll, unshown) if gone else {}
        if vanished:
            bodies = poll.tools.store.bodies(vanished.values())
            found = [diff.vanished(mark, bodies[one], poll.rules()) for one, mark in vanished.items()]
            poll.commit(poll.progress, found)


def _knows_listings(poll: Poll) -> bool:
    """Whether the API counts as many parent records as are remembered."""
    if poll.watch.resource.parent is None:
        return True
    stream = poll.parent_stream()
    progress = poll.tools.store.standing(stream).progress
    return poll.tools.source.count(stream) == _expected(poll, stream, progress)


def _unshown(poll: Poll, parent: str, missing: dict[str, Mark]) -> dict[str, Mark]:
    """Ask a listing for missing records: those that it does not show; none where its answer proves nothing."""
    try:
        page = poll.tools.source.fetch(poll.stream, list(missing), parent)
    except ParentGone:
        poll.tools.store.sweep_soon(poll.parent_stream())
        return {}
    findings, quarantined = poll.look(page.records, missing, poll.rules(), parent)
    if findings or page.quarantined or quarantined:
        poll.commit(poll.progress, findings, [*page.quarantined, *quarantined])
    shown = {record.id for record in page.records}
    return {} if page.quarantined else {one: mark for one, mark in missing.items() if one not in shown}


def _nowhere(poll: Poll, missing: dict[str, Mark]) -> dict[str, Mark]:
    """Those of these that no other listing shows either: a record that moved to one while it was swept is not gone."""
    for parent in poll.parents:
        others = {one: mark for one, mark in missing.items() if mark.parent != parent}
        if others:
            left = _unshown(poll, parent, others)
            missing = {one: mark for one, mark in missing.items() if one in left or one not in others}
    return missing


def counts(poll: Poll) -> dict[str, int]:
    """How many live records the API counts in each listing."""
    return {parent: poll.tools.source.count(poll.stream, parent) for parent in poll.parents}


def disagreement(poll: Poll, counted: Mapping[str, int] | None = None) -> int:
    """By how many live records the API counts more than are remembered, beyond what is known of old.

    ``counted`` is what it counts, if that was asked already.
    """
    total = sum((counts(poll) if counted is None else counted).values())
    return total - _expected(poll, poll.stream, poll.progress)


def _expected(poll: Poll, stream: Stream, progress: Progress) -> int:
    return progress.live + poll.tools.store.strangers(stream) + progress.count_gap
