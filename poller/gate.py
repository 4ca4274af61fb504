"""What a route lets through, and when: its pace, and the flood that a person has to look at. Arithmetic only."""

from math import ceil
from typing import NamedTuple

from poller.plan import Gate


class Traffic(NamedTuple):
    """What went through a route so far: ``seen`` since ``window_ms``, the next not before ``next_ms``, some held."""

    next_ms: int = 0
    window_ms: int = 0
    seen: int = 0
    held: int = 0


class Passage(NamedTuple):
    """When one more is due, or that it is held."""

    due_ms: int
    held: bool
    after: Traffic


def admit(gate: Gate, traffic: Traffic, wanted_ms: int, now_ms: int) -> Passage:
    """Let one more through that is wanted at ``wanted_ms``.

    While any are held, all that follow are held too, so that none overtakes another; whatever the gate is by then.
    """
    if gate.flood:
        if now_ms - traffic.window_ms >= gate.per_s * 1000 or now_ms < traffic.window_ms:
            traffic = traffic._replace(window_ms=now_ms, seen=0)
        traffic = traffic._replace(seen=traffic.seen + 1)
    if traffic.held or (gate.flood and traffic.seen > gate.flood):
        return Passage(wanted_ms, held=True, after=traffic._replace(held=traffic.held + 1))
    if not gate.pace_s:
        return Passage(wanted_ms, held=False, after=traffic)
    due_ms = max(wanted_ms, traffic.next_ms)
    return Passage(due_ms, held=False, after=traffic._replace(next_ms=due_ms + _ms(gate.pace_s)))


def _ms(span_s: float) -> int:
    """Rounded up, so that no pace is exceeded; what is no more than the error of a float does not count."""
    return ceil(round(span_s * 1000, 6))
