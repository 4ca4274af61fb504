"""Loop two: due, send, settle. One drain empties the queue of one sink.

A delivery is finished only after the receiver said yes, and that is kept before its lane goes on. There
are two clocks: the receiver's trouble (``Later``) is the breaker's and costs no event an attempt; one
event's (``Refused``) is its own, and in the end it is parked.
"""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass, field
from threading import Event
from time import monotonic

import structlog

from poller import breaker, retry
from poller.batch import compose
from poller.breaker import Breaker
from poller.meter import Meter
from poller.model import Advanced, Delivered, Delivery, Gone, Later, Outcome, Refused
from poller.notices import Notice, sink_turned
from poller.pulse import Pulse
from poller.sinks import Sink
from poller.stores import Outgoing, Settlement, Store, StoreError, Verdict

log = structlog.get_logger()

WINDOW = 256
"""Deliveries read ahead; each is the first of its lane, so that none can overtake another."""
AHEAD_MS = 60_000
"""What was read so long ago is read anew: meanwhile it may have expired, with a receiver that takes its time."""
IDLE_S = 30.0
STORE_RETRY_S = 1.0

Answered = tuple[Delivery, Outcome]

_ATTEMPTS: dict[type[Outcome], str] = {
    Delivered: "delivered",
    Advanced: "advanced",
    Later: "later",
    Refused: "refused",
    Gone: "gone",
}
"""What the meter calls each answer."""


@dataclass
class Drain:
    """The queue of one sink on its way out. ``turn`` is called by one thread; sends run in ``executor``.

    ``wake`` is set when something may have become due: by a commit, and by every send that ends. ``outgoing`` gives
    where a notice about the sink goes; after one, ``rouse`` wakes all sinks.
    """

    name: str
    sink: Sink
    store: Store
    executor: Executor
    now_ms: Callable[[], int]
    chance: Callable[[], float]
    wake: Event = field(default_factory=Event)
    pulse: Pulse = field(default_factory=Pulse)
    meter: Meter = field(default_factory=Meter)
    outgoing: Callable[[Notice | None], Sequence[Outgoing]] = lambda _: ()
    rouse: Callable[[], None] = lambda: None
    _ahead: deque[list[Delivery]] = field(default_factory=deque)
    _ahead_ms: int = 0  # when those were read
    _flying: dict["Future[list[Outcome]]", list[Delivery]] = field(default_factory=dict)
    _company_ms: int | None = None  # until when deliveries wait for company

    def turn(self, *, patient: bool = True) -> float:
        """Settle what was answered, send what is due; seconds until there may be more to do.

        Unless it is ``patient``, nothing waits for company.

        Raises ``StoreError``: answers are kept and settled at the next turn, and nothing is sent meanwhile.
        """
        self._settle()
        now_ms, self._company_ms = self.now_ms(), None
        state = self.store.breaker(self.name)
        wait_s = IDLE_S if state.paused else breaker.wait_s(state, now_ms)
        if wait_s:
            self._ahead.clear()
            return min(wait_s, IDLE_S)
        if state.is_open:
            self._probe(now_ms)
        else:
            wait_s = self.sink.batch_wait_s if patient else 0.0
            self._send(breaker.allowed(state, now_ms, self.sink.concurrency), now_ms, wait_s)
        return self._until_due(now_ms)

    @property
    def flying(self) -> bool:
        """Whether any send is under way."""
        return bool(self._flying)

    @property
    def unanswered(self) -> bool:
        """Whether any send has not ended yet."""
        return not all(future.done() for future in self._flying)

    def finish(self, timeout_s: float) -> None:
        """Give sends under way this long, and settle those that were answered."""
        wait(list(self._flying), timeout_s)
        self._settle()

    def _probe(self, now_ms: int) -> None:
        """Send one delivery: one that says most about the receiver, since it met least trouble so far."""
        self._ahead.clear()
        if not self._flying and (found := self.store.due(self.name, now_ms, 1, probe=True)):
            self._fly(list(found))

    def _send(self, concurrency: int, now_ms: int, wait_s: float) -> None:
        while len(self._flying) < concurrency and self._refill(now_ms, wait_s):
            self._fly(self._ahead.popleft())

    def _fly(self, batch: list[Delivery]) -> None:
        if self.sink.careful:
            self.store.begin(batch)
        future = self.executor.submit(self._call, batch)
        self._flying[future] = batch
        future.add_done_callback(lambda _: self.wake.set())

    def _refill(self, now_ms: int, wait_s: float) -> bool:
        if not self._ahead or abs(now_ms - self._ahead_ms) > AHEAD_MS:
            size, lanes, free = self.sink.batch_size, self._lanes(), []
            for delivery in self.store.due(self.name, now_ms, max(WINDOW - WINDOW % size, size) + len(lanes)):
                if delivery.lane not in lanes:
                    lanes.add(delivery.lane)
                    free.append(delivery)
            batches, self._company_ms = compose(free, size, wait_s, now_ms)
            self._ahead, self._ahead_ms = deque(batches), now_ms
        return bool(self._ahead)

    def _lanes(self) -> set[int]:
        """The lanes that are under way."""
        return {delivery.lane for batch in self._flying.values() for delivery in batch}

    def _call(self, batch: list[Delivery]) -> list[Outcome]:
        began_s = monotonic()
        try:
            outcomes = list(self.sink.send(batch))
            self.meter.observe("send_seconds", monotonic() - began_s, sink=self.name)
        except Exception as error:
            self.meter.count("defects", loop="drain")
            log.exception("sink.broken", sink=self.name)
            return [Refused(f"the sink failed: {type(error).__name__}", unknown=self.sink.careful)] * len(batch)
        if len(outcomes) == len(batch):
            return outcomes
        log.error("sink.broken", sink=self.name, outcomes=len(outcomes), deliveries=len(batch))
        words = "the sink failed: it did not answer for each delivery"
        return [Refused(words, unknown=self.sink.careful)] * len(batch)

    def _settle(self) -> None:
        done = [future for future in self._flying if future.done()]
        if not done:
            return
        sends = [list(zip(self._flying[future], future.result(), strict=True)) for future in done]
        now_ms, chance = self.now_ms(), self.chance()

        def judge(before: Breaker) -> Verdict:
            verdict = settle(sends, before, now_ms, chance, self.sink.concurrency)
            notice = sink_turned(self.name, before, verdict.after, now_ms)
            return verdict._replace(notices=self.outgoing(notice)) if notice else verdict

        verdict = self.store.settle(self.name, judge, now_ms)
        for future in done:
            del self._flying[future]
        if verdict.notices:
            self.rouse()
        answered = [pair for each in sends for pair in each]
        self._count(answered, verdict, now_ms)
        self._tell(answered, verdict)

    def _count(self, answered: Sequence[Answered], verdict: Verdict, now_ms: int) -> None:
        for outcome, attempts in Counter(_ATTEMPTS[type(outcome)] for _, outcome in answered).items():
            self.meter.count("attempts", attempts, sink=self.name, outcome=outcome)
        ends = [settlement.state for settlement in verdict.settlements]
        for state in set(ends) - {"pending"}:
            self.meter.count("deliveries", ends.count(state), sink=self.name, outcome=state)
        waited_s = [
            max(0.0, now_ms / 1000 - delivery.turn / 1e6)
            for (delivery, _), end in zip(answered, ends, strict=True)
            if end == "delivered"
        ]
        self.meter.observe("delivery_seconds", *waited_s, sink=self.name)

    def _tell(self, answered: Sequence[Answered], verdict: Verdict) -> None:
        before, after = verdict.before, verdict.after
        if after.paused and not before.paused:
            log.error("sink.paused", sink=self.name, reason=after.paused, hint=f"poller resume {self.name}")
        elif after.wait_until_ms > before.wait_until_ms:
            wait_s = round((after.wait_until_ms - self.now_ms()) / 1000, 1)
            log.warning("sink.waits", sink=self.name, reason=after.error, wait_s=wait_s, open=after.is_open)
        elif before.is_open and not after.is_open:
            log.info("sink.recovered", sink=self.name, down_s=(self.now_ms() - before.opened_ms) // 1000)
        for (delivery, _), settlement in zip(answered, verdict.settlements, strict=True):
            if settlement.error:
                parked = settlement.state == "parked"
                told = log.error if parked else log.warning
                told(
                    "delivery.parked" if parked else "delivery.failed",
                    sink=self.name,
                    event_id=delivery.event_id,
                    attempts=settlement.attempts,
                    reason=settlement.error,
                )

    def _until_due(self, now_ms: int) -> float:
        times_ms = (self.store.next_due_ms(self.name, now_ms), self._company_ms)
        return min([IDLE_S, *((time_ms - now_ms) / 1000 for time_ms in times_ms if time_ms is not None)])


def settle(
    sends: Sequence[Sequence[Answered]], before: Breaker, now_ms: int, chance: float, concurrency: int
) -> Verdict:
    """What the answers to each send mean for its deliveries, in the same order, and for their sink."""
    settlements, state = [], before
    for answered in sends:
        said: Outcome | None = None
        for delivery, outcome in answered:
            if outcome != said or isinstance(outcome, Refused):  # else it is one answer, to several
                state = breaker.after(state, delivery, outcome, now_ms=now_ms, chance=chance, concurrency=concurrency)
            said = outcome
            settlements.append(_settlement(delivery, outcome, state, now_ms, chance))
    return Verdict(settlements, before, state)


def _settlement(delivery: Delivery, outcome: Outcome, state: Breaker, now_ms: int, chance: float) -> Settlement:
    attempts, troubles = delivery.attempts, delivery.troubles
    as_is = Settlement(delivery.sequence, "pending", attempts, troubles, now_ms, route=delivery.route)
    if isinstance(outcome, Delivered):
        return as_is._replace(state="delivered", attempts=attempts + 1)
    if isinstance(outcome, Advanced):
        return as_is._replace(attempts=0, troubles=0, steps=outcome.steps)
    as_is = as_is._replace(error=outcome.reason, begun=outcome.unknown)
    if isinstance(outcome, Gone):
        return as_is
    if breaker.blames_endpoint(state, outcome):
        return as_is._replace(troubles=troubles + 1, due_ms=_due_ms(state, troubles + 1, now_ms, chance))
    final = isinstance(outcome, Refused) and outcome.final
    wait_s = None if final else retry.event_wait_s(attempts + 1, chance)
    if wait_s is None:
        return as_is._replace(state="parked", attempts=attempts + 1)
    return as_is._replace(attempts=attempts + 1, due_ms=now_ms + int(wait_s * 1000))


def _due_ms(state: Breaker, troubles: int, now_ms: int, chance: float) -> int:
    """When to ask again after trouble of the receiver: with the next probe, or by a schedule of its own."""
    waits_until_ms = now_ms + int(breaker.wait_s(state, now_ms) * 1000)
    if state.is_open and waits_until_ms > now_ms:
        return waits_until_ms
    return max(waits_until_ms, now_ms + int(retry.sink_wait_s(troubles, chance) * 1000))


def drain(queue: Drain, stop: Event, *, until_empty: bool = False) -> None:
    """Take turns until ``stop``; or until nothing is due and nothing under way, then without patience."""
    loop = f"the drain of {queue.name}"
    while not stop.is_set():
        queue.pulse.turned(loop)
        try:
            pause_s = queue.turn(patient=not until_empty)
        except StoreError as error:
            log.warning("sink.stalled", sink=queue.name, reason=str(error))
            stop.wait(STORE_RETRY_S)
            continue
        except Exception:
            if until_empty:
                raise
            queue.meter.count("defects", loop="drain")
            log.exception("sink.broken", sink=queue.name)  # a thread that ends would deliver nothing, silently
            stop.wait(STORE_RETRY_S)
            continue
        if until_empty and pause_s > 0 and not queue.flying:
            break
        queue.wake.wait(pause_s)
        queue.wake.clear()  # before the looks at what there is and at the stop: what comes behind them wakes the next
    queue.pulse.ended(loop)
