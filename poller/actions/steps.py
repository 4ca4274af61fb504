"""The results of finished steps as they are stored, and a step's own name."""

import base64
from collections.abc import Mapping
from hashlib import blake2b

from poller.expression import File, read, write
from poller.model import Delivery
from poller.shape import Step

FILE = "$file"  # stands for a file among stored results


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
