"""Last bodies, compressed against a dictionary: the first bodies seen of the same resource.

Records of one resource look alike, so that a body of 900 bytes takes 30 to 150 this way, against 550
by itself (measured on the example records, zlib level 1).
"""

import zlib
from collections.abc import Sequence

from sqlite_utils import Database

_DICTIONARY_BYTES = 8192
_WINDOW_BITS = 14  # 16 KiB: the dictionary and a usual record
_MEMORY_LEVEL = 6  # 100 kB a packer; more makes nothing smaller


class Codec:
    """Packs, unpacks and numbers bodies; makes a resource's dictionary with its first bodies."""

    def __init__(self, database: Database) -> None:
        self._database = database
        (self._last,) = database.execute("SELECT coalesce(max(id), 0) FROM body").fetchone()
        self.forget()

    def dictionary(self, resource: str, sample: Sequence[bytes]) -> int:
        """The number of the resource's dictionary, made from ``sample`` where it has none yet."""
        row = self._database.execute("SELECT id FROM dictionary WHERE resource = ?", [resource]).fetchone()
        if row is None:
            text = b"".join(sample)[:_DICTIONARY_BYTES]
            cursor = self._database.execute("INSERT INTO dictionary (resource, bytes) VALUES (?, ?)", [resource, text])
            return int(cursor.lastrowid or 0)
        return int(row[0])

    def forget(self) -> None:
        """Read dictionaries anew: one that was made in a transaction that failed is not there."""
        self._known: dict[int, bytes] = {0: b""}
        self._packers: dict[int, zlib._Compress] = {}

    def next_number(self) -> int:
        """The number of a body that is new."""
        self._last += 1
        return int(self._last)

    def pack(self, body: bytes, dictionary: int) -> bytes:
        """The bytes to store."""
        packer = self._packer(dictionary).copy()
        return packer.compress(body) + packer.flush()

    def unpack(self, packed: bytes, dictionary: int) -> bytes:
        """The body as it was."""
        return zlib.decompressobj(_WINDOW_BITS, self._text(dictionary)).decompress(packed)

    def _packer(self, dictionary: int) -> "zlib._Compress":
        """One that has read the dictionary; a copy of it costs a third of making another."""
        if dictionary not in self._packers:
            self._packers[dictionary] = zlib.compressobj(
                1, zlib.DEFLATED, _WINDOW_BITS, _MEMORY_LEVEL, zlib.Z_DEFAULT_STRATEGY, self._text(dictionary)
            )
        return self._packers[dictionary]

    def _text(self, dictionary: int) -> bytes:
        if dictionary not in self._known:
            row = self._database.execute("SELECT bytes FROM dictionary WHERE id = ?", [dictionary]).fetchone()
            self._known[dictionary] = row[0]
        return self._known[dictionary]
