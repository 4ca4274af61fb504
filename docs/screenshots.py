"""Takes the screenshots of docs/status-page.md anew, by Chromium, of made-up data that are always the same.

``.venv/bin/python docs/screenshots.py`` writes ``status-page-*.png`` beside this file; ``/usr/bin/chromium`` is needed.
"""

import os
import random
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from struct import pack, unpack

from playwright.sync_api import Browser, sync_playwright

from poller.breaker import Breaker
from poller.listening import HttpTable
from poller.model import Change, Kind, Stream
from poller.plan import Target
from poller.report import Running
from poller.secret import Secret
from poller.sources.spaceinvoices import RESOURCES
from poller.stores import Outgoing, Progress, Settlement, Standing, Step, Verdict
from poller.stores.sqlite import SqliteStore
from poller.web import Endpoint, Inside, Status

CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync", "--hide-scrollbars", "--font-render-hinting=none"]
HERE = Path(__file__).parent
NOW_MS = 1_781_179_200_000  # 2026-06-11T12:00:00Z
DAY_MS = 86_400_000
VARIABLE = "POLLER_SCREENSHOTS"
ORG = "66f1a2c4d3b7e80012a4c901"
NAMES = ("Orbit Logistics", "Lipa & Sons", "Kavarna Sonce", "Mlin d.o.o.", "Nordwind GmbH", "Atelier Šek", "Rosa Verde")
CHANGED = {
    "clients": ("email", "address", "phone"),
    "documents": ("paidInFull", "totalDue", "sentEmails"),
    "items": ("price", "stock.quantity"),
    "payments": ("note", "amount"),
    "orders": ("status", "shippedAt"),
}
SHOTS = {
    "light": {"viewport": {"width": 1280, "height": 1180}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 1180}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 360, "height": 1100}, "color_scheme": "light"},
}


def fill(store: SqliteStore, rng: random.Random) -> None:
    """A day of events, a receiver that is away, deletions that are held, dead letters."""
    for name in RESOURCES:
        if name != "price_lists":
            stand(store, name, rng)
    ages_ms = [int(DAY_MS * rng.random() ** 1.3) for _ in range(900)]
    for number, time_ms in enumerate(NOW_MS - age_ms for age_ms in sorted([*ages_ms, 31_000, 8_000], reverse=True)):
        resource = rng.choices(list(CHANGED), (5, 9, 2, 6, 4))[0]
        announce(store, resource, number, time_ms, rng)
    park(store, rng)


def stand(store: SqliteStore, name: str, rng: random.Random) -> None:
    """A stream that is followed, and one of which records are missing."""
    stream, live = Stream(ORG, name), rng.randrange(20, 4000)
    store.standing(stream)
    missing = 38 if name == "prices" else 0
    held_ms = NOW_MS - 900_000 if missing else None
    progress = Progress(baselined_ms=1, live=live, missing=missing, held_ms=held_ms, watermarks={"": NOW_MS - 60_000})
    store.commit(stream, Step(progress), NOW_MS - DAY_MS)
    polled_ms = NOW_MS - rng.randrange(2_000, 55_000)
    store.schedule(Standing(stream, next_poll_ms=polled_ms + 60_000, polled_ms=polled_ms))


def announce(store: SqliteStore, resource: str, number: int, time_ms: int, rng: random.Random) -> None:
    """An event, and how its deliveries went."""
    kind = rng.choices(list(Kind), (5, 9, 1))[0]
    word = f"2026-{number:04}" if resource in ("documents", "orders") else rng.choice(NAMES)
    body = f'{{"id":"{number:024x}","{"number" if word[:4] == "2026" else "name"}":"{word}"}}'.encode()
    changed = tuple(rng.sample(CHANGED[resource], rng.randint(1, 2))) if kind == Kind.UPDATED else ()
    change = Change(kind, f"{number:024x}", time_ms, time_ms, number.to_bytes(32), body, changed, b"{}")
    trigger = f"{RESOURCES[resource].singular}.{kind}"
    stream = Stream(ORG, resource)
    progress = store.standing(stream).progress
    store.commit(
        stream, Step(progress, outgoing=[Outgoing(change, trigger, (Target("archive"), Target("crm")))]), time_ms
    )
    settle(store, "archive", time_ms, int(rng.lognormvariate(2.5, 0.5)))
    if time_ms < NOW_MS - 1_500_000:
        settle(store, "crm", time_ms, int(rng.lognormvariate(5.2, 0.8)))


def settle(store: SqliteStore, sink: str, time_ms: int, took_ms: int) -> None:
    """The newest delivery of a sink is made."""
    ended = [Settlement(one.sequence, "delivered", 1, 0, 0) for one in store.due(sink, time_ms, 9)[-1:]]
    store.settle(sink, lambda before: Verdict(ended, before, before), time_ms + took_ms)


def park(store: SqliteStore, rng: random.Random) -> None:
    """The receiver of one sink is away, and refused a few for good before."""
    due = store.due("crm", NOW_MS, 99)
    error = "422: customer is archived"
    ended = [Settlement(one.sequence, "parked", 10, 0, 0, error) for one in rng.sample(due[:9], min(3, len(due)))]
    away = Breaker(
        failures=5, opened_ms=NOW_MS - 1_400_000, wait_until_ms=NOW_MS + 148_000, error="crm.example.com: 503"
    )
    store.settle("crm", lambda before: Verdict(ended, before, away), NOW_MS - 1_450_000)


@contextmanager
def demo(folder: Path) -> Iterator[Endpoint]:
    """An endpoint that shows it."""
    path = folder / "poller.db"
    with closing(SqliteStore(path, "spaceinvoices")) as store:
        fill(store, random.Random(11))
        status = Status(path, lambda: RESOURCES, lambda: Running(4711, ""), lambda: NOW_MS)
        inside = Inside(health=str, ready=status.ready, status=status)
        os.environ[VARIABLE] = "shown-to-nobody-and-never-used"
        table = HttpTable(listen="127.0.0.1:0", actions=True, token=Secret(env=VARIABLE))
        with closing(Endpoint(table, inside)) as endpoint:
            yield endpoint


def shoot(browser: Browser, url: str, name: str) -> Path:
    """One screenshot."""
    page = browser.new_page(locale="en-GB", timezone_id="UTC", reduced_motion="reduce", **SHOTS[name])
    page.goto(url)
    page.wait_for_selector("#last tbody tr")
    path = HERE / f"status-page-{name}.png"
    page.screenshot(path=path)
    page.close()
    smaller(path)
    return path


def smaller(path: Path) -> None:
    """Pack the picture's bytes as well as zlib can, without what says how it came to be."""
    data = path.read_bytes()
    at, chunks = 8, []
    while at < len(data):
        (length,) = unpack(">I", data[at : at + 4])
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += length + 12
    pixels = zlib.decompress(b"".join(content for kind, content in chunks if kind == b"IDAT"))
    kept = [(kind, content) for kind, content in chunks if kind in (b"IHDR", b"PLTE")]
    kept += [(b"IDAT", zlib.compress(pixels, 9)), (b"IEND", b"")]
    made = b"".join(pack(">I", len(c)) + k + c + pack(">I", zlib.crc32(k + c)) for k, c in kept)
    path.write_bytes(data[:8] + made)


def main() -> None:
    """Take them all."""
    with (
        tempfile.TemporaryDirectory() as folder,
        demo(Path(folder)) as endpoint,
        sync_playwright() as playwright,
        closing(playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)) as browser,
    ):
        for name in SHOTS:
            path = shoot(browser, endpoint.url, name)
            sys.stderr.write(f"{path.name}: {path.stat().st_size // 1024} kB\n")


if __name__ == "__main__":
    main()
