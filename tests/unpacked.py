"""Events as they were sealed, for statements of tests: ``unpacked(dictionary, body)``."""

import sqlite3

from sqlite_utils import Database

from poller.stores.bodies import Codec


def unpacking(connection: sqlite3.Connection) -> sqlite3.Connection:
    """The connection, with that function; a dictionary that this statement's commit made is known too."""
    connection.create_function("unpacked", 2, lambda number, text: Codec(Database(connection)).unpack(text, number))
    return connection
