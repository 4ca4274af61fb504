"""Made-up records, page by page as the API's bytes, and a source that serves them without HTTP."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.resources import files
from random import Random
from typing import Any

from poller.model import Organization, Page, Stream, format_time
from poller.sources import Increment, Sweep, pages
from poller.sources.keyset import PAGE_RECORDS, STAMPS, ById, Changes
from poller.sources.spaceinvoices import RESOURCES

STREAM = Stream("66f1a2c4d3b7e80012a4c901", "clients")
EPOCH_MS = 1_740_000_000_000
VERSION_MS = 30 * 86_400_000
_TOWNS = ("Ljubljana", "Maribor", "Celje", "Kranj", "Koper", "Velenje", "Novo mesto", "Ptuj")


def pages_of(count: int, version: int = 0, *, bodies: bool = True) -> Iterator[bytes]:
    """Give ``count`` records in pages of 100: clients as in the example, of 900 bytes each.

    A higher ``version`` is saved later and has another e-mail address and note. The order is that of ids and
    of stamps alike, so that the same pages serve a sweep and an increment.
    """
    example = json.loads(files("poller.examples").joinpath("clients.json").read_bytes())
    for start in range(0, count, PAGE_RECORDS):
        rows = [_record(example, number, version) for number in range(start, min(start + PAGE_RECORDS, count))]
        shown = rows if bodies else [{key: row[key] for key in STAMPS if key in row} for row in rows]
        yield json.dumps(shown, separators=(",", ":")).encode()


def _record(example: dict[str, Any], number: int, version: int) -> dict[str, Any]:
    rng = Random(number)
    stamp = format_time(EPOCH_MS + version * VERSION_MS + number)
    name, digits = f"{rng.getrandbits(40):x}", rng.randrange(10**8)
    return example | {
        "contact": f"Maja {name[:6].title()}",
        "note": "Prefers e-mail" if version == 0 else f"Prefers the telephone, since {version}",
        "name": f"{name.title()} Logistics d.o.o.",
        "address": f"Dunajska cesta {digits % 300}",
        "city": _TOWNS[digits % len(_TOWNS)],
        "taxNumber": f"SI{digits:08d}",
        "companyNumber": f"{digits * 7:010d}",
        "IBAN": f"SI56{rng.randrange(10**15):015d}",
        "website": f"https://{name}.example",
        "email": f"{'billing' if version == 0 else f'office{version}'}@{name}.example",
        "phone": f"+386 1 {digits % 10**7:07d}",
        "id": f"{0x67A0B1C2 + number:08x}e4f5a600{number:08x}",
        "createdAt": format_time(EPOCH_MS + number),
        "updatedAt": stamp,
    }


class Scripted:
    """The ``Source`` of one stream: every listing reads the answers of ``answers()``, then an empty page.

    Answers go through the same reading and the same checks of their order as those of the API.
    """

    name = "spaceinvoices"
    resources = RESOURCES

    def __init__(self, answers: Callable[[], Iterable[bytes]] = list) -> None:
        self.answers = answers
        self.live = 0

    def organizations(self) -> Sequence[Organization]:
        """One organization."""
        return [Organization(STREAM.org, "")]

    def list(self, _stream: Stream, query: Increment | Sweep, _parent: str = "") -> Iterator[Page]:
        """All pages, whatever was asked for."""
        listing = Changes(query.since_ms) if isinstance(query, Increment) else ById(query)
        for answer in self.answers():
            page = pages.read(answer, bodies=listing.bodies, known=listing.known)
            listing.advance(page)
            yield page._replace(began_ms=EPOCH_MS)
        yield Page(began_ms=EPOCH_MS)

    def fetch(self, _stream: Stream, _ids: Sequence[str], _parent: str = "") -> Page:
        """Nothing is ever missing here, so nothing is asked for."""
        raise NotImplementedError

    def count(self, _stream: Stream, _parent: str = "") -> int:
        """As many as the poller follows."""
        return self.live

    def rate(self) -> float:
        """It takes any number."""
        return 1e9

    def close(self) -> None:
        """There is nothing to close."""
