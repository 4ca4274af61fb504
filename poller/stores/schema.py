"""The database's schema as a list of migrations; a new version is one more at the end, and ``version.VERSION``.

``state/schema.sql`` shows the result, and a test keeps it true.
"""

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

from poller.stores import former

migrations = Migrations("poller")


@migrations()
def first(db: Database) -> None:
    """Streams, marks, bodies, events, deliveries, sinks, quarantine."""
    _run(db, _FIRST)


@migrations()
def routes(db: Database) -> None:
    """Deliveries go through routes: shaped, delayed, held, in steps."""
    _run(db, _ROUTES)


@migrations()
def notices(db: Database) -> None:
    """Streams remember how they usually change, and since when they fail or are silent."""
    _run(db, _NOTICES)


@migrations()
def histories(db: Database) -> None:
    """Streams remember how often they changed, and how late changes showed up."""
    _run(db, _HISTORIES)


@migrations()
def packed(db: Database) -> None:
    """Bodies and events are packed by zstd, and what waits has a lane near those of records like its own."""
    _run(db, _PACKED)
    former.repack(db)
    former.move_lanes(db)


@migrations()
def pages(db: Database) -> None:
    """Pages of sweeps are remembered by the server's tags."""
    _run(db, _PAGES)


def _run(db: Database, script: str) -> None:
    for statement in script.split(";\n"):
        if statement.strip():
            db.execute(statement)


_FIRST = """
CREATE TABLE meta (
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE stream (
  id INTEGER PRIMARY KEY,
  org TEXT NOT NULL,
  resource TEXT NOT NULL,
  baselined_ms INTEGER,
  watermarks TEXT NOT NULL DEFAULT '{}',
  sweep TEXT,
  polls INTEGER NOT NULL DEFAULT 0,
  sweeps INTEGER NOT NULL DEFAULT 0,
  next_sweep_ms INTEGER NOT NULL DEFAULT 0,
  live INTEGER NOT NULL DEFAULT 0,
  missing INTEGER NOT NULL DEFAULT 0,
  held_ms INTEGER,
  count_gap INTEGER NOT NULL DEFAULT 0,
  decision TEXT,
  next_poll_ms INTEGER NOT NULL DEFAULT 0,
  polled_ms INTEGER,
  failures INTEGER NOT NULL DEFAULT 0,
  error TEXT NOT NULL DEFAULT '',
  suspended INTEGER NOT NULL DEFAULT 0,
  paused INTEGER NOT NULL DEFAULT 0,
  UNIQUE (org, resource)
);
CREATE TABLE mark (
  stream INTEGER NOT NULL,
  id TEXT NOT NULL,
  updated_ms INTEGER,
  digest BLOB NOT NULL,
  state INTEGER NOT NULL,
  parent TEXT NOT NULL,
  body INTEGER NOT NULL,
  PRIMARY KEY (stream, id)
) WITHOUT ROWID;
CREATE INDEX mark_missing ON mark (stream, id) WHERE state = 2;
CREATE TABLE body (
  id INTEGER PRIMARY KEY,
  dictionary INTEGER NOT NULL,
  bytes BLOB NOT NULL
);
CREATE TABLE dictionary (
  id INTEGER PRIMARY KEY,
  resource TEXT NOT NULL UNIQUE,
  bytes BLOB NOT NULL
);
CREATE TABLE event (
  sequence INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  trigger TEXT NOT NULL,
  org TEXT NOT NULL,
  resource TEXT NOT NULL,
  record TEXT NOT NULL,
  recorded_ms INTEGER NOT NULL,
  body BLOB NOT NULL
);
CREATE TABLE delivery (
  sink TEXT NOT NULL,
  sequence INTEGER NOT NULL REFERENCES event (sequence),
  turn INTEGER NOT NULL,
  lane INTEGER NOT NULL,
  state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'parked')),
  attempts INTEGER NOT NULL DEFAULT 0,
  troubles INTEGER NOT NULL DEFAULT 0,
  due_ms INTEGER NOT NULL,
  settled_ms INTEGER,
  error TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (sequence, sink)
) WITHOUT ROWID;
CREATE INDEX delivery_due ON delivery (sink, due_ms, turn) WHERE state = 'pending';
CREATE INDEX delivery_lane ON delivery (sink, lane, turn, attempts) WHERE state = 'pending';
CREATE INDEX delivery_parked ON delivery (sink, sequence) WHERE state = 'parked';
CREATE TABLE sink (
  name TEXT PRIMARY KEY,
  breaker TEXT NOT NULL DEFAULT '{}',
  delivered INTEGER NOT NULL DEFAULT 0,
  delivered_ms INTEGER
) WITHOUT ROWID;
CREATE TABLE quarantine (
  stream INTEGER NOT NULL,
  record TEXT NOT NULL,
  reason TEXT NOT NULL,
  seen_ms INTEGER NOT NULL,
  PRIMARY KEY (stream, record)
) WITHOUT ROWID;
"""

_ROUTES = """
CREATE TABLE delivery_2 (
  sink TEXT NOT NULL,
  sequence INTEGER NOT NULL REFERENCES event (sequence),
  route TEXT NOT NULL DEFAULT '',
  shape TEXT NOT NULL DEFAULT '',
  turn INTEGER NOT NULL,
  lane INTEGER NOT NULL,
  state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'parked', 'held')),
  attempts INTEGER NOT NULL DEFAULT 0,
  troubles INTEGER NOT NULL DEFAULT 0,
  due_ms INTEGER NOT NULL,
  begun INTEGER NOT NULL DEFAULT 0,
  settled_ms INTEGER,
  error TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (sequence, sink, route)
) WITHOUT ROWID;
INSERT INTO delivery_2 (sink, sequence, turn, lane, state, attempts, troubles, due_ms, settled_ms, error)
  SELECT sink, sequence, turn, lane, state, attempts, troubles, due_ms, settled_ms, error FROM delivery;
DROP TABLE delivery;
ALTER TABLE delivery_2 RENAME TO delivery;
CREATE INDEX delivery_due ON delivery (sink, due_ms, turn) WHERE state = 'pending';
CREATE INDEX delivery_lane ON delivery (sink, lane, turn, attempts) WHERE state = 'pending';
CREATE INDEX delivery_parked ON delivery (sink, sequence) WHERE state = 'parked';
CREATE INDEX delivery_held ON delivery (route, sequence) WHERE state = 'held';
CREATE TABLE shape (
  digest TEXT PRIMARY KEY,
  definition TEXT NOT NULL,
  destructive INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE route (
  name TEXT PRIMARY KEY,
  next_ms INTEGER NOT NULL DEFAULT 0,
  window_ms INTEGER NOT NULL DEFAULT 0,
  seen INTEGER NOT NULL DEFAULT 0,
  held INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE step (
  id INTEGER PRIMARY KEY,
  sequence INTEGER NOT NULL,
  sink TEXT NOT NULL,
  route TEXT NOT NULL,
  results BLOB NOT NULL,
  UNIQUE (sequence, sink, route)
);
"""

_NOTICES = """
ALTER TABLE stream ADD COLUMN rhythm TEXT NOT NULL DEFAULT '[]';
ALTER TABLE stream ADD COLUMN failing_ms INTEGER;
ALTER TABLE stream ADD COLUMN silent_ms INTEGER;
"""

_HISTORIES = """
ALTER TABLE stream ADD COLUMN history TEXT NOT NULL DEFAULT '';
ALTER TABLE stream ADD COLUMN late TEXT NOT NULL DEFAULT '[]';
"""

_PACKED = """
ALTER TABLE event ADD COLUMN dictionary INTEGER NOT NULL DEFAULT 0;
CREATE TABLE delivery_3 (
  sink TEXT NOT NULL,
  sequence INTEGER NOT NULL REFERENCES event (sequence),
  route TEXT NOT NULL DEFAULT '',
  shape TEXT NOT NULL DEFAULT '',
  turn INTEGER NOT NULL,
  lane INTEGER NOT NULL,
  state TEXT NOT NULL DEFAULT 'pending'
    CHECK (state = 'pending' OR state = 'delivered' OR state = 'parked' OR state = 'held'),
  attempts INTEGER NOT NULL DEFAULT 0,
  troubles INTEGER NOT NULL DEFAULT 0,
  due_ms INTEGER NOT NULL,
  begun INTEGER NOT NULL DEFAULT 0,
  settled_ms INTEGER,
  error TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (sequence, sink, route)
) WITHOUT ROWID;
INSERT INTO delivery_3 SELECT * FROM delivery;
DROP TABLE delivery;
ALTER TABLE delivery_3 RENAME TO delivery;
CREATE INDEX delivery_due ON delivery (sink, due_ms, turn) WHERE state = 'pending';
CREATE INDEX delivery_lane ON delivery (sink, lane, turn, attempts) WHERE state = 'pending';
CREATE INDEX delivery_parked ON delivery (sink, sequence) WHERE state = 'parked';
CREATE INDEX delivery_held ON delivery (route, sequence) WHERE state = 'held';
"""

_PAGES = """
CREATE TABLE page (
  stream INTEGER NOT NULL,
  parent TEXT NOT NULL,
  bodies INTEGER NOT NULL,
  after TEXT NOT NULL,
  upto TEXT NOT NULL,
  records INTEGER NOT NULL,
  tag TEXT NOT NULL,
  marks BLOB NOT NULL,
  PRIMARY KEY (stream, parent, bodies, after)
) WITHOUT ROWID;
"""
