"""Whether a stream that usually changes has been silent for too long: arithmetic on a few numbers of its history.

The longest pause between two changes knows of nights and weekends, since it is one. So a stream is silent when it has
paused for half as long again as it ever did of late, and then for ten usual gaps more: by chance alone that happens
once in 20,000 pauses, however few of them are known.
"""

from typing import NamedTuple

FEWEST_PAUSES = 20
SHORTEST_HISTORY_MS = 21 * 86_400_000
"""So much has to be known before anything is concluded: three weekends at least."""

LONGEST_TIMES, MEAN_TIMES = 1.5, 10.0
SHORTEST_SILENCE_S = 3600.0
"""What is never a silence, however busy the stream is."""

MEAN_PAUSES = 50
"""The mean is over about so many pauses."""
HALF_LIFE_S, HALF_LIFE_PAUSES = 182 * 86_400.0, 50
"""After so long, and after so many pauses at least, the longest one counts half."""


class Rhythm(NamedTuple):
    """How a stream changes: pauses between polls that found changes, the first and the last of these polls.

    Times are 0 where there is none yet.
    """

    since_ms: int = 0
    changed_ms: int = 0
    pauses: int = 0
    mean_s: float = 0.0
    longest_s: float = 0.0


NO_RHYTHM = Rhythm()


def changed(rhythm: Rhythm, now_ms: int, *, watched: bool) -> Rhythm:
    """The rhythm after a change that is seen now; unless the stream was ``watched`` before, its pause says nothing."""
    pause_s = (now_ms - rhythm.changed_ms) / 1000
    if not (rhythm.changed_ms and watched and pause_s > 0):
        return rhythm._replace(since_ms=rhythm.since_ms or now_ms, changed_ms=now_ms)
    pauses = rhythm.pauses + 1
    mean_s = rhythm.mean_s + (pause_s - rhythm.mean_s) / min(pauses, MEAN_PAUSES)
    faded_s = rhythm.longest_s * 0.5 ** min(pause_s / HALF_LIFE_S, 1 / HALF_LIFE_PAUSES)
    return Rhythm(rhythm.since_ms, now_ms, pauses, round(mean_s, 1), round(max(pause_s, faded_s), 1))


def limit_s(rhythm: Rhythm) -> float | None:
    """How long the stream may be silent before that is odd; None where too little is known."""
    if rhythm.pauses < FEWEST_PAUSES or rhythm.changed_ms - rhythm.since_ms < SHORTEST_HISTORY_MS:
        return None
    return max(SHORTEST_SILENCE_S, LONGEST_TIMES * rhythm.longest_s + MEAN_TIMES * rhythm.mean_s)


def silent_since(was_ms: int | None, rhythm: Rhythm, now_ms: int) -> int | None:
    """When the stream's silence became odd, after a poll now; None if it is not."""
    if was_ms is not None and rhythm.changed_ms <= was_ms:
        return was_ms
    longest_s = limit_s(rhythm)
    return now_ms if longest_s is not None and now_ms - rhythm.changed_ms > longest_s * 1000 else None
