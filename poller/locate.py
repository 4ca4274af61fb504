"""Where records are gone, found by counting: what to count next, or what to list. Arithmetic only.

The API counts the live records above an id; how many there should be is remembered. What is missing above the one end
of a stretch of ids, less what is missing above the other, is gone within it. So a bisection over the ids that are
remembered finds one record of 10,000 with five or six counts and two pages; its counts serve all that are gone at once.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from math import ceil
from typing import NamedTuple

PAGES_EACH = 3
"""A stretch with no more pages than this for each record that is gone in it is listed: another count would cost more
than the pages that it saves. (Expected requests for one record of 100 pages: 7.7 with 1, 7.4 with 2, 7.1 with 3.)"""
MOST_PAGES = 25
"""A longer one is never listed at once: many records that are gone often lie side by side, and where they do not, one
count in 25 pages was in vain."""


class Ranks(NamedTuple):
    """How many live records of one listing are remembered, and every ``page``-th of their ids, in order."""

    live: int
    page: int
    ids: tuple[str, ...] = ()

    @property
    def pages(self) -> int:
        """How many pages list them; the first begins at place 0, each next one at the next place."""
        return ceil(self.live / self.page)

    def after(self, place: int) -> str:
        """The id above which the page at this place begins."""
        return self.ids[place - 1] if place else ""

    def above(self, place: int) -> int:
        """How many live records are remembered from this place on."""
        return max(self.live - self.page * place, 0)


def ranked(live: Iterable[tuple[str, str]], page: int) -> dict[str, Ranks]:
    """The ranks of live records, given by parent and id in order of ids: those of each listing, by parent."""
    counts, ids = Counter[str](), dict[str, list[str]]()
    for parent, one in live:
        counts[parent] += 1
        if counts[parent] % page == 0:
            ids.setdefault(parent, []).append(one)
    return {parent: Ranks(count, page, tuple(ids.get(parent, ()))) for parent, count in counts.items()}


class Known(NamedTuple):
    """What is known of one listing: its ranks, and how many records the API counts from place 0 and some others on."""

    ranks: Ranks
    counted: Mapping[int, int]


class Count(NamedTuple):
    """Ask how many live records of a listing have an id above ``after``: that is ``counted`` from this place on."""

    parent: str
    place: int
    after: str


class Stretch(NamedTuple):
    """List the ids above ``after`` and up to ``upto`` (None: to the end): so many records are ``gone`` among them."""

    parent: str
    after: str
    upto: str | None
    gone: int


class _Span(NamedTuple):
    """From one place to another, as ``Stretch``."""

    parent: str
    begin: int
    end: int
    gone: int


def step(listings: Mapping[str, Known]) -> Count | Sequence[Stretch] | None:
    """What to ask next of these listings, by parent, or all that is left to list.

    None where counting cannot tell, or costs more than it saves: the counts contradict each other or what is
    remembered, as where records came or went meanwhile, or everything would have to be listed.
    """
    spans: list[_Span] = []
    for parent, known in listings.items():
        found = _spans(parent, known)
        if found is None:
            return None
        spans += found
    for parent, begin, end, gone in spans:
        if end - begin > min(PAGES_EACH * gone, MOST_PAGES):
            place = (begin + end) // 2
            return Count(parent, place, listings[parent].ranks.after(place))
    if sum(span.end - span.begin for span in spans) == sum(known.ranks.pages for known in listings.values()):
        return None
    return [_stretch(listings[span.parent].ranks, span) for span in spans]


def _spans(parent: str, known: Known) -> list[_Span] | None:
    """Where between the places that are counted some are gone; None where that cannot be."""
    ranks, places = known.ranks, sorted(known.counted)
    missing = [ranks.above(place) - known.counted[place] for place in places]
    ends = zip([*places, ranks.pages], [*missing, 0], strict=True)  # nothing is remembered above the last
    spans = [_Span(parent, begin, end, more - less) for (begin, more), (end, less) in pairwise(ends)]
    possible = all(0 <= gone <= ranks.above(begin) - ranks.above(end) for _, begin, end, gone in spans)
    return [span for span in spans if span.gone] if possible else None


def _stretch(ranks: Ranks, span: _Span) -> Stretch:
    upto = None if span.end == ranks.pages else ranks.after(span.end)
    return Stretch(span.parent, ranks.after(span.begin), upto, span.gone)
