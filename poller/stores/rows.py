"""Rows of the database to the port's values and back."""

from collections.abc import Mapping
from typing import Any

import msgspec

from poller.budget import History
from poller.model import Stream
from poller.overlap import Late
from poller.silence import Rhythm
from poller.stores import Decision, Progress, Standing, Sweeping

PROGRESS = """
  baselined_ms, watermarks, sweep, polls, sweeps, next_sweep_ms, live, missing, held_ms, count_gap, rhythm, late
"""
STANDING = f"""
  org, resource, {PROGRESS},
  decision, next_poll_ms, polled_ms, failures, error, suspended, paused, failing_ms, silent_ms, history
"""

_watermarks = msgspec.json.Decoder(Mapping[str, int]).decode
_sweeping = msgspec.json.Decoder(Sweeping).decode
_rhythm = msgspec.json.Decoder(Rhythm).decode
_late = msgspec.json.Decoder(Late).decode
_history = msgspec.json.Decoder(History).decode

STREAM_STATE = """
  CASE WHEN paused THEN 'paused' WHEN suspended THEN 'suspended' WHEN held_ms IS NOT NULL THEN 'held'
    WHEN failures > 0 THEN 'failing' WHEN baselined_ms IS NULL THEN 'baseline' ELSE 'following' END
"""
"""How a stream stands, in one word: what an operator should hear first."""


def standing(row: tuple[Any, ...]) -> Standing:
    """A row of ``STANDING`` columns as a value."""
    org, resource, baselined_ms, watermarks, sweep, *numbers, rhythm, late = row[:14]
    fields = [baselined_ms, _watermarks(watermarks), _sweeping(sweep) if sweep else None, *numbers]
    progress = Progress(*[*fields, _rhythm(rhythm), _late(late)])
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
        _history(history) if history else History(),
    )


def history_text(history: History) -> str:
    """The ``history`` column of a value."""
    return _text([round(number, 3) for number in history])


def progress_row(progress: Progress) -> tuple[Any, ...]:
    """The ``PROGRESS`` columns of a value."""
    return (
        progress.baselined_ms,
        _text(progress.watermarks),
        _text(progress.sweep) if progress.sweep else None,
        progress.polls,
        progress.sweeps,
        progress.next_sweep_ms,
        progress.live,
        progress.missing,
        progress.held_ms,
        progress.count_gap,
        _text(progress.rhythm),
        _text(progress.late),
    )


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()
