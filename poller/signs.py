"""A source whose every answer is a sign of life of the poll that asked."""

from collections.abc import Callable, Iterator, Sequence

from poller.model import Organization, Page, Stream
from poller.sources import Increment, Source, Sweep


class Signs:
    """``source``, and ``moved`` is called whenever it answered."""

    def __init__(self, source: Source, moved: Callable[[], None]) -> None:
        self.name, self.resources = source.name, source.resources
        self._source = source
        self._moved = moved

    def organizations(self) -> Sequence[Organization]:
        """See ``Source.organizations``."""
        return self._source.organizations()

    def list(self, stream: Stream, query: Increment | Sweep, parent: str = "") -> Iterator[Page]:
        """See ``Source.list``."""
        for page in self._source.list(stream, query, parent):
            self._moved()
            yield page

    def fetch(self, stream: Stream, ids: Sequence[str], parent: str = "") -> Page:
        """See ``Source.fetch``."""
        page = self._source.fetch(stream, ids, parent)
        self._moved()
        return page

    def count(self, stream: Stream, parent: str = "", after: str = "") -> int:
        """See ``Source.count``."""
        count = self._source.count(stream, parent, after)
        self._moved()
        return count

    def rate(self) -> float:
        """See ``Source.rate``."""
        return self._source.rate()

    def close(self) -> None:
        """See ``Source.close``."""
        self._source.close()
