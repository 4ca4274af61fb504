"""Whether a sink's receiver may be asked, and by how many at once. Arithmetic only; time and chance are arguments.

Trouble of the endpoint opens the breaker: nothing is sent but one probe after 5, 15, 60, then every 300
seconds, so that no recovery takes longer than six minutes to be noticed. Two good answers close it, and
the number of sends at once then grows again, minute by minute.
"""

from dataclasses import dataclass, replace

from poller import retry
from poller.model import Advanced, Delivered, Delivery, Gone, Later, Outcome, Refused

FAILURES = 5
"""So many in a row, of different events, open it; so does trouble in half of the last ``RECENT`` answers.

An event that never gets through by its own fault must not stop the others: its first trouble counts alone.
"""

RECENT = 20
GOOD_PROBES = 2
RAMP_MS = 60_000
STATES = ("ok", "failing", "open", "paused")
SHORTEST_WAIT_S = 1.0  # whatever the receiver says


@dataclass(frozen=True, slots=True)
class Breaker:
    """How a receiver was found to be.

    ``failures`` and ``strange`` (answers as of a wrong address or secret) are in a row, by different events.
    ``recent`` are the last answers as bits, 1 for trouble, below a leading 1. ``opened_ms`` is 0 while it is
    closed; ``probes`` failed and ``good`` succeeded since. Nothing is sent before ``wait_until_ms``. From
    ``ramp_ms`` on there is one more send at once a minute, beginning with ``ramp_from``. ``paused`` is why
    nothing is sent until the sink is resumed. ``down_ms`` is since when the receiver has been failing, 0 if it is not:
    it opened the breaker, or wants no more, and no good answer came since, whatever an operator did.
    """

    failures: int = 0
    strange: int = 0
    recent: int = 1
    opened_ms: int = 0
    probes: int = 0
    good: int = 0
    wait_until_ms: int = 0
    ramp_ms: int = 0
    ramp_from: int = 0
    error: str = ""
    paused: str = ""
    down_ms: int = 0

    @property
    def is_open(self) -> bool:
        """Whether only probes are sent."""
        return self.opened_ms != 0

    @property
    def state(self) -> str:
        """One of ``STATES``, as people are told it."""
        return "paused" if self.paused else "open" if self.is_open else "failing" if self.failures else "ok"


def wait_s(breaker: Breaker, now_ms: int) -> float:
    """How long nothing is to be sent."""
    return 0.0 if _is_beyond(breaker.wait_until_ms, now_ms) else max(0.0, (breaker.wait_until_ms - now_ms) / 1000)


def _is_beyond(time_ms: int, now_ms: int) -> bool:
    """Whether a time is further off than any wait can be: the clock was set back since."""
    return time_ms - now_ms > retry.RETRY_AFTER_CEILING_S * 1000


def set_back(breaker: Breaker, by_ms: int) -> Breaker:
    """The same breaker, by a clock that was set back by so much."""
    opened_ms, wait_until_ms, ramp_ms, down_ms = (
        max(1, time_ms - by_ms) if time_ms else 0
        for time_ms in (breaker.opened_ms, breaker.wait_until_ms, breaker.ramp_ms, breaker.down_ms)
    )
    return replace(breaker, opened_ms=opened_ms, wait_until_ms=wait_until_ms, ramp_ms=ramp_ms, down_ms=down_ms)


def allowed(breaker: Breaker, now_ms: int, concurrency: int) -> int:
    """How many sends there may be at once, of ``concurrency`` at most."""
    if breaker.is_open:
        return 1
    if not breaker.ramp_from or _is_beyond(breaker.ramp_ms, now_ms):
        return concurrency
    return min(concurrency, breaker.ramp_from + max(0, now_ms - breaker.ramp_ms) // RAMP_MS)


def blames_endpoint(breaker: Breaker, outcome: Outcome) -> bool:
    """Whether the trouble is the receiver's, so that no event has to pay for it."""
    if isinstance(outcome, Refused):
        return outcome.strange and (breaker.is_open or breaker.strange >= FAILURES)
    return isinstance(outcome, Later)


def after(
    breaker: Breaker, delivery: Delivery, outcome: Outcome, *, now_ms: int, chance: float, concurrency: int
) -> Breaker:
    """The breaker after an answer to a delivery."""
    found = _after(breaker, delivery, outcome, now_ms, chance, concurrency)
    if found.is_open or isinstance(outcome, Gone):
        return found if found.down_ms else replace(found, down_ms=now_ms)
    return replace(found, down_ms=0) if found.down_ms and isinstance(outcome, Delivered | Advanced) else found


def _after(
    breaker: Breaker, delivery: Delivery, outcome: Outcome, now_ms: int, chance: float, concurrency: int
) -> Breaker:
    if isinstance(outcome, Gone):
        return replace(breaker, paused=outcome.reason, error=outcome.reason)
    if isinstance(outcome, Refused) and outcome.unsent:
        return breaker
    if isinstance(outcome, Refused):
        breaker = replace(breaker, strange=breaker.strange + (delivery.attempts == 0) if outcome.strange else 0)
    if isinstance(outcome, Delivered | Advanced):
        return _answered(breaker, now_ms, well=True)
    if not blames_endpoint(breaker, outcome):
        return _answered(breaker, now_ms, well=False)
    asked_s = outcome.after_s if isinstance(outcome, Later) else None
    if breaker.is_open:
        return _probed_in_vain(breaker, delivery, outcome.reason, asked_s, now_ms, chance)
    if delivery.troubles == 0:
        breaker = _failed(breaker, outcome.reason, asked_s, now_ms, chance)
    return breaker if breaker.is_open or asked_s is None else _slowed(breaker, asked_s, now_ms, concurrency)


def _answered(breaker: Breaker, now_ms: int, *, well: bool) -> Breaker:
    if not breaker.is_open:
        strange = 0 if well else breaker.strange
        return replace(breaker, failures=0, strange=strange, recent=_recent(breaker, trouble=0), error="")
    if wait_s(breaker, now_ms):
        return breaker  # to a send from before it opened
    if breaker.good + 1 < GOOD_PROBES:
        return replace(breaker, good=breaker.good + 1)
    return Breaker(ramp_ms=now_ms, ramp_from=1, paused=breaker.paused)


def _probed_in_vain(
    breaker: Breaker, delivery: Delivery, reason: str, asked_s: float | None, now_ms: int, chance: float
) -> Breaker:
    if wait_s(breaker, now_ms):
        return breaker  # to a send from before it opened
    if breaker.good and delivery.troubles >= FAILURES:
        return breaker  # another event has just got through: this one's trouble is its own
    probes = breaker.probes + 1
    until_ms = _until_ms(retry.sink_wait_s(probes + 1, chance), asked_s, now_ms)
    return replace(breaker, probes=probes, good=0, wait_until_ms=until_ms, error=reason)


def _failed(breaker: Breaker, reason: str, asked_s: float | None, now_ms: int, chance: float) -> Breaker:
    failures, recent = breaker.failures + 1, _recent(breaker, trouble=1)
    breaker = replace(breaker, failures=failures, recent=recent, error=reason)
    if failures < FAILURES and recent.bit_count() - 1 < RECENT // 2:
        return breaker
    until_ms = _until_ms(retry.sink_wait_s(1, chance), asked_s, now_ms)
    return replace(breaker, opened_ms=now_ms, probes=0, good=0, wait_until_ms=until_ms)


def _slowed(breaker: Breaker, asked_s: float, now_ms: int, concurrency: int) -> Breaker:
    """Give the receiver the rest that it asked for, then half as many sends at once."""
    waits_until_ms = breaker.wait_until_ms if wait_s(breaker, now_ms) else 0
    until_ms = max(waits_until_ms, _until_ms(0.0, asked_s, now_ms))
    half = max(1, allowed(breaker, now_ms, concurrency) // 2)
    return replace(breaker, wait_until_ms=until_ms, ramp_ms=until_ms, ramp_from=half)


def _until_ms(own_s: float, asked_s: float | None, now_ms: int) -> int:
    return now_ms + int(max(own_s, asked_s or 0.0, SHORTEST_WAIT_S) * 1000)


def _recent(breaker: Breaker, *, trouble: int) -> int:
    bits = breaker.recent << 1 | trouble
    return bits if bits.bit_length() <= RECENT + 1 else bits & (1 << RECENT) - 1 | 1 << RECENT
