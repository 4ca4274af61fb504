"""What older versions kept otherwise, made what this one keeps: the part of migrations that is no SQL."""

import zlib
from hashlib import blake2b

from sqlite_utils import Database

from poller.model import Stream
from poller.plan import Target
from poller.route import lane
from poller.stores.bodies import packing

_WINDOW_BITS = 14


def repack(db: Database) -> None:
    """Pack the last bodies by zstd instead of zlib, against the same dictionaries."""
    texts = dict(db.execute("SELECT id, bytes FROM dictionary").fetchall())
    packings = {number: packing(text) for number, text in texts.items()}

    def repacked(dictionary: int, packed: bytes) -> bytes:
        return packings[dictionary].pack(zlib.decompressobj(_WINDOW_BITS, texts[dictionary]).decompress(packed))

    db.register_function(repacked, deterministic=True)
    db.execute("UPDATE body SET bytes = repacked(dictionary, bytes)")


def move_lanes(db: Database) -> None:
    """Give each delivery the lane that its record has now, where it had the record's own."""

    def moved(old: int, route: str, org: str, resource: str, record: str) -> int:
        stream = Stream(org, resource)
        name = f"{route}:{stream.name}/{record}" if route else f"{stream.name}/{record}"
        before = int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big") >> 1
        return lane(Target("", route=route), stream, record, 0) if before == old else old

    db.register_function(moved, deterministic=True)
    db.execute(
        """UPDATE delivery SET lane = (SELECT moved(delivery.lane, delivery.route, org, resource, record) FROM event e
           WHERE e.sequence = delivery.sequence)"""
    )
