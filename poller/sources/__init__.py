"""The port through which records come in. One file an API; ``spaceinvoices.py`` is the first."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from poller.model import Organization, Page, Resource, Stream


class Increment(NamedTuple):
    """Ask for what changed at or after ``since_ms``, tombstones included, oldest change first."""

    since_ms: int


Known = Callable[[str, int], Mapping[bytes, str]]
"""Gives, by the digest of their bodies, the ids of so many live records that are remembered next above an id."""


class Sweep(NamedTuple):
    """Ask for everything with an id above ``after``, tombstones included, in the order of ids.

    Without ``bodies`` a record carries its id and stamps only. Of one whose body is ``known`` nothing is read, and the
    page has its id only.
    """

    after: str
    bodies: bool
    known: Known = lambda _after, _records: {}


class SourceError(Exception):
    """The source could not answer. Nothing may be concluded from it; what earlier pages showed stands."""


class Incomplete(SourceError):
    """An answer is not a proper page: not JSON, cut short, repeated, out of order, endless or too large."""


class Unreachable(SourceError):
    """No answer, or only passing trouble, after every retry."""


class Denied(SourceError):
    """The token may not see this: 401, 403, or an organization that is not there. Never a deletion."""


class ParentGone(SourceError):
    """The record whose children were to be listed is not there (any more)."""


class Source(Protocol):
    """An API whose records are followed.

    Every method blocks, may be called from several threads, and raises ``SourceError`` when it cannot answer.
    """

    name: str
    resources: Mapping[str, Resource]

    def organizations(self) -> Sequence[Organization]:
        """All organizations that the token can see."""
        ...

    def list(self, stream: Stream, query: Increment | Sweep, parent: str = "") -> Iterator[Page]:
        """Yield the pages of a listing, at least one; only an iterator that ends was complete."""
        ...

    def fetch(self, stream: Stream, ids: Sequence[str], parent: str = "") -> Page:
        """Show these records (50 at most), tombstones included; what is gone is left out."""
        ...

    def count(self, stream: Stream, parent: str = "") -> int:
        """How many live records the API counts."""
        ...

    def rate(self) -> float:
        """How many requests a second the API takes now, as far as is known."""
        ...

    def close(self) -> None:
        """Abandon the requests under way, and close all connections; nothing is asked again."""
        ...
