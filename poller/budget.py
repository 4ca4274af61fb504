"""Where the next request goes when there are only so many: arithmetic only; docs/scheduling.md explains it.

Each stream has an expected rate of changes, from its own history and from what its organization does just now. Polled
every ``T`` seconds, its changes wait ``T / 2`` on average, so that all waiting together is the least, at a given number
of requests, where each ``T`` is ``sqrt(price * cost / rate)``. The price is the same for all, and as high as it takes
for the requests to fit into the budget. No stream waits longer than its ``longest_s``, whatever is expected of it.
"""

from collections.abc import Callable, Iterable
from functools import partial
from math import exp, inf, log, sqrt
from typing import NamedTuple

RECENT_S = 600.0
"""The half-life of what counts as just now: people work in sittings."""
USUAL_S = 14 * 86400.0
"""The half-life of what is usual."""
PRIOR_CHANGES, PRIOR_S = 1.0, 86400.0
"""What a stream without a history is taken for: one that changed once in a day."""
MOST_CHANGES = 20
"""A poll that found more counts as one that found so many: an import of thousands says little of what comes next."""
QUIET = 0.1
"""Of its usual rate, what is expected of a stream while its organization is quiet."""
LARGEST_PART, EQUAL_PARTS = 0.4, 1.5
"""No organization takes a larger part of the budget than this, or than so many equal parts where they are more."""
PUNCTUAL = 0.95
"""The longest interval ends by this share before its bound: a stream that is due has to wait for its turn too."""
ROUNDS, EXACT = 30, 0.01
"""How often the range of the price is halved at most, and how near to the budget is near enough."""


class History(NamedTuple):
    """What is remembered of a stream's changes; ``at_s`` is the time of the last poll that went well, 0 without one.

    ``recent`` and ``usual`` are numbers of changes, ``watched_s`` is the time in which the usual ones were found, each
    less and less the longer ago. ``cost`` is how many requests a poll takes, likewise.
    """

    at_s: float = 0.0
    recent: float = 0.0
    usual: float = 0.0
    watched_s: float = 0.0
    cost: float = 1.0


class Bounds(NamedTuple):
    """Between two polls of a stream is no less than ``shortest_s`` and no more than ``longest_s``."""

    shortest_s: float
    longest_s: float


class Candidate(NamedTuple):
    """A stream that wants requests: ``rate`` changes a second are expected of it, a poll costs ``cost`` requests."""

    org: str
    rate: float
    cost: float
    bounds: Bounds


def after_poll(history: History, found: int, requests: int, now_s: float) -> History:
    """The history after a poll that found so many changes with so many requests."""
    span_s = max(now_s - history.at_s, 0.0) if history.at_s else 0.0
    counted = min(found, MOST_CHANGES)
    usually = _left(span_s, USUAL_S)
    return History(
        at_s=now_s,
        recent=history.recent * _left(span_s, RECENT_S) + counted,
        usual=history.usual * usually + counted,
        watched_s=history.watched_s * usually + span_s,
        cost=0.8 * history.cost + 0.2 * max(requests, 1),
    )


def joined(one: History, other: History) -> History:
    """The history of two streams' changes together, as far as just now is concerned."""
    at_s = max(one.at_s, other.at_s)
    recent = sum(each.recent * _left(at_s - each.at_s, RECENT_S) for each in (one, other))
    return one._replace(at_s=at_s, recent=recent)


def usual_rate(history: History) -> float:
    """Changes a second in the long run."""
    return (history.usual + PRIOR_CHANGES) / (history.watched_s + PRIOR_S)


def recent_rate(history: History, now_s: float) -> float:
    """Changes a second just now."""
    return history.recent * _left(max(now_s - history.at_s, 0.0), RECENT_S) * log(2) / RECENT_S


def expected_rate(history: History, org_usual: float, org_recent: float, now_s: float) -> float:
    """Changes a second expected of a stream whose organization has these rates, its own included.

    What a busy organization is going to change is what it usually does; a sitting shows in one stream first, and is
    expected in the others.
    """
    usual = usual_rate(history)
    return max(QUIET * usual, recent_rate(history, now_s), usual * org_recent / org_usual)


def interval_s(candidate: Candidate, price: float) -> float:
    """How long after a poll the next one is worth its requests."""
    shortest_s, longest_s = candidate.bounds
    return min(longest_s * PUNCTUAL, max(shortest_s, sqrt(price * candidate.cost / candidate.rate)))


def prices(candidates: Iterable[Candidate], budget: float, before: float = inf) -> tuple[float, dict[str, float]]:
    """The price at which all polls together take ``budget`` requests a second, and what each organization pays.

    That is the price, but more for an organization that would take more than its part. Where even the longest intervals
    take more than there is, it is as high as it can be: all wait for so long, or longer. ``before`` is the last price:
    the search begins there; infinite is none.
    """
    groups: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        groups.setdefault(candidate.org, []).append(candidate)
    if not groups:
        return before, {}
    part = budget * (1 if len(groups) == 1 else max(LARGEST_PART, EQUAL_PARTS / len(groups)))
    ends = (
        rate * span_s**2 / cost for group in groups.values() for _, rate, cost, bounds in group for span_s in bounds
    )
    lowest, *_, highest = sorted(map(log, ends))
    demands = {org: partial(_demand, group) for org, group in groups.items()}
    price = _price(
        lambda each: sum(min(part, ask(each)) for ask in demands.values()), budget, lowest, log(before), highest
    )
    dear = {org: ask for org, ask in demands.items() if ask(price) > part * (1 + EXACT)}
    return price, dict.fromkeys(groups, price) | {
        org: _price(ask, part, log(price), log(price), highest) for org, ask in dear.items()
    }


def _price(demand: Callable[[float], float], supply: float, lowest: float, guess: float, highest: float) -> float:
    """The price at which demand meets supply; what is given and halved are logarithms of prices.

    Demand falls with the root of the price where no bound holds: that makes the next guess, as long as it is a guess
    that narrows the range.
    """
    for _ in range(ROUNDS):
        guess = guess if lowest < guess < highest else (lowest + highest) / 2
        asked = demand(exp(guess))
        if abs(asked / supply - 1) < EXACT:
            return exp(guess)
        lowest, highest = (guess, highest) if asked > supply else (lowest, guess)
        guess += 2 * log(asked / supply)
    return exp(highest)


def _demand(group: Iterable[Candidate], price: float) -> float:
    return sum(candidate.cost / interval_s(candidate, price) for candidate in group)


def _left(span_s: float, half_life_s: float) -> float:
    """What time leaves of a number."""
    return exp(-log(2) * span_s / half_life_s)
