"""Sinks that get what a route makes of an event, by the definition that its delivery was made under."""

from collections.abc import Callable, Mapping, Sequence

from poller.expression import EvaluationError, ExpressionError
from poller.model import Delivery, Outcome, Refused
from poller.shape import Shape, define_text, render
from poller.sinks import Sink


class Shapes:
    """Shapes by digest: those of the configuration, and older ones by ``stored``, which gives their definitions."""

    def __init__(self, known: Mapping[str, Shape], stored: Callable[[str], str | None]) -> None:
        self._known = dict(known)
        self._stored = stored

    def __call__(self, digest: str) -> Shape:
        """The shape; raises ``EvaluationError`` where it is not to be had."""
        if digest not in self._known:
            definition = self._stored(digest)
            if definition is None:
                raise EvaluationError(f"the definition {digest} of its route is not in the state")
            try:
                self._known[digest] = define_text(definition)
            except ExpressionError as error:
                raise EvaluationError(f"the definition {digest} of its route cannot be read: {error}") from error
        return self._known[digest]


class Shaped:
    """A sink that is sent what the shape of each delivery makes of its event."""

    def __init__(self, sink: Sink, shape_of: Callable[[str], Shape]) -> None:
        self.concurrency, self.careful = sink.concurrency, sink.careful
        self.batch_size, self.batch_wait_s = sink.batch_size, sink.batch_wait_s
        self._sink = sink
        self._shape_of = shape_of

    def send(self, batch: Sequence[Delivery]) -> Sequence[Outcome]:
        """Send what can be made; what cannot is refused for good, until its route is mended."""
        made = [self._made(delivery) for delivery in batch]
        ready = [one for one in made if isinstance(one, Delivery)]
        sent = iter(self._sink.send(ready) if ready else ())
        return [next(sent) if isinstance(one, Delivery) else one for one in made]

    def close(self) -> None:
        """Close the sink."""
        self._sink.close()

    def _made(self, delivery: Delivery) -> Delivery | Refused:
        if not delivery.shape:
            return delivery
        try:
            return render(self._shape_of(delivery.shape), delivery)
        except EvaluationError as error:
            return Refused(str(error), final=True, unsent=True)
