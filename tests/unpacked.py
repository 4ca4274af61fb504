"""Events as they were sealed, for statements of tests: ``unpacked(dictionary, body)``."""

import sqlite3
from functools import cache

from poller.stores.bodies import packing

_packing = cache(packing)


def unpacking(connection: sqlite3.Connection) -> sqlite3.Connection:
    """The connection, with that function; what it reads passes no point."""

    def unpacked(number: int, text: bytes) -> bytes:
        if number == 0:
            return text
        sql = "SELECT bytes FROM dictionary WHERE id = ?"
        return _packing(*sqlite3.Connection.execute(connection, sql, [number]).fetchone()).unpack(text)

    connection.create_function("unpacked", 2, unpacked)
    return connection
