"""What the API's answers mean: rows and headers in, a verdict out. Pure."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from poller.doctor import Told, Verdict
from poller.model import format_time, parse_time

Row = Mapping[str, Any]

LIMIT_RECORDS = 100
STAMPS = ("id", "updatedAt", "_isDeleted", "deletedAt")
SKEW_NOTE_S, SKEW_FAIL_S = 5.0, 300.0
"""Standard Webhooks receivers refuse a signature that is five minutes off."""
_TOMBSTONE_MS = 1000
_TOO_FEW = Told(Verdict.NOTE, "too few records to tell")


def tombstones(rows: Sequence[Row]) -> Told:
    """Judge the listing of what is deleted, asked for with ``deleted``."""
    if any(row.get("_isDeleted") is not True for row in rows):
        return Told(Verdict.FAIL, "live records where only deleted ones were asked for")
    return Told(Verdict.OK, "shown") if rows else Told(Verdict.NOTE, "none there")


def moved(rows: Sequence[Row]) -> Told:
    """Judge whether a deletion moves ``updatedAt``, so that an increment shows it."""
    pairs = [(parse_time(row.get("updatedAt")), parse_time(row.get("deletedAt"))) for row in rows]
    known = [(updated, deleted) for updated, deleted in pairs if updated is not None and deleted is not None]
    behind = sum(updated < deleted - _TOMBSTONE_MS for updated, deleted in known)
    if behind:
        return Told(Verdict.WARN, f"{behind} of {len(known)} tombstones bear an updatedAt from before the deletion")
    return Told(Verdict.OK, "moves") if known else Told(Verdict.NOTE, "no tombstone to tell by")


def totals(plain: str | None, with_deleted: str | None, counted: int) -> Told:
    """Judge ``x-total-count`` with and without ``deleted`` beside the count."""
    if plain is None:
        return Told(Verdict.NOTE, "no x-total-count")
    if plain == with_deleted == str(counted):
        return Told(Verdict.OK, "agrees with the count")
    return Told(Verdict.NOTE, f"{plain}, with deleted {with_deleted}, while the count says {counted}")


def counted(page: Sequence[Row], whole_count: int) -> Told:
    """Judge the count beside a page that shows the whole listing, if it does."""
    live = sum(row.get("_isDeleted") is not True for row in page)
    if len(page) >= LIMIT_RECORDS or live == whole_count:
        return Told(Verdict.OK, "agrees" if len(page) < LIMIT_RECORDS else f"{whole_count}")
    return Told(Verdict.WARN, f"{whole_count} counted, {live} shown")


def counted_above(page: Sequence[Row], middle: str, whole: int, above: int) -> Told:
    """Judge the count of records above the id ``middle``, which stands on the first page, beside that of all."""
    below = sum(row.get("_isDeleted") is not True and str(row.get("id")) <= middle for row in page)
    if whole - above == below:
        return Told(Verdict.OK, "agrees")
    return Told(Verdict.WARN, f"{above} counted above an id, of {whole}, of which {below} are not above it")


def limited(status: int, shown: int, there: int) -> Told:
    """Judge an answer to ``limit=500`` on a listing of ``there`` records at least."""
    if status != 200:
        return Told(Verdict.OK, f"refused ({status})")
    if shown > LIMIT_RECORDS:
        return Told(Verdict.NOTE, f"{shown} records on one page")
    if shown < LIMIT_RECORDS:
        enough = there >= LIMIT_RECORDS
        return Told(Verdict.WARN, f"{shown} records, where {there} are") if enough else _TOO_FEW
    return Told(Verdict.OK, "lowered to 100")


def filtered(what: str, page: Sequence[Row], got: Sequence[Row], matches: Callable[[Row], bool]) -> Told:
    """Judge a filtered answer beside an unfiltered page: nothing else may come, nothing may be left out."""
    wrong = sum(not matches(row) for row in got)
    if wrong:
        return Told(Verdict.FAIL, f"{what} is ignored: {wrong} of {len(got)} records do not match")
    shown = {row.get("id") for row in got}
    lost = sum(matches(row) and row.get("id") not in shown for row in page)
    if lost and len(got) < len(page):  # else it may have been cut at the page's limit
        return Told(Verdict.FAIL, f"{what} leaves out {lost} records that match")
    return Told(Verdict.OK, what)


def ordered(what: str, got: Sequence[Row], keys: Sequence[str]) -> Told:
    """Judge the order of an answer."""
    stamps = [tuple(str(row.get(key, "")) for key in keys) for row in got]
    return Told(Verdict.OK, what) if stamps == sorted(stamps) else Told(Verdict.FAIL, f"{what} is out of order")


def projected(page: Sequence[Row], whole: Sequence[Row]) -> Told:
    """Judge a page asked for with ``fields`` beside the same records whole."""
    bodies = {row.get("id"): row for row in whole}
    for row in page:
        missing = [name for name in STAMPS if name in bodies.get(row.get("id"), {}) and name not in row]
        if missing:
            return Told(Verdict.FAIL, f"{', '.join(missing)} left out though asked for")
    more = {name for row in page for name in row} - set(STAMPS)
    if more:
        return Told(Verdict.WARN, f"fields is ignored: {len(more)} others came along")
    return Told(Verdict.OK, "honoured")


def conditional(etag: str | None, status: int) -> Told:
    """Judge the answer to a request with ``If-None-Match``."""
    if not etag:
        return Told(Verdict.OK, "no ETag")
    return (
        Told(Verdict.NOTE, "304: a page that is the same is not sent again")
        if status == 304
        else Told(Verdict.OK, f"an ETag, but {status} when it is sent back")
    )


def announced(headers: Iterable[str]) -> Told:
    """Judge the names of an answer's headers: does one speak of a limit?"""
    found = sorted(name for name in headers if "ratelimit" in name.lower() or name.lower() == "retry-after")
    return Told(Verdict.NOTE, ", ".join(found)) if found else Told(Verdict.OK, "none on a common answer")


def included(lists: Sequence[Row], children: Collection[str]) -> Told:
    """Judge price lists asked for with their prices, beside the ids that their own listing shows."""
    if not lists or not children:
        return Told(Verdict.NOTE, "no prices to tell by")
    if not any("prices" in row for row in lists):
        return Told(Verdict.OK, "ignored: prices are listed by price list, as poller does")
    shown = {price.get("id") for row in lists for price in row.get("prices") or ()}
    missing = sum(child not in shown for child in children)
    if missing:
        return Told(Verdict.OK, f"{missing} of {len(children)} prices left out: poller does not rely on it")
    return Told(Verdict.NOTE, f"all {len(children)} prices came along")


def reached(own: Collection[str], children: Mapping[str, Collection[str]]) -> Told:
    """Judge which organizations of sub-accounts the account's own list shows."""
    if not children:
        return Told(Verdict.OK, "no sub-accounts")
    hidden = sorted({org for orgs in children.values() for org in orgs} - set(own))
    if hidden:
        names = ", ".join(hidden[:5]) + (", ..." if len(hidden) > 5 else "")
        return Told(Verdict.WARN, f"{len(hidden)} organizations of sub-accounts are not in the list: {names}")
    return Told(Verdict.OK, f"those of {len(children)} sub-accounts are in the list")


def skew(date_ms: int | None, before_ms: int, after_ms: int) -> Told:
    """Judge ``Date``, which has whole seconds, beside this machine's clock before the request and after it."""
    if date_ms is None:
        return Told(Verdict.WARN, "no Date header")
    off_ms = min(0, date_ms + 999 - before_ms) + max(0, date_ms - after_ms)
    if not off_ms:
        return Told(Verdict.OK, "the clocks agree")
    told = f"this clock is {abs(off_ms) / 1000:.1f} s {'ahead' if off_ms < 0 else 'behind'}"
    if abs(off_ms) < SKEW_NOTE_S * 1000:
        return Told(Verdict.OK, told)
    return Told(Verdict.NOTE if abs(off_ms) < SKEW_FAIL_S * 1000 else Verdict.FAIL, told)


def bumped(before: Row, paid: Row, settled: Row) -> Told:
    """Judge a document as it was, with a payment, and without it again."""
    stamps = [parse_time(row.get("updatedAt")) or 0 for row in (before, paid, settled)]
    if stamps[0] < stamps[1] < stamps[2]:
        return Told(Verdict.OK, "updatedAt moved with the payment, and with its deletion")
    if paid.get("totalPaid") == before.get("totalPaid"):
        return Told(Verdict.NOTE, "the document did not change")
    return Told(Verdict.WARN, f"the document changed, but updatedAt stayed at {format_time(stamps[0])}")
