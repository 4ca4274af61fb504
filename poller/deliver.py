"""Loop two: due, send, settle. One drain empties the queue of one sink.

A delivery is finished only after the receiver said yes, and that is kept before its lane goes on. There
are two kinds of trouble: the receiver's (``Later``: the whole sink waits, no event is to blame, then one
delivery probes) and one event's (``Refused``: it alone is tried again, in the end parked).
"""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass, field
from threading import Event

import structlog

from poller import retry
from poller.model import Delivered, Delivery, Later, Outcome, Refused
from poller.sinks import Sink
from poller.stores import Settlement, SinkStanding, Store, StoreError

log = structlog.get_logger()

WINDOW = 256
"""Deliveries read ahead; each is the first of its lane, so that none can overtake another."""
IDLE_S = 30.0
STORE_RETRY_S = 1.0
STEP_BACK_MS = 500
SHORTEST_WAIT_S = 1.0  # whatever the receiver says

Answered = tuple[Delivery, Outcome]


@dataclass
class Drain:
    """The queue of one sink on its way out. ``turn`` is called by one thread; sends run in ``executor``.

    ``wake`` is set when something may have become due: by a commit, and by every send that ends.
    """

    name: str
    sink: Sink
    store: Store
    executor: Executor
    now_ms: Callable[[], int]
    chance: Callable[[], float]
    wake: Event = field(default_factory=Event)
    _ahead: deque[Delivery] = field(default_factory=deque)
    _flying: dict["Future[list[Outcome]]", list[Delivery]] = field(default_factory=dict)
    _standing: SinkStanding | None = None

    def turn(self) -> float:
        """Settle what was answered, send what is due; seconds until there may be more to do.

        Raises ``StoreError``: answers are kept and settled at the next turn, and nothing is sent meanwhile.
        """
        self._settle()
        now_ms = self.now_ms()
        standing = self.standing()
        if _waits(standing, now_ms):
            self._ahead.clear()
            return min((standing.wait_until_ms - now_ms) / 1000, IDLE_S)
        self._send(1 if standing.failures else self.sink.concurrency, now_ms)
        return IDLE_S if self._flying else self._until_due(now_ms)

    def standing(self) -> SinkStanding:
        """How the receiver is, as last kept."""
        if self._standing is None:
            self._standing = self.store.sink(self.name)
        return self._standing

    @property
    def flying(self) -> bool:
        """Whether any send is under way."""
        return bool(self._flying)

    def finish(self, timeout_s: float) -> None:
        """Give sends under way this long, and settle those that were answered."""
        wait(list(self._flying), timeout_s)
        self._settle()

    def _send(self, concurrency: int, now_ms: int) -> None:
        while len(self._flying) < concurrency and self._refill(now_ms):
            batch = [self._ahead.popleft() for _ in range(min(self.sink.batch_size, len(self._ahead)))]
            future = self.executor.submit(self._call, batch)
            self._flying[future] = batch
            future.add_done_callback(lambda _: self.wake.set())

    def _refill(self, now_ms: int) -> bool:
        if not self._ahead:
            flying = {delivery.sequence for batch in self._flying.values() for delivery in batch}
            due = self.store.due(self.name, now_ms, WINDOW + len(flying))
            self._ahead.extend(delivery for delivery in due if delivery.sequence not in flying)
        return bool(self._ahead)

    def _call(self, batch: list[Delivery]) -> list[Outcome]:
        try:
            outcomes = list(self.sink.send(batch))
        except Exception as error:
            log.exception("sink.broken", sink=self.name)
            return [Refused(f"the sink failed: {type(error).__name__}")] * len(batch)
        if len(outcomes) == len(batch):
            return outcomes
        log.error("sink.broken", sink=self.name, outcomes=len(outcomes), deliveries=len(batch))
        return [Refused("the sink failed: it did not answer for each delivery")] * len(batch)

    def _settle(self) -> None:
        done = [future for future in self._flying if future.done()]
        answered = [pair for future in done for pair in zip(self._flying[future], future.result(), strict=True)]
        if not answered:
            return
        now_ms = self.now_ms()
        settlements, standing = settle(answered, self.standing(), now_ms, self.chance())
        self.store.settle(self.name, settlements, standing, now_ms)
        for future in done:
            del self._flying[future]
        self._tell(answered, settlements, standing)
        self._standing = standing

    def _tell(self, answered: Sequence[Answered], settlements: Sequence[Settlement], standing: SinkStanding) -> None:
        if standing.failures and standing != self._standing:
            wait_s = (standing.wait_until_ms - self.now_ms()) / 1000
            log.warning("sink.waits", sink=self.name, reason=standing.error, wait_s=round(wait_s, 1))
        elif self._standing and self._standing.failures and not standing.failures:
            log.info("sink.recovered", sink=self.name)
        events = {delivery.sequence: delivery.event_id for delivery, _ in answered}
        for settlement in settlements:
            if settlement.error:
                told = log.error if settlement.state == "parked" else log.warning
                told(
                    f"delivery.{'parked' if settlement.state == 'parked' else 'refused'}",
                    sink=self.name,
                    event_id=events[settlement.sequence],
                    attempts=settlement.attempts,
                    reason=settlement.error,
                )

    def _until_due(self, now_ms: int) -> float:
        due_ms = self.store.next_due_ms(self.name)
        return IDLE_S if due_ms is None else max(0.0, min((due_ms - now_ms) / 1000, IDLE_S))


def settle(
    answered: Sequence[Answered], standing: SinkStanding, now_ms: int, chance: float
) -> tuple[list[Settlement], SinkStanding]:
    """What answers mean for their deliveries and for their sink.

    Several failures at once are one failure of the receiver; any yes or no shows that it is there, but does
    not end a wait: it is to a send from before. What met the failure steps back a little, so that the next
    probe is another delivery.
    """
    after = _standing([outcome for _, outcome in answered], standing, now_ms, chance)
    return [_settlement(*pair, after, now_ms, chance) for pair in answered], after


def _standing(outcomes: Sequence[Outcome], before: SinkStanding, now_ms: int, chance: float) -> SinkStanding:
    troubles = [outcome for outcome in outcomes if isinstance(outcome, Later)]
    waits = _waits(before, now_ms)
    if not troubles:
        return before if waits else SinkStanding()
    failures = before.failures if waits else before.failures + 1
    asked_s = [trouble.after_s for trouble in troubles if trouble.after_s is not None]
    wait_s = max(SHORTEST_WAIT_S, max(asked_s, default=retry.sink_wait_s(failures, chance)))
    until_ms = max(before.wait_until_ms if waits else 0, now_ms + int(wait_s * 1000))
    return SinkStanding(failures, until_ms, troubles[0].reason)


def _waits(standing: SinkStanding, now_ms: int) -> bool:
    """Whether the sink waits. An end further off than any wait can be is a clock that was set back."""
    return 0 < standing.wait_until_ms - now_ms <= retry.RETRY_AFTER_CEILING_S * 1000


def _settlement(delivery: Delivery, outcome: Outcome, sink: SinkStanding, now_ms: int, chance: float) -> Settlement:
    if isinstance(outcome, Delivered):
        return Settlement(delivery.sequence, "delivered", delivery.attempts + 1, now_ms)
    if isinstance(outcome, Later):
        return Settlement(delivery.sequence, "pending", delivery.attempts, sink.wait_until_ms + STEP_BACK_MS)
    attempts = delivery.attempts + 1
    wait_s = None if outcome.final else retry.event_wait_s(attempts, chance)
    if wait_s is None:
        return Settlement(delivery.sequence, "parked", attempts, now_ms, outcome.reason)
    return Settlement(delivery.sequence, "pending", attempts, now_ms + int(wait_s * 1000), outcome.reason)


def drain(queue: Drain, stop: Event, *, until_empty: bool = False) -> None:
    """Take turns until ``stop``, or until nothing is due and nothing under way."""
    while not stop.is_set():
        queue.wake.clear()
        try:
            pause_s = queue.turn()
        except StoreError as error:
            log.warning("sink.stalled", sink=queue.name, reason=str(error))
            stop.wait(STORE_RETRY_S)
            continue
        if until_empty and pause_s > 0 and not queue.flying:
            return
        queue.wake.wait(pause_s)
