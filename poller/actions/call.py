"""A step of a delivery to the call that does it. Nothing is sent here."""

from collections.abc import Mapping

from poller.actions import Call, Connection
from poller.actions.inputs import prepare
from poller.actions.steps import step_key
from poller.model import Delivery
from poller.route import event_of, scope_of
from poller.shape import Step


class NotThere(ValueError):
    """The connection of a step, or its action, is not there: a delivery may outlive the configuration."""


def call_of(
    connections: Mapping[str, Connection], delivery: Delivery, step: Step, results: Mapping[str, object], origin: str
) -> Call:
    """The call of a step, by the ``results`` of those before it; ``origin`` marks what it makes in Space Invoices.

    Raises ``NotThere``, and ``EvaluationError`` or ``InputError`` where it cannot be made of this event.
    """
    connection = connections.get(step.connection)
    if connection is None:
        raise NotThere(f"there is no connection {step.connection} any more")
    action = connection.system.actions.get(step.action)
    if action is None:
        raise NotThere(f"there is no action {step.action} any more")
    scope = {**scope_of(delivery.body), "steps": dict(results)}
    given = step.given.render(scope)
    event = {**event_of(scope), "origin": origin}
    before = {"event": event, "step": {"id": step.id, "key": step_key(delivery, step)}}
    return Call(connection, action, prepare(action, given if isinstance(given, dict) else {}, before))
