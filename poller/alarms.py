"""When a stream's trouble is told: after it failed for long, or was silent for long; once, until that is over."""

from collections.abc import Iterator
from dataclasses import replace

from poller import silence
from poller.notices import Notice, failing_since, stream_failing, stream_recovered, stream_silent
from poller.stores import Standing


def alarmed(standing: Standing, every_s: float, now_ms: int) -> Standing:
    """The standing after a poll that ended now, well or not, with its alarms raised or cleared.

    ``every_s`` is how often the stream is polled. Only a poll that went well hears a silence.
    """
    failing_ms = failing_since(
        standing.failing_ms,
        failures=standing.failures,
        denied=standing.suspended,
        polled_ms=standing.polled_ms,
        every_s=every_s,
        now_ms=now_ms,
    )
    standing = replace(standing, failing_ms=failing_ms)
    if standing.failures or standing.suspended:
        return standing
    return replace(standing, silent_ms=silence.silent_since(standing.silent_ms, standing.progress.rhythm, now_ms))


def raised(before: Standing, after: Standing, now_ms: int) -> Iterator[Notice]:
    """What there is to tell where a stream's standing has become this now."""
    stream = after.stream
    if after.failing_ms is not None and before.failing_ms is None:
        yield stream_failing(
            stream,
            after.failing_ms,
            failures=after.failures,
            denied=after.suspended,
            polled_ms=after.polled_ms,
            reason=after.error,
        )
    if after.failing_ms is None and before.failing_ms is not None:
        yield stream_recovered(stream, before.failing_ms, now_ms)
    if after.silent_ms is not None and before.silent_ms != after.silent_ms:
        rhythm = after.progress.rhythm
        yield stream_silent(stream, after.silent_ms, rhythm.changed_ms, silence.limit_s(rhythm) or 0.0)
