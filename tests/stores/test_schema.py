"""The schema that people read is the one that the migrations make."""

import sqlite3
from pathlib import Path

from sqlite_utils import Database

from poller.stores.schema import migrations
from poller.stores.version import APPLICATION_ID, VERSION

SHOWN = Path(__file__).parents[2] / "state" / "schema.sql"
HEAD = f"""\
-- The tables of poller.db, for people to read: schema version {VERSION}.
--
-- Generated from the migrations in poller/stores/schema.py, and held to them by tests/stores/test_schema.py.
-- To write it anew: rm state/schema.sql && make test ARGS=tests/stores/test_schema.py

PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
"""


def schema(path):
    """Every statement of a database, but the bookkeeping of migrations."""
    connection = sqlite3.connect(path)
    found = connection.execute(
        "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND tbl_name NOT LIKE '\\_sqlite%' ESCAPE '\\' "
        "ORDER BY tbl_name, type DESC, name"
    )
    statements = [sql for (sql,) in found]
    connection.close()
    return statements


def test_the_schema_shown_is_that_of_a_new_database(store, path):
    """State written by hand from it would be the poller's."""
    text = HEAD + "".join(f"\n{statement};\n" for statement in schema(path))
    if not SHOWN.exists():
        SHOWN.write_text(text)
    assert SHOWN.read_text() == text


def test_the_schema_shown_makes_the_same_database(store, path, tmp_path):
    """It is SQL, not prose."""
    connection = sqlite3.connect(tmp_path / "shown.db")
    connection.executescript(SHOWN.read_text())
    connection.close()
    assert schema(tmp_path / "shown.db") == schema(path)


def test_the_version_counts_the_migrations(store):
    """A database says by itself how new it is, and whose it is."""
    database = Database(store._connection)
    assert len(list(migrations.applied(database))) == VERSION
    assert list(migrations.pending(database)) == []
    pragmas = [store._one(f"PRAGMA {name}")[0] for name in ("application_id", "user_version")]
    assert pragmas == [APPLICATION_ID, VERSION]


def test_opening_migrates_once(opened, path):
    """A second opening changes nothing."""
    opened().close()
    before = schema(path)
    opened().close()
    assert schema(path) == before
