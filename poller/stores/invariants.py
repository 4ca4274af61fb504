"""What must hold in every state at rest, whatever happened to the process: named, and looked for.

Each rule is one statement, so that it sees one moment of a database that a poller is writing to.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from sqlite3 import Connection

import msgspec

from poller import envelope, retry, route
from poller.breaker import Breaker
from poller.diff import digest
from poller.model import Stream, format_time
from poller.plan import Order, Target
from poller.stores import StoreError, rows
from poller.stores.bodies import Codec
from poller.stores.version import migrate

_MOST = 20
"""So many violations of one rule are named."""

_RULES = {
    "streams count their live records": """
        SELECT org || '/' || resource FROM stream WHERE live <>
          (SELECT count(*) FROM mark WHERE mark.stream = stream.id AND state = 0)""",
    "streams count their missing records": """
        SELECT org || '/' || resource FROM stream WHERE missing <>
          (SELECT count(*) FROM mark WHERE mark.stream = stream.id AND state = 2)""",
    "nothing is concluded before a first complete listing": """
        SELECT org || '/' || resource FROM stream WHERE baselined_ms IS NULL AND (
          watermarks <> '{}' OR held_ms IS NOT NULL OR sweeps > 0
          OR EXISTS (SELECT 1 FROM mark WHERE mark.stream = stream.id AND state IN (1, 3)))""",
    "only deletions that wait are decided on": """
        SELECT org || '/' || resource FROM stream WHERE decision IS NOT NULL AND held_ms IS NULL AND missing = 0""",
    "every mark is of a stream": "SELECT id FROM mark WHERE stream NOT IN (SELECT id FROM stream)",
    "every quarantined record is of a stream": """
        SELECT record FROM quarantine WHERE stream NOT IN (SELECT id FROM stream)""",
    "every record that is not deleted has a last body": """
        SELECT id FROM mark WHERE state <> 1 AND NOT EXISTS (SELECT 1 FROM body WHERE body.id = mark.body)""",
    "a record that is deleted has none": "SELECT id FROM mark WHERE state = 1 AND body <> 0",
    "every body belongs to one record": """
        SELECT body FROM mark WHERE body <> 0 GROUP BY body HAVING count(*) > 1
        UNION ALL SELECT id FROM body WHERE id NOT IN (SELECT body FROM mark)""",
    "every body has its dictionary": """
        SELECT id FROM body WHERE dictionary <> 0 AND dictionary NOT IN (SELECT id FROM dictionary)""",
    "every event has its dictionary": """
        SELECT id FROM event WHERE dictionary <> 0 AND dictionary NOT IN (SELECT id FROM dictionary)""",
    "every event is of a record that is remembered": """
        SELECT e.id FROM event e WHERE e.trigger NOT GLOB 'poller.*' AND NOT EXISTS (
          SELECT 1 FROM stream s JOIN mark m ON m.stream = s.id AND m.id = e.record
          WHERE s.org = e.org AND s.resource = e.resource)""",
    "every event about a stream is of one that is followed": """
        SELECT e.id FROM event e WHERE e.trigger GLOB 'poller.*' AND e.resource = 'streams' AND NOT EXISTS (
          SELECT 1 FROM stream s WHERE s.org = e.org AND s.org || '/' || s.resource = e.record)""",
    "every id is of one event": "SELECT id FROM event NOT INDEXED GROUP BY id HAVING count(*) > 1",
    "no sequence is behind its time": "SELECT id FROM event WHERE sequence < recorded_ms * 1000",
    "every sequence and every turn was given out": """
        SELECT max(sequence, turn) FROM (
          SELECT sequence, 0 AS turn FROM event UNION ALL SELECT sequence, iif(route = '', turn, 0) FROM delivery)
        WHERE max(sequence, turn) > (SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'sequence')""",
    "every delivery has its event": """
        SELECT sequence FROM delivery d WHERE NOT EXISTS (SELECT 1 FROM event e WHERE e.sequence = d.sequence)""",
    "no turn is before the event's own": "SELECT sequence FROM delivery WHERE turn < sequence",
    "no two deliveries of a sink, or of a lane of a route, have one turn": """
        SELECT turn FROM delivery GROUP BY sink, route, iif(route = '', 0, lane), turn HAVING count(*) > 1""",
    "nothing is delivered before what its lane waits for": f"""
        SELECT d.sequence FROM delivery d WHERE d.state = 'delivered' AND EXISTS (
          SELECT 1 FROM delivery p WHERE p.sink = d.sink AND p.lane = d.lane AND p.state = 'pending'
            AND p.turn < d.turn AND p.attempts < {retry.BLOCKING_ATTEMPTS})""",
    "what is settled has a time, what is pending has none": """
        SELECT sequence FROM delivery WHERE (state = 'pending') <> (settled_ms IS NULL)""",
    "what is delivered was sent, and ended well": """
        SELECT sequence FROM delivery WHERE state = 'delivered' AND (attempts < 1 OR error <> '')""",
    "what is parked says why": "SELECT sequence FROM delivery WHERE state = 'parked' AND error = ''",
    "what is pending may still be sent": f"""
        SELECT sequence FROM delivery WHERE state = 'pending' AND attempts NOT BETWEEN 0 AND {len(retry.EVENT_WAITS_S)}
        """,
    "every shape that is to be sent is there": """
        SELECT sequence FROM delivery WHERE shape <> '' AND shape NOT IN (SELECT digest FROM shape)""",
    "the results of steps are of deliveries that are not done": """
        SELECT s.sequence FROM step s LEFT JOIN delivery d
          ON d.sequence = s.sequence AND d.sink = s.sink AND d.route = s.route
        WHERE coalesce(d.state, 'delivered') = 'delivered'""",
    "routes hold what they count as held": """
        SELECT route FROM delivery WHERE state = 'held' GROUP BY route
        HAVING count(*) > coalesce((SELECT held FROM route WHERE name = delivery.route), 0)""",
    "sinks count what they delivered": """
        SELECT d.sink FROM delivery d WHERE state = 'delivered' GROUP BY d.sink
        HAVING count(*) > coalesce((SELECT delivered FROM sink WHERE name = d.sink), 0)""",
}
"""By name, as queries for what violates them."""


def violations(connection: Connection) -> Iterator[str]:
    """Name all that is wrong with the database, down to its bytes and its events; nothing if it is well."""
    try:
        for look in (_damage, _untrue, _bodies, _events, _lanes, _unreadable):
            yield from look(connection)
    except sqlite3.DatabaseError as error:
        yield f"the database is damaged: {error}"


def _damage(connection: Connection) -> Iterator[str]:
    for (answer,) in connection.execute(f"PRAGMA integrity_check({_MOST})"):
        if answer != "ok":
            yield f"the database is damaged: {answer}"
    with closing(sqlite3.connect(":memory:")) as new:
        migrate(new)
        ours, theirs = _schema(new), _schema(connection)
    for name in sorted(ours | theirs):
        if ours.get(name) != theirs.get(name):
            yield f"the database is damaged: its {name} is not that of this version"


def _schema(connection: Connection) -> dict[str, str]:
    """Tables and indexes by name, but those of SQLite's and the bookkeeping of migrations."""
    found = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND tbl_name NOT GLOB '*sqlite*'"
    )
    return dict(found.fetchall())


def _untrue(connection: Connection) -> Iterator[str]:
    for rule, query in _RULES.items():
        for (row,) in connection.execute(f"{query} LIMIT {_MOST}"):
            yield f"not true: {rule} ({row})"


_NOT_JSON = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class _Object(msgspec.Struct):
    id: str


_READABLE = "({0}.dictionary = 0 OR {0}.dictionary IN (SELECT id FROM dictionary))"


def _bodies(connection: Connection) -> Iterator[str]:
    """Look whether what is remembered of each record is what was seen of it."""
    codec = Codec(connection)
    for record, remembered, dictionary, packed in connection.execute(
        "SELECT m.id, m.digest, b.dictionary, b.bytes FROM mark m JOIN body b ON b.id = m.body WHERE m.state <> 1 "
        f"AND {_READABLE.format('b')}"
    ):
        try:
            body = codec.unpack(packed, dictionary)
            well = digest(body) == remembered and msgspec.json.decode(body, type=_Object).id == record
        except (StoreError, *_NOT_JSON):
            well = False
        if not well:
            yield f"the last body of record {record} is not what its mark says"


class _Data(msgspec.Struct):
    object: _Object


class _Told(msgspec.Struct):
    """What an event's bytes say that its columns say too."""

    id: str
    type: str
    source: str
    subject: str
    sequence: str
    partitionkey: str
    recordedtime: str
    data: _Data


_told = msgspec.json.Decoder(_Told).decode


def _events(connection: Connection) -> Iterator[str]:
    codec = Codec(connection)
    for name, *columns, body, dictionary in connection.execute(
        "SELECT id, sequence, trigger, org, resource, record, recorded_ms, body, dictionary FROM event "
        f"WHERE {_READABLE.format('event')}"
    ):
        try:
            well = _says(_told(codec.unpack(body, dictionary)), name, *columns)
        except (StoreError, *_NOT_JSON):
            well = False
        if not well:
            yield f"event {name} is not what its bytes say"


def _says(
    told: _Told, name: str, sequence: int, trigger: str, org: str, resource: str, record: str, recorded_ms: int
) -> bool:
    return (
        (told.id, told.sequence, told.recordedtime) == (name, f"{sequence:020d}", format_time(recorded_ms))
        and told.subject == f"{resource}/{record}"
        and told.partitionkey == envelope.partition_key(Stream(org, resource), record)
        and told.source.endswith(f"/organizations/{org}" if org else "/spaceinvoices")
        and told.type.endswith(f".{trigger}")
        and told.data.object.id == record
    )


def _lanes(connection: Connection) -> Iterator[str]:
    """Look whether each delivery waits where one of the orders has it wait."""
    for sink, way, lane, sequence, name, org, resource, record in connection.execute(
        "SELECT d.sink, d.route, d.lane, d.sequence, e.id, e.org, e.resource, e.record "
        "FROM delivery d JOIN event e USING (sequence)"
    ):
        stream, ways = Stream(org, resource), [Target(sink, order, way) for order in Order]
        if all(lane != route.lane(target, stream, record, sequence) for target in ways):
            yield f"the delivery of event {name} to {sink} is in a lane of other events"


def _unreadable(connection: Connection) -> Iterator[str]:
    for name, breaker in connection.execute("SELECT name, breaker FROM sink"):
        try:
            msgspec.json.decode(breaker, type=Breaker)
        except (msgspec.MsgspecError, UnicodeError):
            yield f"the breaker of sink {name} cannot be read"
    for row in connection.execute(f"SELECT {rows.STANDING} FROM stream"):
        try:
            rows.standing(row)
        except (msgspec.MsgspecError, ValueError, TypeError):
            yield f"the progress of stream {row[0]}/{row[1]} cannot be read"
