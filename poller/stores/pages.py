"""Pages of sweeps that were as remembered, by the server's tags. Within a transaction that the store has begun.

A page counts for as long as the marks of its stretch are those beside which it was as remembered.
"""

from collections.abc import Iterable
from hashlib import sha256
from sqlite3 import Connection

from poller.model import Tagged

_MARKS = """
  SELECT group_concat(id || ' ' || hex(digest) || ifnull(updated_ms, '') || ' ' || state || parent, char(10))
  FROM mark WHERE stream = ? AND id > ? AND id <= ?
"""


def keep(connection: Connection, number: int, found: Iterable[Tagged]) -> None:
    """Keep these pages, in place of all that lie within their stretches."""
    for page in found:
        connection.execute(
            "DELETE FROM page WHERE stream = ? AND parent = ? AND bodies = ? AND after >= ? AND after < ?",
            [number, page.parent, page.bodies, page.after, page.upto],
        )
        marks = _marks(connection, number, page)
        connection.execute("INSERT INTO page VALUES (?, ?, ?, ?, ?, ?, ?, ?)", [number, *page, marks])


def tagged(connection: Connection, number: int, parent: str, after: str, *, bodies: bool) -> Tagged | None:
    """The page that follows an id, if the marks of its stretch are still the same."""
    row = connection.execute(
        """SELECT upto, records, tag, marks FROM page
           WHERE stream = ? AND parent = ? AND bodies = ? AND after = ?""",
        [number, parent, bodies, after],
    ).fetchone()
    if row is None:
        return None
    *fields, marks = row
    page = Tagged(parent, bodies, after, *fields)
    return page if _marks(connection, number, page) == marks else None


def forget(connection: Connection, number: int) -> None:
    """Forget all pages of a stream."""
    connection.execute("DELETE FROM page WHERE stream = ?", [number])


def _marks(connection: Connection, number: int, page: Tagged) -> bytes:
    """A digest of all that the marks of a page's stretch say, but for where their bodies are."""
    (text,) = connection.execute(_MARKS, [number, page.after, page.upto]).fetchone()
    return sha256((text or "").encode()).digest()[:16]
