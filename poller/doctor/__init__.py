"""What ``poller doctor`` looks at: the API, which is documented in part only, and the machine that poller runs on.

``account``, ``probes`` and ``writing`` ask the API, ``local`` looks at the machine; ``answers`` and ``machine`` are
pure, and judge what came of it.
"""

from enum import StrEnum
from typing import NamedTuple


class Verdict(StrEnum):
    """How something stands, from good to bad; ``NOTE`` is worth knowing and needs nothing."""

    OK = "ok"
    NOTE = "note"
    WARN = "warn"
    FAIL = "FAIL"


class Told(NamedTuple):
    """What one look showed, judged."""

    verdict: Verdict
    seen: str


class Finding(NamedTuple):
    """One probe's result: what was expected, what was seen, and what follows for the operator, if anything does."""

    name: str
    verdict: Verdict
    expected: str
    seen: str
    follows: str


def worst(verdicts: list[Verdict]) -> Verdict:
    """The worst of them; ``NOTE`` where there is none."""
    return max(verdicts, key=list(Verdict).index, default=Verdict.NOTE)
