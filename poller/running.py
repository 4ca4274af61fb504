"""One poll under way: what it knows, and how what it sees becomes a committed step."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from threading import Lock

import structlog

from poller import diff, envelope, notices, route, silence
from poller.diff import Finding, Rules
from poller.meter import Meter
from poller.model import Change, Kind, Mark, Page, Quarantined, Record, State, Stream, Tagged
from poller.notices import Notice
from poller.plan import Plan, Scope, Watch
from poller.sources import Source
from poller.stores import Outgoing, Progress, Step, Store

log = structlog.get_logger()

UNWATCHED_S = 900.0

FETCH_RECORDS = 50
"""So many are asked for by id at once."""

CHUNK_MARKS = 1000
"""So many are looked through at once."""

UNREAD = 0
"""The watermark of a listing that was never read to its end."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What every poll needs.

    ``wake`` is called after a commit that holds events; ``polling`` is entered, with the stream's name, for as long as
    a poll lasts; ``turns`` keep two polls of one stream apart.
    """

    source: Source
    store: Store
    plan: Plan
    now_ms: Callable[[], int]
    wake: Callable[[], None] = lambda: None
    polling: Callable[[str], AbstractContextManager[object]] = nullcontext
    turns: dict[Stream, Lock] = field(default_factory=dict)
    meter: Meter = field(default_factory=Meter)

    def outgoing(self, notice: Notice | None) -> list[Outgoing]:
        """A notice on its way to where routes name it; nothing where none does."""
        if notice is None or not self.plan.routes:
            return []
        found = notices.targets(self.plan, self.source.name, notice, self.now_ms())
        return [Outgoing(notice.change(), notice.trigger, found)] if found else []

    def count_parked(self, outgoing: Iterable[Outgoing]) -> None:
        """Count the deliveries of these that are parked where they are entered, since nobody can say where they go."""
        for target in (target for each in outgoing for target in each.targets if target.error):
            self.meter.count("deliveries", sink=target.sink, outcome="parked")


class Poll:
    """One run over one stream. ``progress`` is always what was last committed.

    ``first``: this is the first sight of the stream, which not every route takes. ``tainted``: a record was
    quarantined, so that this poll concludes no deletions. ``pages`` were as remembered, and go with the next commit.
    """

    def __init__(self, tools: Tools, stream: Stream) -> None:
        self.tools = tools
        self.stream = stream
        self.watch: Watch = tools.plan.watches[stream.resource]
        standing = tools.store.standing(stream)
        self.progress: Progress = standing.progress
        self.decision = standing.decision
        self._polled_ms = standing.polled_ms
        self._noted = False
        self.parents = self._parents()
        self.events = 0
        self.first = False
        self.tainted = False
        self.pages: list[Tagged] = []

    def _parents(self) -> list[str]:
        """The listings that make up the stream: one, or one for each live record of the parent resource."""
        if self.watch.resource.parent is None:
            return [""]
        marks = self.tools.store.marks_between(self.parent_stream(), "", None)
        return [mark.id for mark in marks.values() if mark.state == State.LIVE]

    def parent_stream(self) -> Stream:
        """The stream of the records by which this one's are listed."""
        return Stream(self.stream.org, str(self.watch.resource.parent))

    def rules(self, *, silent: bool = False) -> Rules:
        """What counts as a change here."""
        return Rules(silent, self.watch.ignore, self.watch.resource.rendered)

    def look(
        self, records: Sequence[Record], marks: dict[str, Mark], rules: Rules, parent: str
    ) -> tuple[list[Finding], list[Quarantined]]:
        """What these whole records mean beside what is remembered of them."""
        fresh = diff.differing(diff.newest(records).values(), marks)
        self.count_seen(len(records), unchanged=len(records) - len(fresh))
        known = [marks[record.id] for record in fresh if record.id in marks]
        return diff.compare(fresh, marks, self.tools.store.bodies(known), rules, parent)

    def count_seen(self, seen: int, *, unchanged: int) -> None:
        """Count records that were compared, and those of them that were as remembered."""
        self.tools.meter.count("records_seen", seen, resource=self.stream.resource)
        self.tools.meter.count("records_unchanged", unchanged, resource=self.stream.resource)

    def commit(
        self,
        progress: Progress,
        findings: Iterable[Finding] = (),
        quarantined: Sequence[Quarantined] = (),
        *,
        decided: bool = False,
    ) -> None:
        """Commit one step: marks, progress, events and deliveries, whole or not at all."""
        found, now_ms = list(findings), self.tools.now_ms()
        after = self._rhythm(_tally(progress, found), found, now_ms)
        step = Step(after, found, self._outgoing(found, now_ms), quarantined, decided, self._notices(after), self.pages)
        events = self.tools.store.commit(self.stream, step, now_ms)
        self.progress = step.progress
        self.events += events
        self.pages = []
        self.tainted |= bool(quarantined)
        self._count(step)
        if events or step.notices:
            self.tools.wake()
        for record in quarantined:
            log.warning("record.quarantined", stream=self.stream.name, record=record.key, reason=record.reason)

    def _rhythm(self, progress: Progress, findings: Iterable[Finding], now_ms: int) -> Progress:
        """Keep that this poll, which is not the first, found changes."""
        told = self.watch.announces and progress.baselined_ms is not None
        if self._noted or not told or not any(finding.change for finding in findings):
            return progress
        self._noted = True
        watched = self._polled_ms is not None and now_ms - self._polled_ms <= self._unwatched_ms
        return replace(progress, rhythm=silence.changed(progress.rhythm, now_ms, watched=watched))

    @property
    def _unwatched_ms(self) -> int:
        """After so long without a good poll, nobody knows when a change happened."""
        return int(max(3 * self.watch.every_s, UNWATCHED_S) * 1000)

    def _notices(self, after: Progress) -> list[Outgoing]:
        """What there is to tell of the stream itself, since its progress is about to turn so."""
        found: list[Outgoing] = []
        if after.held_ms is not None and self.progress.held_ms is None:
            held = notices.deletions_held(self.stream, after.held_ms, after.missing, after.live)
            found += self.tools.outgoing(held)
        if after.baselined_ms is not None and self.progress.baselined_ms is None:
            found += self.tools.outgoing(notices.baseline_completed(self.stream, after.baselined_ms, after.live))
        return found

    def _count(self, step: Step) -> None:
        meter = self.tools.meter
        for trigger, events in Counter(outgoing.trigger for outgoing in step.outgoing).items():
            meter.count("events", events, trigger=trigger)
        self.tools.count_parked((*step.outgoing, *step.notices))
        if step.quarantined:
            meter.count("records_quarantined", len(step.quarantined), resource=self.stream.resource)

    def _outgoing(self, findings: Iterable[Finding], now_ms: int) -> list[Outgoing]:
        if not self.watch.announces:
            return []
        return [
            outgoing
            for finding in findings
            if finding.change
            and (outgoing := self._out(finding.change, now_ms, first=self.first and finding.was is None)) is not None
        ]

    def _out(self, change: Change, now_ms: int, *, first: bool) -> Outgoing | None:
        """Where a change goes; None for what is there at the first sight, and no route takes."""
        plan, trigger = self.tools.plan, envelope.trigger(self.watch.resource, change.kind)
        if not plan.routes:
            return Outgoing(change, trigger, plan.sinks)
        emit, scope = self.watch.emit_first, partial(self._scope, trigger, change, now_ms)
        targets = route.targets(plan, trigger, scope, first=first, emit=emit)
        return Outgoing(change, trigger, targets) if targets or emit or not first else None

    @property
    def emits_first(self) -> bool:
        """Whether anybody takes what is there at the first sight; of what was forgotten nobody does."""
        if self.progress.sweeps:
            return False
        created = envelope.trigger(self.watch.resource, Kind.CREATED)
        return self.watch.emit_first or any(
            each.first and route.matches(each, created) for each in self.tools.plan.routes
        )

    def _scope(self, trigger: str, change: Change, now_ms: int) -> Scope:
        event_id = envelope.event_id(self.tools.source.name, self.stream, change)
        return route.scope(self.stream, trigger, change, event_id, now_ms)


def moved(findings: Iterable[Finding], marks: Mapping[str, Mark]) -> list[int]:
    """The stamps of findings that the API stamped anew: not those of what changed without one, or is gone."""
    return [
        finding.mark.updated_ms
        for finding in findings
        if finding.change is not None
        and finding.mark.updated_ms is not None
        and (finding.mark.id not in marks or marks[finding.mark.id].updated_ms != finding.mark.updated_ms)
    ]


def _tally(progress: Progress, findings: Iterable[Finding]) -> Progress:
    """Keep the numbers of live and of missing records true."""
    live = missing = 0
    for finding in findings:
        live += (finding.mark.state == State.LIVE) - (finding.was == State.LIVE)
        missing += (finding.mark.state == State.MISSING) - (finding.was == State.MISSING)
    return replace(progress, live=progress.live + live, missing=progress.missing + missing)


def began_ms(before: int | None, page: Page, now_ms: int) -> int | None:
    """When a listing began by the server's clock, going from page to page.

    A server without dates is taken at its records' word: the greatest stamp that is not in the future.
    """
    if page.began_ms is not None:
        return page.began_ms if before is None else before
    newest_ms = max((record.updated_ms or 0 for record in page.records), default=0)
    return max(before or 0, min(newest_ms, now_ms)) or before
