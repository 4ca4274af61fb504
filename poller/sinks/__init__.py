"""The port through which events go out. One file a kind of sink, named after its ``kind``.

Each such file holds ``Config``, a ``settings.Strict`` with ``kind`` as a ``Literal`` and a method
``sink(self) -> Sink``. A new kind is a new file: it is found by its name.
"""

from collections.abc import Sequence
from importlib import import_module
from pkgutil import iter_modules
from typing import Annotated, NamedTuple, Protocol

from pydantic import Field

from poller.model import Delivery, Outcome
from poller.plan import Order
from poller.settings import Strict


class Sink(Protocol):
    """A receiver of events.

    ``send`` is called by up to ``concurrency`` threads at once, never with two deliveries of one lane at
    the same time, and with at most ``batch_size`` deliveries a call; for more of them a delivery is kept waiting
    for ``batch_wait_s`` at most. What met trouble before comes alone. An expected answer is an ``Outcome``; an
    exception is a bug and is reported as one.

    The same ``Delivered`` or ``Later`` of several deliveries in a row is one answer of the receiver; each
    ``Refused`` is one by itself. ``careful``: it must know which sends began before the process ended, since doing it
    twice is not the same as once.
    """

    concurrency: int
    batch_size: int
    batch_wait_s: float
    careful: bool

    def send(self, batch: Sequence[Delivery]) -> Sequence[Outcome]:
        """Hand over ``batch`` in order; the outcomes stand in the same order."""
        ...

    def close(self) -> None:
        """Release what is held; ``send`` is not called again."""
        ...


class Reach(NamedTuple):
    """What a sink connects to: a host and a port, and whether private addresses are permitted."""

    host: str
    port: int
    allow_private: bool


class SinkConfig(Strict):
    """What the configurations of all kinds of sinks share."""

    kind: str
    order: Annotated[Order, Field(strict=False)] = Order.RECORD

    def reach(self) -> Reach | None:
        """What the sink connects to first, which is its proxy if it has one; None where that is nothing."""
        return None

    def sink(self) -> Sink:
        """Make the sink; raises ``settings.SettingError`` where a secret or a path cannot be had."""
        raise NotImplementedError


def kinds() -> dict[str, type[SinkConfig]]:
    """Each kind's configuration type by its name: one for every file beside this one."""
    names = sorted(module.name for module in iter_modules(__path__))
    return {name: import_module(f"{__name__}.{name}").Config for name in names}
