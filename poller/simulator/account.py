"""The records behind the simulator, and every write to them."""

import json
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from threading import RLock

from poller.simulator.collection import Collection, Found, Row
from poller.simulator.database import Database
from poller.simulator.filters import Filter
from poller.simulator.resources import Fields, Json, example

Clock = Callable[[], int]
"""Gives the time in milliseconds since 1970."""


def wall_ms() -> int:
    """The computer's time."""
    return time.time_ns() // 1_000_000


def stamped(time_ms: int) -> str:
    """A time as the API writes it."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{time_ms % 1000:03d}Z"


class Account:
    """One account with its organizations and their records. Every method may be called from any thread.

    Writes follow the API: each stamps ``updatedAt`` with the clock's time, also one that changes nothing;
    a soft deletion leaves a tombstone. ``late_ms`` on a write makes it visible only that much later, with
    the stamp of now. A record that is not there raises ``KeyError``.
    """

    def __init__(self, clock: Clock = wall_ms, *, token: str = "t" * 64, organizations: int = 1, seed: int = 0) -> None:
        self.clock = clock
        self.token = token
        self.lock = RLock()
        self.forbidden: set[str] = set()
        self._database = Database()
        self._machine = f"{random.Random(seed).getrandbits(40):010x}"
        self._counter = 0
        self._newest_s = 0
        self._organizations = Collection("organizations")
        self.profile = example("accounts") | {"id": self.new_id()}
        for number in range(1, organizations + 1):
            self.add_organization(f"Organization {number}")

    # Organizations

    @property
    def organizations(self) -> list[str]:
        """The ids of all organizations, oldest first."""
        with self.lock:
            return sorted(self._organizations.rows)

    def add_organization(self, name: str, **fields: Json) -> str:
        """Add an organization without records; answers its id."""
        with self.lock:
            now = stamped(self.clock())
            own = {"id": self.new_id(), "name": name, "createdAt": now, "updatedAt": now}
            row = Row(str(own["id"]), example("organizations") | own | fields)
            self._organizations.put(row)
            return row.id

    def organization(self, org: str) -> Fields:
        """An organization as the API shows it."""
        with self.lock:
            return self._organizations.rows[org].fields

    def update_organization(self, org: str, **fields: Json) -> None:
        """Change an organization, ``active=False`` say."""
        with self.lock:
            now = {"updatedAt": stamped(self.clock())}
            self._organizations.put(Row(org, self._organizations.rows[org].fields | fields | now))

    def remove_organization(self, org: str) -> None:
        """Make an organization unknown; its records stay where they are."""
        with self.lock:
            self._organizations.drop(org)

    def forbid(self, org: str) -> None:
        """Answer 401 for an organization from now on, as for one of somebody else."""
        self.forbidden.add(org)

    def allow(self, org: str) -> None:
        """Undo ``forbid``."""
        self.forbidden.discard(org)

    # Writes

    def create(
        self,
        org: str,
        resource: str,
        fields: Mapping[str, Json] | None = None,
        *,
        parent: str = "",
        late_ms: int = 0,
    ) -> str:
        """Write a realistic new record with ``fields`` over it; answers its id. A price needs its price list."""
        return self.insert(org, resource, example(resource) | dict(fields or {}), parent=parent, late_ms=late_ms)

    def insert(self, org: str, resource: str, fields: Mapping[str, Json], *, parent: str = "", late_ms: int = 0) -> str:
        """Write a new record of just these fields and those that the API adds itself; answers its id."""
        with self.lock:
            return self._insert(self._database.collection(org, resource, parent), fields, self.clock(), late_ms)

    def bulk_create(
        self, org: str, resource: str, many: int | Iterable[Mapping[str, Json]], *, parent: str = ""
    ) -> list[str]:
        """Write many records in one go, all with the same stamp: so many, or with these fields."""
        rows = [{} for _ in range(many)] if isinstance(many, int) else many
        with self.lock:
            model, now = example(resource), self.clock()
            home = self._database.collection(org, resource, parent)
            return [self._insert(home, model | dict(fields), now) for fields in rows]

    def update(self, org: str, resource: str, record_id: str, fields: Mapping[str, Json], *, late_ms: int = 0) -> None:
        """Set these fields of a live record."""
        with self.lock:
            now = self.clock()
            self._replace(org, resource, record_id, fields, now, late_ms)

    def bulk_update(self, org: str, resource: str, ids: Sequence[str], fields: Mapping[str, Json]) -> None:
        """Set the same fields of many live records, all with the same stamp."""
        with self.lock:
            now = self.clock()
            for record_id in ids:
                self._replace(org, resource, record_id, fields, now)

    def touch(self, org: str, resource: str, record_id: str) -> None:
        """Save without a change: only ``updatedAt`` moves."""
        self.update(org, resource, record_id, {})

    def soft_delete(self, org: str, resource: str, record_id: str, *, late_ms: int = 0) -> int:
        """Leave a tombstone; answers how many records that deleted: 1, or 0 where there was none."""
        with self.lock:
            now = self.clock()
            gone = {"_isDeleted": True, "deletedAt": stamped(now), "deletedId": record_id}
            try:
                self._replace(org, resource, record_id, gone, now, late_ms)
            except KeyError:
                return 0
            return 1

    def hard_delete(self, org: str, resource: str, record_id: str) -> int:
        """Take the record or its tombstone away without a trace; answers how many that were."""
        with self.lock:
            try:
                self._row(org, resource, record_id)
            except KeyError:
                return 0
            return int(self._database.erase(resource, record_id))

    def restore(self, org: str, resource: str, record_id: str) -> None:
        """Make a tombstone live again, as a repair by hand would."""
        with self.lock:
            row = self._row(org, resource, record_id)
            kept = {k: v for k, v in row.fields.items() if k not in ("deletedAt", "deletedId")}
            stamp = {"_isDeleted": False, "updatedAt": stamped(self.clock())}
            self._put(resource, Row(record_id, kept | stamp), self.clock())

    def put_raw(self, org: str, resource: str, record_id: str, body: bytes, *, parent: str = "") -> None:
        """Plant a record's bytes as they are, at the place of ``record_id`` in the listing.

        Filters see the fields where ``body`` is a JSON object. No stamp is added.
        """
        try:
            fields = json.loads(body)
        except (ValueError, RecursionError):
            fields = {}
        with self.lock:
            known = self._database.home(resource, record_id)
            home = known or self._database.collection(org, resource, parent)
            row = Row(record_id, fields if isinstance(fields, dict) else {}, body)
            self._database.write(home, row, self.clock())

    # Reads

    def find(self, org: str, resource: str, asked: Filter, *, parent: str = "") -> Found:
        """A page of a listing as the API shows it; raises ``LookupError`` where the parent is gone."""
        with self.lock:
            return self._listing(org, resource, parent).find(asked)

    def count(self, org: str, resource: str, where: Mapping[str, Json], *, parent: str = "") -> int:
        """How many live records of a listing match; raises ``LookupError`` where the parent is gone."""
        with self.lock:
            return self._listing(org, resource, parent).count(where)

    def get(self, resource: str, record_id: str) -> Fields | None:
        """A record by its id, or its tombstone, as it shows now."""
        with self.lock:
            self._database.settle(self.clock())
            home = self._database.home(resource, record_id)
            row = None if home is None else home.rows.get(record_id)
            return None if row is None else row.fields

    def owner(self, resource: str, record_id: str) -> str | None:
        """The organization that a record belongs to."""
        with self.lock:
            home = self._database.home(resource, record_id)
            return None if home is None else home.org

    def live(self, org: str, resource: str) -> dict[str, Fields]:
        """Every record of an organization that the API shows without ``deleted``, by id."""
        with self.lock:
            self._database.settle(self.clock())
            homes = self._database.shown(org, resource)
            return {row.id: row.fields for home in homes for row in home.rows.values() if not row.deleted}

    def sample(self, rng: random.Random, org: str, resource: str, *, deleted: bool = False) -> str | None:
        """The id of a random live record, or of a tombstone; None where there is none."""
        with self.lock:
            self._database.settle(self.clock())
            homes = [home for home in self._database.shown(org, resource) if home.rows]
            return rng.choice(homes).sample(rng, deleted=deleted) if homes else None

    def new_id(self) -> str:
        """An id like MongoDB's: higher than every one before."""
        with self.lock:
            self._newest_s = max(self._newest_s, self.clock() // 1000)
            self._counter += 1
            return f"{self._newest_s + (self._counter >> 24):08x}{self._machine}{self._counter & 0xFFFFFF:06x}"

    def _listing(self, org: str, resource: str, parent: str) -> Collection:
        self._database.settle(self.clock())
        if resource == "organizations":
            return self._organizations
        if parent and self._database.gone(parent):
            raise LookupError(parent)
        return self._database.collection(org, resource, parent)

    def _insert(self, home: Collection, fields: Mapping[str, Json], now: int, late_ms: int = 0) -> str:
        record_id, stamp = self.new_id(), stamped(now)
        own = {"id": record_id, "organizationId": home.org, "_isDeleted": False}
        own |= {"createdAt": stamp, "updatedAt": stamp}
        above = {"priceListId": home.parent} if home.parent else {}
        self._database.write(home, Row(record_id, {**fields, **own, **above}), now, late_ms)
        return record_id

    def _replace(
        self, org: str, resource: str, record_id: str, fields: Mapping[str, Json], now: int, late_ms: int = 0
    ) -> None:
        """Write a live record with other fields; raises ``KeyError`` where there is none."""
        row = self._row(org, resource, record_id)
        if row.deleted:
            raise KeyError(record_id)
        own = {"id": row.id, "createdAt": row.fields.get("createdAt"), "updatedAt": stamped(now)}
        self._put(resource, Row(row.id, row.fields | dict(fields) | own), now, late_ms)

    def _put(self, resource: str, row: Row, now: int, late_ms: int = 0) -> None:
        home = self._database.home(resource, row.id)
        if home is None:
            raise KeyError(row.id)
        self._database.write(home, row, now, late_ms)

    def _row(self, org: str, resource: str, record_id: str) -> Row:
        self._database.settle(self.clock(), record_id)
        return self._database.row(org, resource, record_id)
