"""Which deliveries go to a sink together, and which of them is to blame where they are refused. Time is an argument."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from poller.breaker import FAILURES
from poller.model import Delivery, Gone, Later, Outcome, Refused

MOST = 250
"""So many deliveries are a batch at most."""

LARGEST_BYTES = 1 << 20
"""What the events of a batch take as a JSON array at most: many servers refuse more. A larger event goes alone."""


class Composed(NamedTuple):
    """``ready`` are batches to be sent now; what is in none waits for company until ``waits_until_ms``."""

    ready: list[list[Delivery]]
    waits_until_ms: int | None = None


def compose(due: Iterable[Delivery], size: int, wait_s: float, now_ms: int) -> Composed:
    """Put together up to ``size`` deliveries that are due, each of another lane, the longest due first.

    What met trouble before goes alone and at once, so that it spoils no other's way. A batch that is not full
    goes once the first of it is due for ``wait_s``.
    """
    ready: list[list[Delivery]] = []
    batch: list[Delivery] = []
    room_bytes = 0
    for delivery in due:
        takes_bytes = len(delivery.body) + len(",")
        if delivery.attempts or delivery.troubles:
            ready.append([delivery])
        elif 0 < len(batch) < size and takes_bytes <= room_bytes:
            batch.append(delivery)
            room_bytes -= takes_bytes
        else:
            batch, room_bytes = [delivery], LARGEST_BYTES - len("]") - takes_bytes
            ready.append(batch)
    if not 0 < len(batch) < size or room_bytes < 0:
        return Composed(ready)
    until_ms = batch[0].due_ms + int(wait_s * 1000)
    return Composed(ready) if until_ms <= now_ms else Composed([one for one in ready if one is not batch], until_ms)


def split(
    batch: Sequence[Delivery],
    ask: Callable[[Sequence[Delivery]], Outcome],
    late: Callable[[], bool],
    *,
    apart: bool = False,
) -> list[Outcome]:
    """Send a batch by ``ask``, and where it is refused its halves, until those that are to blame are alone.

    ``apart``: all are alone from the beginning.

    Only what was refused alone is ``Refused``. Trouble of the receiver is the outcome of all that it did not
    answer for. They are for later, too, once it is ``late``, and once several in a row were refused alone: then
    hardly each is to blame, and the receiver does not want to be asked about all the others now.
    """
    parts = deque([[one] for one in batch] if apart else [batch] if batch else [])
    outcomes: list[Outcome] = []
    refused = 0
    while parts:
        part = parts.popleft()
        outcome = ask(part)
        if isinstance(outcome, Refused) and len(part) > 1:
            middle = len(part) // 2
            parts.extendleft((part[middle:], part[:middle]))
        else:
            outcomes += [outcome] * len(part)
            refused = refused + 1 if isinstance(outcome, Refused) else 0
        if (rest := _of_the_rest(outcome, refused, late)) is not None:
            return outcomes + [rest] * (len(batch) - len(outcomes))
    return outcomes


def _of_the_rest(outcome: Outcome, refused: int, late: Callable[[], bool]) -> Outcome | None:
    """What an outcome means for all that was not asked for yet; None if that goes on."""
    if isinstance(outcome, Later | Gone):
        return outcome
    if isinstance(outcome, Refused) and refused >= FAILURES:
        return Later(f"{refused} others in a row were refused: {outcome.reason}")
    return Later("there was no time left to split a refused batch") if late() else None
