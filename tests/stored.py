"""What a store has in its file, and how to open it again or have its next write fail."""

from unpacked import unpacking


def everything(store):
    """Every row of every table."""
    tables = [name for (name,) in store._all("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return {name: sorted(store._all(f"SELECT * FROM {name}"), key=repr) for name in tables}


def events(store):
    return (
        unpacking(store._connection)
        .execute("SELECT id, sequence, trigger, unpacked(dictionary, body) FROM event ORDER BY sequence")
        .fetchall()
    )


def due(store, now_ms, sink="a", limit=100):
    return [delivery.sequence for delivery in store.due(sink, now_ms, limit)]


def reopened(store, opened):
    store.close()
    return opened()


def break_off(store, table):
    """Make the next write to a table fail, in the middle of a transaction."""
    act = "UPDATE ON" if table in ("meta", "stream") else "INSERT ON"
    store._run(f"CREATE TEMP TRIGGER breaks BEFORE {act} {table} BEGIN SELECT RAISE(ABORT, 'broken'); END")
