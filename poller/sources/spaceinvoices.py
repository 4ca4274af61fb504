"""Space Invoices API v1: LoopBack 3 models behind ``https://api.spaceinvoices.com/v1``.

Filters go as one JSON parameter with one operator a property, always with ``deleted`` (else tombstones
are hidden) and an order with a unique tie-break; pages follow each other by key, never by ``skip`` (but
to pass records without a usable id or stamp, which have no key). Only an empty page ends a listing: a server may
lower its page limit without saying so.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

import msgspec

from poller import retry
from poller.http import Client, HttpError, Malformed, Response, TooLarge
from poller.meter import Meter
from poller.model import Organization, Page, Stream, Tagged
from poller.rate import LONGEST_HOLD_S, Bucket, NoTurn
from poller.sources import Denied, Incomplete, Increment, ParentGone, SourceError, Sweep, Unreachable, pages
from poller.sources.conditions import Conditions
from poller.sources.keyset import PAGE_RECORDS, ById, Changes
from poller.sources.resources import RESOURCES, SOURCE

BASE_URL = "https://api.spaceinvoices.com/v1"
FETCH_RECORDS = 50  # ids in one query: its URL stays below 2 kB
DEADLINE_S = 15.0
PAGE_BYTES = 32 << 20
MAX_PAGES = 100_000
MESSAGE_CHARACTERS = 200
TRIES = 4
NOT_MODIFIED = 304
BACKOFF_S, BACKOFF_CEILING_S = 0.5, 20.0
ANSWER_S = TRIES * (LONGEST_HOLD_S + DEADLINE_S) + (TRIES - 1) * LONGEST_HOLD_S
"""The longest that one answer takes, an API that hangs included: for each try its turn and its deadline, and the waits
between them."""

PARENT_PATHS = {"price_lists": "PriceLists"}
"""Where the records of a parent resource have listings of their own."""


class SpaceInvoices:
    """The ``Source`` of one API key. ``organizations`` limits it to these ids; ``stop`` ends every wait.

    ``rate`` is the most requests a second, shared by all threads: the API refuses more than 100, and where it refuses
    fewer they become fewer.
    """

    name = SOURCE
    resources = RESOURCES

    def __init__(
        self,
        token: str,
        *,
        base_url: str = BASE_URL,
        rate: float = 20.0,
        organizations: Sequence[str] | None = None,
        stop: threading.Event | None = None,
        chance: Callable[[], float] = random.random,
        meter: Meter | None = None,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._token = token
        self._headers = {"Authorization": token, "Accept": "application/json", "Accept-Encoding": "gzip"}
        self._organizations = organizations
        self._stop = stop or threading.Event()
        self._bucket = Bucket(rate, self._stop)
        self._conditions = Conditions()
        self._chance = chance
        self._meter = meter or Meter()
        self._thread = threading.local()
        self._clients: list[Client] = []  # for a thread that ends must not drop its connections in the middle of a stop

    def rate(self) -> float:
        """See ``Source.rate``."""
        return self._bucket.rate

    def organizations(self) -> list[Organization]:
        """Those configured, or all that the token can see."""
        if self._organizations is not None:
            return [Organization(org, "") for org in self._organizations]
        account = _object(self._get("Accounts/authorized"))
        found: list[Organization] = []
        after = ""
        while rows := self._organizations_after(str(account.get("id", "")), after):
            found += rows
            if rows[-1].id <= after or len(found) > MAX_PAGES:
                raise Incomplete("the list of organizations repeats itself")
            after = rows[-1].id
        return found

    def _organizations_after(self, account: str, after: str) -> list[Organization]:
        query = {"order": ["id ASC"], "limit": PAGE_RECORDS, "fields": {"id": True, "name": True}}
        where = {"where": {"id": {"gt": after}}} if after else {}
        answer = self._get(f"Accounts/{quote(account, safe='')}/organizations", filter=where | query)
        rows = _json(answer)
        if not isinstance(rows, list) or not all(isinstance(row, dict) and row.get("id") for row in rows):
            raise Incomplete("the list of organizations is not a list of organizations")
        return [Organization(str(row["id"]), str(row.get("name", ""))) for row in rows]

    def close(self) -> None:
        """See ``Source.close``."""
        self._stop.set()
        while self._clients:
            self._clients.pop().close()

    def list(self, stream: Stream, query: Increment | Sweep, parent: str = "") -> Iterator[Page]:
        """See ``Source.list``."""
        listing = Changes(query.since_ms) if isinstance(query, Increment) else ById(query)
        path = self._path(stream, parent)
        skip, keyless = 0, set[str]()  # since the last record with a key
        for _ in range(MAX_PAGES):
            more = {"skip": skip} if skip else {}
            before = None if skip else self._conditions.offer(listing.tagged())
            answer = self._get(path, parent=parent, tag=before.tag if before else "", filter=listing.filter() | more)
            page = self._page(answer, listing, before)
            without = listing.advance(page)
            yield page
            if page.same:
                continue
            fresh = without.union(bad.key for bad in page.quarantined) - keyless
            if len(without) < len(page.ids):
                skip, keyless = 0, set()
            elif fresh:
                skip, keyless = skip + len(page.ids) + len(page.quarantined), keyless | fresh
            else:
                return
            if skip >= PAGE_RECORDS:
                raise Incomplete("a whole page without one usable id or date: the listing cannot go on")
        raise Incomplete(f"the listing did not end within {MAX_PAGES} pages")

    def _page(self, answer: Response, listing: Changes | ById, before: Tagged | None) -> Page:
        """What an answer says: a page, or that there is nothing new beside the page ``before``."""
        same = before if answer.status == NOT_MODIFIED else None
        if before:
            self._conditions.learn(same=same is not None)
        page = Page() if same else pages.read(answer.body, bodies=listing.bodies, known=listing.known)
        return page._replace(began_ms=_began_ms(answer), tag=self._conditions.tag(answer.headers), same=same)

    def fetch(self, stream: Stream, ids: Sequence[str], parent: str = "") -> Page:
        """See ``Source.fetch``. It asks the list: get-one hides tombstones, and some resources have none."""
        path, left = self._path(stream, parent), sorted(ids)
        shown: list[Page] = []
        while left:
            query = {"where": {"id": {"inq": left}}, "order": ["id ASC"], "limit": PAGE_RECORDS, "deleted": True}
            page = pages.read(self._get(path, parent=parent, filter=query).body, bodies=True)
            if page.ids != tuple(sorted({*page.ids}.intersection(left))):
                raise Incomplete("asked for records by id, the API answered with others")
            shown.append(page)
            left = [one for one in left if one > page.ids[-1]] if page.ids else []  # the limit may be a lowered one
        return pages.joined(shown)

    def count(self, stream: Stream, parent: str = "", after: str = "") -> int:
        """See ``Source.count``."""
        where: dict[str, Any] = {"where": {"id": {"gt": after}}} if after else {}
        count = _object(self._get(f"{self._path(stream, parent)}/count", parent=parent, **where)).get("count")
        if type(count) is not int or count < 0:
            raise Incomplete("the count is not a number")
        return count

    def _path(self, stream: Stream, parent: str) -> str:
        row = RESOURCES[stream.resource]
        if row.parent:
            return f"{PARENT_PATHS[row.parent]}/{quote(parent, safe='')}/{row.path}"
        return f"Organizations/{quote(stream.org, safe='')}/{row.path}"

    def _get(self, path: str, *, parent: str = "", tag: str = "", **query: object) -> Response:
        """The answer, if it is a 200, after as many tries as it takes; raises ``SourceError``.

        With a ``tag`` it may be a 304: what is there is still what the server tagged so.
        """
        url = f"{self._base_url}/{path}"
        if query:
            url += "?" + "&".join(f"{key}={quote(msgspec.json.encode(value), safe='')}" for key, value in query.items())
        for failures in range(1, TRIES + 1):
            trouble, wait_s = self._try(url, parent, tag)
            if isinstance(trouble, Response):
                return trouble
            if wait_s > 0:
                self._bucket.hold(wait_s)
            if failures == TRIES or wait_s > LONGEST_HOLD_S:
                break
            if self._stop.wait(max(wait_s, retry.backoff(failures, self._chance(), BACKOFF_S, BACKOFF_CEILING_S))):
                raise Unreachable("the poller is stopping")
        raise Unreachable(trouble)

    def _turn(self) -> float:
        began_s = time.monotonic()
        try:
            return self._bucket.take()
        except NoTurn as none:
            raise Unreachable(str(none)) from None
        finally:
            self._meter.count("rate_wait_seconds", time.monotonic() - began_s)

    def _try(self, url: str, parent: str, tag: str) -> tuple[Response | str, float]:
        """One request: the answer, or the passing trouble and how long the API asked to wait."""
        sent_s = self._turn()
        headers = self._headers | {"If-None-Match": tag} if tag else self._headers
        try:
            answer = self._client().request("GET", url, headers=headers, deadline_s=DEADLINE_S, max_bytes=PAGE_BYTES)
        except (TooLarge, Malformed) as error:
            self._meter.count("requests", status="none")
            raise Incomplete(str(error)) from error
        except HttpError as error:
            self._meter.count("requests", status="none")
            return str(error), 0.0
        self._meter.count("requests", status="429" if answer.status == 429 else f"{answer.status // 100}xx")
        self._meter.observe("request_seconds", answer.elapsed_s)
        self._bucket.heed(answer.status, sent_s)
        if answer.status == 200 or (tag and answer.status == NOT_MODIFIED):
            return answer, 0.0
        if answer.status == 429 or answer.status >= 500:
            now_ms = _date_ms(answer) or time.time_ns() // 1_000_000
            wait_s = retry.parse_retry_after(answer.headers.get("retry-after"), now_ms)
            return f"the API answered {answer.status}", wait_s or 0.0
        raise _refusal(answer, parent, self._token)

    def _client(self) -> Client:
        if not hasattr(self._thread, "client"):
            self._thread.client = Client(self._stop)
            self._clients.append(self._thread.client)
        client: Client = self._thread.client
        return client


def _refusal(answer: Response, parent: str, token: str) -> SourceError:
    """What a final status means: 401, 403 and missing organizations are never a deletion."""
    error = _error(answer)
    told = f"the API answered {answer.status}" + _words(error.get("message"), token)
    if answer.status in (401, 403):
        return Denied(f"{told}: the token is wrong, expired, or may not see this organization")
    if answer.status == 404 and error.get("code") == "MODEL_NOT_FOUND":
        return ParentGone(told) if parent else Denied(f"{told}: the organization is not there for this token")
    if answer.status == 404:
        return SourceError(f"{told}: there is no such path; check source.base_url")
    return SourceError(told)


def _words(message: object, token: str) -> str:
    """What the API says of an error: some of it, on one line, and never the token, which it may repeat."""
    if not isinstance(message, str) or not message:
        return ""
    text = message.replace(token, "[the token]")[:MESSAGE_CHARACTERS]
    return f" ({''.join(sign if sign.isprintable() else ' ' for sign in text)})"


def _error(answer: Response) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(answer.body)["error"]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError, KeyError):
        return {}
    return found if isinstance(found, dict) else {}


def _json(answer: Response) -> object:
    try:
        return msgspec.json.decode(answer.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Incomplete("the answer is not JSON (a login or maintenance page?)") from error


def _object(answer: Response) -> dict[str, Any]:
    found = _json(answer)
    if not isinstance(found, dict):
        raise Incomplete("the answer is not a JSON object")
    return found


def _date_ms(answer: Response) -> int | None:
    try:
        return int(parsedate_to_datetime(answer.headers["date"]).timestamp() * 1000)
    except (KeyError, ValueError, TypeError, IndexError, OverflowError):
        return None


def _began_ms(answer: Response) -> int | None:
    """The server's time when the request began, or a little before: ``Date`` less the time it took."""
    date_ms = _date_ms(answer)
    return None if date_ms is None else date_ms - int(answer.elapsed_s * 1000) - 1
