"""Every collection of an account, and which of them holds a record."""

from poller.simulator.collection import Collection, Row
from poller.simulator.late import LateWrites
from poller.simulator.resources import RESOURCES


class Database:
    """The collections: one for each resource of an organization, and one for each price list's prices.

    Not safe for threads by itself. Time comes in as milliseconds.
    """

    def __init__(self) -> None:
        self._collections: dict[tuple[str, str, str], Collection] = {}
        self._homes: dict[tuple[str, str], Collection] = {}
        self._late = LateWrites()

    def collection(self, org: str, resource: str, parent: str) -> Collection:
        """The collection of one listing, made when it is first asked for."""
        if (resource == "prices") != bool(parent) or resource not in RESOURCES:
            raise ValueError(f"{resource}: a price, and nothing else, has a price list as its parent")
        return self._collections.setdefault((org, resource, parent), Collection(resource, org, parent))

    def home(self, resource: str, record_id: str) -> Collection | None:
        """The collection that a record is in, or will be in once it shows."""
        return self._homes.get((resource, record_id))

    def shown(self, org: str, resource: str) -> list[Collection]:
        """An organization's collections of a resource, without those of deleted price lists."""
        every = (home for (owner, name, _), home in self._collections.items() if (owner, name) == (org, resource))
        return [home for home in every if not home.parent or not self.gone(home.parent)]

    def gone(self, parent: str) -> bool:
        """Whether a price list is deleted, or not there."""
        home = self.home("price_lists", parent)
        row = None if home is None else home.rows.get(parent)
        return row is None or row.deleted

    def write(self, home: Collection, row: Row, now_ms: int, late_ms: int = 0) -> None:
        """Put a record into its collection, now or ``late_ms`` later."""
        self._homes[home.resource, row.id] = home
        if late_ms > 0:
            self._late.add(now_ms + late_ms, home, row)
        else:
            home.put(row)

    def erase(self, resource: str, record_id: str) -> bool:
        """Take a record away without a trace; says whether it was there."""
        home = self._homes.pop((resource, record_id), None)
        return home is not None and home.drop(record_id) is not None

    def settle(self, now_ms: int, record_id: str = "") -> None:
        """Make late writes visible: those whose time has come, and those of one record."""
        for home, row in self._late.take(now_ms, record_id):
            home.put(row)

    def row(self, org: str, resource: str, record_id: str) -> Row:
        """A record or its tombstone; raises ``KeyError`` where the organization has none."""
        home = self.home(resource, record_id)
        if home is None or home.org != org:
            raise KeyError(record_id)
        return home.rows[record_id]
