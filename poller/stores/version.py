"""What says in a database that it is ours, and which schema it has; and how it gets the newest one."""

from sqlite3 import Connection

APPLICATION_ID = 0x706F6C72
"""``polr`` in ASCII: marks a file as ours."""

VERSION = 6
"""``user_version`` of the newest schema: the number of migrations (``schema.py``)."""


def migrate(connection: Connection) -> None:
    """Give a database the newest schema."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == VERSION:
        return
    from sqlite_utils import Database  # noqa: PLC0415 - takes 30 ms, and most starts find the newest schema

    from poller.stores.schema import migrations  # noqa: PLC0415 - it imports sqlite_utils too

    migrations.apply(Database(connection))
    connection.execute(f"PRAGMA user_version = {VERSION}")
