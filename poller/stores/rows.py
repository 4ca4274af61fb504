"""Rows of the database to the port's values and back."""

import json
from typing import Any

from poller.budget import History
from poller.model import Stream
from poller.silence import Rhythm
from poller.stores import Decision, Pass, Progress, Standing, Sweeping

PROGRESS = """
  baselined_ms, watermarks, sweep, polls, sweeps, next_sweep_ms, live, missing, held_ms, count_gap, rhythm, late
"""
STANDING = f"""
  org, resource, {PROGRESS},
  decision, next_poll_ms, polled_ms, failures, error, suspended, paused, failing_ms, silent_ms, history
"""

STREAM_STATE = """
  CASE WHEN paused THEN 'paused' WHEN suspended THEN 'suspended' WHEN held_ms IS NOT NULL THEN 'held'
    WHEN failures > 0 THEN 'failing' WHEN baselined_ms IS NULL THEN 'baseline' ELSE 'following' END
"""
"""How a stream stands, in one word: what an operator should hear first."""


def standing(row: tuple[Any, ...]) -> Standing:
    """A row of ``STANDING`` columns as a value."""
    org, resource, baselined_ms, watermarks, sweep, *numbers, rhythm, late = row[:14]
    fields = [baselined_ms, json.loads(watermarks), _sweeping(sweep), *numbers]
    fields += [Rhythm(*json.loads(rhythm)), tuple(json.loads(late))]
    progress = Progress(*fields)
    decision, next_poll_ms, polled_ms, failures, error, suspended, paused, failing_ms, silent_ms, history = row[14:]
    return Standing(
        Stream(org, resource),
        progress,
        Decision(decision) if decision else None,
        next_poll_ms,
        polled_ms,
        failures,
        error,
        bool(suspended),
        bool(paused),
        failing_ms,
        silent_ms,
        History(*json.loads(history)) if history else History(),
    )


def history_text(history: History) -> str:
    """The ``history`` column of a value."""
    return json.dumps([round(number, 3) for number in history])


def progress_row(progress: Progress) -> tuple[Any, ...]:
    """The ``PROGRESS`` columns of a value."""
    return (
        progress.baselined_ms,
        json.dumps(dict(progress.watermarks)),
        _sweep_text(progress.sweep),
        progress.polls,
        progress.sweeps,
        progress.next_sweep_ms,
        progress.live,
        progress.missing,
        progress.held_ms,
        progress.count_gap,
        json.dumps(progress.rhythm),
        json.dumps(progress.late),
    )


def _sweeping(text: str | None) -> Sweeping | None:
    if text is None:
        return None
    fields = json.loads(text)
    return Sweeping(**fields | {"kind": Pass(fields["kind"])})


def _sweep_text(sweep: Sweeping | None) -> str | None:
    if sweep is None:
        return None
    return json.dumps(
        {
            "kind": sweep.kind,
            "started_ms": sweep.started_ms,
            "parent": sweep.parent,
            "after": sweep.after,
            "began": dict(sweep.began),
            "tainted": sweep.tainted,
        }
    )
