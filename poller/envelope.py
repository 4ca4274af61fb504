"""Event to bytes on the wire, and their signature: all that a receiver sees.

The envelope is CloudEvents 1.0 in structured JSON; authentication follows Standard Webhooks.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import msgspec

from poller.model import Change, Delivery, Event, Kind, Resource, Stream, format_time

BATCH_CONTENT_TYPE = "application/cloudevents-batch+json; charset=utf-8"

_encode = msgspec.json.encode


def trigger(resource: Resource, kind: Kind) -> str:
    """The event type by its short name: ``client.created``."""
    return f"{resource.singular}.{kind}"


def origin(source: str, stream: Stream) -> str:
    """CloudEvents ``source``: ``/spaceinvoices/organizations/<id>``, or ``/spaceinvoices`` for what is of none."""
    return f"/{source}/organizations/{stream.org}" if stream.org else f"/{source}"


def event_id(source: str, stream: Stream, change: Change, ordinal: int = 1) -> str:
    """The same change has the same id, whoever sees it, after a crash or a restored backup too.

    No clock and no chance goes into it. It begins with the upstream version, as 12 digits of milliseconds, so that
    ids of one time lie together in an index. ``ordinal`` tells apart changes that are equal in all of this (a record
    that went from A to B, back to A and again to B under one ``updatedAt``).
    """
    identity = [
        origin(source, stream),
        stream.resource,
        change.record_id,
        change.kind,
        change.version_ms,
        change.digest.hex(),
    ]
    text = f"{max(change.version_ms or 0, 0):012x}{_digest(_encode(identity), 20)}"
    return f"evt_{text}" if ordinal == 1 else f"evt_{text}_{ordinal}"


def _digest(data: bytes, digits: int) -> str:
    return hashlib.sha256(data).hexdigest()[:digits]


def partition_key(stream: Stream, record_id: str) -> str:
    """What order is kept within: ``<organization>/<resource>/<record>``, where there is an organization."""
    return f"{stream.org}/{stream.resource}/{record_id}" if stream.org else f"{stream.resource}/{record_id}"


def seal(source: str, stream: Stream, name: str, change: Change, *, ordinal: int, sequence: int, now_ms: int) -> Event:
    """Make the event of trigger ``name`` whose bytes are stored and sent, the same at every attempt.

    The record is spliced in as the API wrote it, so that 10.10 stays 10.10.
    """
    identity, record_id = event_id(source, stream, change, ordinal), _escaped(change.record_id)
    origin_to_subject, recorded, key = _common(source, stream, name, now_ms)
    time = format_time(now_ms if change.time_ms is None else change.time_ms)
    head = (
        f'{{"specversion":"1.0","id":"{identity}"{origin_to_subject}{record_id}","time":"{time}"{recorded}'
        f',"sequence":"{sequence:020}"{key}{record_id}","datacontenttype":"application/json"'
    ).encode()
    updated = (
        b',"changed":%b,"previous":%b' % (_encode(change.changed), change.previous)
        if change.kind == Kind.UPDATED
        else b""
    )
    body = b'%b,"data":{"object":%b%b}}' % (head, change.body, updated)
    return Event(sequence, identity, name, stream, change.record_id, now_ms, body)


@lru_cache(maxsize=64)
def _common(source: str, stream: Stream, name: str, now_ms: int) -> tuple[str, str, str]:
    """The fields that are alike in all events of a trigger that are recorded at one time, as JSON without some ends."""
    return (
        f',"source":"{_escaped(origin(source, stream))}","type":"com.{source}.{name}","subject":"{stream.resource}/',
        f',"recordedtime":"{format_time(now_ms)}"',
        f',"partitionkey":"{_escaped(partition_key(stream, ""))}',
    )


def _escaped(text: str) -> str:
    """As it stands between the quotes of a JSON string."""
    return _encode(text)[1:-1].decode()


class Message(NamedTuple):
    """What a request carries: ``id`` and ``body`` are what is signed."""

    id: str
    content_type: str
    body: bytes


def single(delivery: Delivery) -> Message:
    """One event by itself, under its own id."""
    return Message(delivery.event_id, delivery.content_type, delivery.body)


def array(batch: Sequence[Delivery]) -> Message:
    """Events as a CloudEvents batch, each byte for byte as by itself; equal batches have equal ids."""
    identity = _digest("\n".join(delivery.event_id for delivery in batch).encode(), 32)
    body = b"[%b]" % b",".join(delivery.body for delivery in batch)
    return Message(f"batch_{identity}", BATCH_CONTENT_TYPE, body)


def signing_key(secret: str) -> bytes:
    """The key in a Standard Webhooks secret: base64 after ``whsec_``, else the text itself.

    Raises ``ValueError`` where what follows ``whsec_`` is not base64.
    """
    if secret.startswith("whsec_"):
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    return secret.encode()


def sign(key: bytes, message_id: str, timestamp_s: int, body: bytes) -> str:
    """The value of ``webhook-signature``: HMAC-SHA256 over id, time and body, base64, version 1."""
    mac = hmac.new(key, b"%b.%d.%b" % (message_id.encode(), timestamp_s, body), hashlib.sha256)
    return f"v1,{base64.b64encode(mac.digest()).decode()}"
