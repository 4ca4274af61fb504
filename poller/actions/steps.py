"""What a delivery of steps is, as the sink of actions sees it.

TO BE JOINED with the core: ``Steps``, ``Delivery``, ``Advanced`` and ``Later`` stand in for what ``poller.model`` is
going to hold (``Delivery.shape``, ``begun``, ``steps``; ``Advanced``; ``Later.unknown``), ``scope_of`` for the scope
that routing makes of an event.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

from poller.expression import EvaluationError, File, Template, read, write
from poller.model import Delivered, Gone, Refused

FILE = "$file"  # stands for a file among stored results


class Step(NamedTuple):
    """One action of a route, done by a connection to its system; ``given`` is what is said of it, with holes."""

    id: str
    connection: str
    action: str
    given: Template | None


class Steps(NamedTuple):
    """A route's steps in order, as they are stored under their digest."""

    steps: tuple[Step, ...]


class Delivery(NamedTuple):
    """One event on its way through the steps of a route.

    ``shape`` is the digest of their definition, ``steps`` the results of those that are done. ``begun`` says that
    the next one was sent before, and that it is not known how that ended.
    """

    event_id: str
    body: bytes
    shape: str
    steps: bytes = b""
    begun: bool = False
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Advanced:
    """A step is done, and there are more; ``steps`` are the results so far."""

    steps: bytes


@dataclass(frozen=True, slots=True)
class Later:
    """As ``model.Later``; ``unknown`` says that it is not known whether the step was done."""

    reason: str
    after_s: float | None = None
    unknown: bool = False


Outcome = Delivered | Advanced | Later | Refused | Gone


def scope_of(delivery: Delivery) -> dict[str, object]:
    """The variables of an event's expressions, of the stored envelope. Raises ``EvaluationError``."""
    envelope = read(delivery.body)
    if not isinstance(envelope, dict):
        raise EvaluationError("the event is no envelope")
    org, resource, record_id = str(envelope.get("partitionkey", "")).split("/", 2)
    data = envelope.get("data", {})
    trigger = str(envelope.get("type", "")).split(".", 2)[-1]
    return {
        "event": {
            "id": delivery.event_id,
            "trigger": trigger,
            "kind": trigger.rpartition(".")[2],
            "resource": resource,
            "organization": org,
            "record_id": record_id,
            "time": envelope.get("time"),
            "recorded": envelope.get("recordedtime"),
            "origin": "poller",  # TO BE JOINED: the instance's own id, which does not change
        },
        "data": data.get("object"),
        "previous": data.get("previous"),
        "changed": data.get("changed"),
    }


def step_key(delivery: Delivery, step: Step) -> str:
    """A name for this step of this event: the same at every attempt, and no other step's."""
    digest = blake2b(f"{delivery.shape}/{step.id}".encode(), digest_size=5).hexdigest()
    return f"{delivery.event_id}_{digest}"


def pack(results: Mapping[str, object]) -> bytes:
    """The results of steps by their ids, as they are stored; a file is base64."""
    return write(_packed(dict(results)))


def unpack(stored: bytes) -> dict[str, object]:
    """The results that ``pack`` stored; none where nothing is stored."""
    found = _unpacked(read(stored)) if stored else {}
    return found if isinstance(found, dict) else {}


def _packed(result: object) -> object:
    if isinstance(result, File):
        data = base64.b64encode(result.data).decode()
        return {FILE: {"name": result.name, "content_type": result.content_type, "data": data}}
    if isinstance(result, dict):
        packed = {name: _packed(inner) for name, inner in result.items()}
        return {FILE: packed} if set(packed) == {FILE} else packed  # what only looks like a file is wrapped once more
    return [_packed(inner) for inner in result] if isinstance(result, list) else result


def _unpacked(result: object) -> object:
    if isinstance(result, list):
        return [_unpacked(inner) for inner in result]
    if not isinstance(result, dict):
        return result
    if set(result) != {FILE}:
        return {name: _unpacked(inner) for name, inner in result.items()}
    file = result[FILE]
    if set(file) == {FILE}:
        return {FILE: _unpacked(file[FILE])}
    return File(file["name"], file["content_type"], base64.b64decode(file["data"]))
