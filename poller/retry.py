"""When to try again: waits, and what a status means. Arithmetic and one table; chance and time are arguments."""

from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import NamedTuple
from urllib.parse import urlsplit

from poller.model import Delivered, Gone, Later, Outcome, Refused

RETRY_AFTER_CEILING_S = 3600.0
BUSY_S = 60.0  # how long a receiver rests that says 429 or 503, but not how long

SINK_WAITS_S = (5.0, 15.0, 60.0, 300.0)
"""After a receiver's first, second, ... failure in a row; the last one for ever. With the jitter, and the 15 s that
an attempt may take, no recovery takes longer than six minutes to be noticed."""

_SINK_JITTER, _EVENT_JITTER = 0.15, 0.2

EVENT_WAITS_S = (0.0, 5.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 50400.0, 72000.0, 86400.0)
"""Before an event's first, second, ... attempt: the schedule that Standard Webhooks recommends, three days."""


class _Row(NamedTuple):
    answer: type[Later | Refused | Gone]
    meaning: str
    waits: bool = False  # the receiver may say for how long
    strange: bool = False  # as a wrong url or secret would be answered


_CHECK = "is the url or the secret wrong?"

_STATUS = {
    401: _Row(Refused, f"not authenticated; {_CHECK}", strange=True),
    403: _Row(Refused, f"not allowed; {_CHECK}", strange=True),
    404: _Row(Refused, f"not found; {_CHECK}", strange=True),
    405: _Row(Refused, f"takes no POST; {_CHECK}", strange=True),
    408: _Row(Later, "the receiver waited too long for the request"),
    410: _Row(Gone, "gone; the receiver wants no more events"),
    413: _Row(Refused, "the event is too large for the receiver"),
    425: _Row(Later, "too early"),
    429: _Row(Later, "too many requests", waits=True),
    503: _Row(Later, "the receiver is not available", waits=True),
}
_HUNDREDS = {
    3: _Row(Later, "redirected{to}, which is not followed; set the url to the final one"),
    4: _Row(Refused, "the receiver refuses the event"),
    5: _Row(Later, "the receiver failed"),
}
_OTHER = _Row(Later, "not a status of HTTP")


def outcome(status: int, headers: Mapping[str, str], now_ms: int) -> Outcome:
    """What a receiver's status says of a delivery; ``headers`` are looked up in lower case."""
    if 200 <= status <= 299:
        return Delivered()
    row = _STATUS.get(status) or _HUNDREDS.get(status // 100, _OTHER)
    reason = f"status {status}: {row.meaning.format(to=_location(headers))}"
    if row.answer is Refused:
        return Refused(reason, strange=row.strange)
    if row.answer is Gone:
        return Gone(reason)
    if not row.waits:
        return Later(reason)
    asked_s = parse_retry_after(headers.get("retry-after"), now_ms)
    return Later(reason, BUSY_S if asked_s is None else asked_s)


def parse_retry_after(value: str | None, now_ms: int) -> float | None:
    """Seconds from now of a ``Retry-After`` header, an hour at most; None where it says nothing usable.

    It is a number of seconds or a date (RFC 9110, 10.2.3). A date that has passed says nothing.
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), RETRY_AFTER_CEILING_S)
    after_s = _date_s(text) - now_ms / 1000
    return min(after_s, RETRY_AFTER_CEILING_S) if after_s >= 0 else None


def backoff(failures: int, rng_value: float, base_s: float, ceiling_s: float) -> float:
    """Seconds to wait after so many failures in a row: ``base_s``, doubled each time up to ``ceiling_s``.

    ``rng_value`` (0 to 1) picks from the upper half of that, so that many that failed at once do not come
    back at once. Before the first failure there is no wait.
    """
    if failures < 1:
        return 0.0
    whole_s = min(base_s * 2.0 ** min(failures - 1, 64), ceiling_s)
    return whole_s * (0.5 + rng_value / 2)


def sink_wait_s(failures: int, rng_value: float) -> float:
    """Seconds that a sink rests after so many failures in a row of its receiver; +-15 % by ``rng_value``."""
    if failures < 1:
        return 0.0
    return _jittered(SINK_WAITS_S[min(failures, len(SINK_WAITS_S)) - 1], rng_value, _SINK_JITTER)


BLOCKING_ATTEMPTS = 6
"""So often a refused event holds back the later ones of its lane (7.6 hours); after that they go on without it."""


def event_wait_s(attempts: int, rng_value: float) -> float | None:
    """Seconds until an event's next attempt when so many were made; None when they are used up.

    +-20 % by ``rng_value`` (0 to 1).
    """
    if attempts >= len(EVENT_WAITS_S):
        return None
    return _jittered(EVENT_WAITS_S[attempts], rng_value, _EVENT_JITTER)


def _jittered(span_s: float, rng_value: float, share: float) -> float:
    return span_s * (1 - share + 2 * share * rng_value)


def _date_s(text: str) -> float:
    """Seconds since 1970 of a date in a header, or minus infinity where it is none."""
    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return float("-inf")


def _location(headers: Mapping[str, str]) -> str:
    """Say where a redirect points by its host alone, and only if that is one."""
    try:
        host = urlsplit(headers.get("location", "")).hostname or ""
    except ValueError:
        return ""
    printable = host.isascii() and len(host) <= 253 and set(host).isdisjoint("\"'<>\\") and host.isprintable()
    return f" to {host}" if host and printable else ""
