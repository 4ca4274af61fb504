-- The tables of poller.db, for people to read: schema version 5.
--
-- Generated from the migrations in poller/stores/schema.py, and held to them by tests/stores/test_schema.py.
-- To write it anew: rm state/schema.sql && make test ARGS=tests/stores/test_schema.py

PRAGMA application_id = 1886350450;
PRAGMA user_version = 5;

CREATE TABLE body (
  id INTEGER PRIMARY KEY,
  dictionary INTEGER NOT NULL,
  bytes BLOB NOT NULL
);

CREATE TABLE "delivery" (
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

CREATE INDEX delivery_due ON delivery (sink, due_ms, turn) WHERE state = 'pending';

CREATE INDEX delivery_held ON delivery (route, sequence) WHERE state = 'held';

CREATE INDEX delivery_lane ON delivery (sink, lane, turn, attempts) WHERE state = 'pending';

CREATE INDEX delivery_parked ON delivery (sink, sequence) WHERE state = 'parked';

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
, dictionary INTEGER NOT NULL DEFAULT 0);

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

CREATE TABLE meta (
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE quarantine (
  stream INTEGER NOT NULL,
  record TEXT NOT NULL,
  reason TEXT NOT NULL,
  seen_ms INTEGER NOT NULL,
  PRIMARY KEY (stream, record)
) WITHOUT ROWID;

CREATE TABLE route (
  name TEXT PRIMARY KEY,
  next_ms INTEGER NOT NULL DEFAULT 0,
  window_ms INTEGER NOT NULL DEFAULT 0,
  seen INTEGER NOT NULL DEFAULT 0,
  held INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

CREATE TABLE shape (
  digest TEXT PRIMARY KEY,
  definition TEXT NOT NULL,
  destructive INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE sink (
  name TEXT PRIMARY KEY,
  breaker TEXT NOT NULL DEFAULT '{}',
  delivered INTEGER NOT NULL DEFAULT 0,
  delivered_ms INTEGER
) WITHOUT ROWID;

CREATE TABLE step (
  id INTEGER PRIMARY KEY,
  sequence INTEGER NOT NULL,
  sink TEXT NOT NULL,
  route TEXT NOT NULL,
  results BLOB NOT NULL,
  UNIQUE (sequence, sink, route)
);

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
  paused INTEGER NOT NULL DEFAULT 0, rhythm TEXT NOT NULL DEFAULT '[]', failing_ms INTEGER, silent_ms INTEGER, history TEXT NOT NULL DEFAULT '', late TEXT NOT NULL DEFAULT '[]',
  UNIQUE (org, resource)
);
