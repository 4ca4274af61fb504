"""Whether it is known which organizations there are: how the look-ups go, for whoever asks."""

from dataclasses import dataclass

from poller.meter import Meter
from poller.sources import Denied, SourceError
from poller.stores import StoreError


@dataclass(frozen=True, slots=True)
class Lost:
    """Every look-up since ``since_ms`` failed; ``error`` says why the last one did."""

    since_ms: int
    error: str


class Sight:
    """How the look-ups of organizations go: ``lost`` is None while they succeed, and before the first."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self.lost: Lost | None = None

    def kept(self) -> None:
        """Enter a look-up that succeeded."""
        self._meter.count("lookups", outcome="ok")
        self.lost = None

    def lose(self, error: SourceError | StoreError, now_ms: int) -> None:
        """Enter one that failed."""
        self._meter.count("lookups", outcome="denied" if isinstance(error, Denied) else "failed")
        self.lost = Lost(self.lost.since_ms if self.lost else now_ms, str(error))
