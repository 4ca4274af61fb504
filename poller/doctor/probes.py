"""What the API's documentation leaves open, asked of the API itself: one row a question. Nothing is written.

The letters are those of the project's list of questions that only a real token answers.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median_low
from typing import Any, NamedTuple
from urllib.parse import quote

from poller.doctor import Finding, Told, Verdict, answers, worst
from poller.doctor.api import Api, Unanswered
from poller.model import Resource
from poller.plan import Plan
from poller.sources.resources import RESOURCES
from poller.sources.spaceinvoices import PARENT_PATHS

MOST_ORGS = 20
"""So many organizations are looked through for records of a resource."""

_FIELDS = dict.fromkeys(answers.STAMPS, True)
_BY_ID: dict[str, Any] = {"order": ["id ASC"], "limit": answers.LIMIT_RECORDS, "deleted": True}
_BY_CHANGE = _BY_ID | {"order": ["updatedAt ASC", "id ASC"]}


class Listing(NamedTuple):
    """A listing to ask questions of: where it is, and its first page, stamps only, with no filter."""

    resource: str
    path: str
    page: Sequence[Mapping[str, Any]]


class Probe(NamedTuple):
    """A question to each listing: how it is asked, what is expected, and what follows from what is not so."""

    name: str
    expected: str
    ask: Callable[[Api, Listing], Told]
    follows: Mapping[Verdict, str]


def listings(api: Api, plan: Plan, orgs: Sequence[str]) -> Iterator[Listing | Finding]:
    """One listing for each resource that is followed, of the organization with most records of it on its first page."""
    for name, watch in plan.watches.items():
        best: Listing | None = None
        try:
            for path in _paths(api, watch.resource, orgs[:MOST_ORGS]):
                page = api.get(path, filter=_BY_ID | {"fields": _FIELDS}).rows()
                if best is None or len(page) > len(best.page):
                    best = Listing(name, path, page)
                if len(best.page) > 1:
                    break
        except Unanswered as error:
            yield Finding(
                f"listing of {name}", Verdict.FAIL, "a page of records", str(error), "poller check tells more of it"
            )
            continue
        if best is not None:
            yield best


def _paths(api: Api, row: Resource, orgs: Sequence[str]) -> Iterator[str]:
    for org in orgs:
        if row.parent is None:
            yield f"Organizations/{quote(org, safe='')}/{row.path}"
            continue
        above = f"Organizations/{quote(org, safe='')}/{RESOURCES[row.parent].path}"
        for record in api.get(above, filter={"order": ["id ASC"], "limit": 20, "fields": _FIELDS}).rows():
            yield f"{PARENT_PATHS[row.parent]}/{quote(str(record.get('id')), safe='')}/{row.path}"


def asked(api: Api, known: Sequence[Listing]) -> Iterator[Finding]:
    """Ask each question of each listing: one finding a question, with the worst verdict."""
    for probe in PROBES:
        told = {listing.resource: _told(probe, api, listing) for listing in known}
        verdict = worst([one.verdict for one in told.values() if one.verdict != Verdict.NOTE] or [Verdict.NOTE])
        yield Finding(probe.name, verdict, probe.expected, _together(told), probe.follows.get(verdict, ""))


def _told(probe: Probe, api: Api, listing: Listing) -> Told:
    try:
        return probe.ask(api, listing)
    except Unanswered as error:
        return Told(Verdict.FAIL if Verdict.FAIL in probe.follows else Verdict.WARN, str(error))


def _together(told: Mapping[str, Told]) -> str:
    """What was seen, once for all resources that it was seen of; the worst first."""
    names: dict[Told, list[str]] = {}
    for resource, one in told.items():
        names.setdefault(one, []).append(resource)
    if len(names) == 1:
        return next(iter(names)).seen
    parts = sorted(names.items(), key=lambda item: list(Verdict).index(item[0].verdict), reverse=True)
    return "; ".join(f"{one.seen} ({', '.join(which)})" for one, which in parts) or "no listing to ask"


def _tombstones(api: Api, listing: Listing) -> Told:
    return answers.tombstones(_deleted(api, listing))


def _moved(api: Api, listing: Listing) -> Told:
    return answers.moved(_deleted(api, listing))


def _deleted(api: Api, listing: Listing) -> list[dict[str, Any]]:
    return api.get(listing.path, filter=_BY_ID | {"where": {"_isDeleted": True}, "fields": _FIELDS}).rows()


def _totals(api: Api, listing: Listing) -> Told:
    plain = api.get(listing.path, filter={"limit": 1, "fields": _FIELDS})
    deleted = api.get(listing.path, filter={"limit": 1, "fields": _FIELDS, "deleted": True})
    total = [answer.headers.get("x-total-count") for answer in (plain, deleted)]
    return answers.totals(total[0], total[1], _count(api, listing))


def _counted(api: Api, listing: Listing) -> Told:
    return answers.counted(listing.page, _count(api, listing))


def _counted_above(api: Api, listing: Listing) -> Told:
    if len(listing.page) < 2:
        return _TOO_FEW
    middle = str(listing.page[len(listing.page) // 2 - 1].get("id"))
    above = _count(api, listing, where={"id": {"gt": middle}})
    return answers.counted_above(listing.page, middle, _count(api, listing), above)


def _count(api: Api, listing: Listing, **asked: Mapping[str, Any]) -> int:
    answer = api.get(f"{listing.path}/count", None, **asked)
    count = answer.json.get("count") if isinstance(answer.json, dict) else None
    if answer.status != 200 or type(count) is not int:
        raise Unanswered(f"the count was answered by {answer.status}, without a number")
    return count


def _limit(api: Api, listing: Listing) -> Told:
    answer = api.get(listing.path, filter=_BY_ID | {"limit": 500, "fields": _FIELDS})
    return answers.limited(answer.status, len(answer.rows()) if answer.status == 200 else 0, len(listing.page))


def _above(api: Api, listing: Listing) -> Told:
    if len(listing.page) < 2:
        return _TOO_FEW
    middle = str(listing.page[len(listing.page) // 2 - 1].get("id"))
    got = _filtered(api, listing, _BY_ID, {"id": {"gt": middle}})
    told = answers.filtered("id gt", listing.page, got, lambda row: str(row.get("id")) > middle)
    return told if told.verdict == Verdict.FAIL else _since(api, listing)


def _since(api: Api, listing: Listing) -> Told:
    stamps = [str(row["updatedAt"]) for row in listing.page if row.get("updatedAt")]
    if not stamps:
        return Told(Verdict.WARN, "no record has an updatedAt")
    middle = median_low(stamps)
    got = _filtered(api, listing, _BY_CHANGE, {"updatedAt": {"gte": middle}})
    told = answers.filtered("updatedAt gte", listing.page, got, lambda row: str(row.get("updatedAt")) >= middle)
    return told if told.verdict == Verdict.FAIL else answers.ordered("id gt, updatedAt gte", got, ("updatedAt", "id"))


def _keyset(api: Api, listing: Listing) -> Told:
    keys = sorted((str(row["updatedAt"]), str(row["id"])) for row in listing.page if row.get("updatedAt"))
    if len(keys) < 2:
        return _TOO_FEW
    at, after = keys[len(keys) // 2 - 1]
    ties = {"and": [{"updatedAt": at}, {"id": {"gt": after}}]}
    got = _filtered(api, listing, _BY_CHANGE, {"or": [{"updatedAt": {"gt": at}}, ties]})

    def above(row: Mapping[str, Any]) -> bool:
        return (str(row.get("updatedAt")), str(row.get("id"))) > (at, after)

    return answers.filtered("or, and", listing.page, got, above)


def _named(api: Api, listing: Listing) -> Told:
    if len(listing.page) < 2:
        return _TOO_FEW
    ids = {str(row.get("id")) for row in listing.page[:2]}
    got = _filtered(api, listing, _BY_ID, {"id": {"inq": sorted(ids)}})
    told = answers.filtered("id inq", listing.page[:2], got, lambda row: str(row.get("id")) in ids)
    missing = len(ids) - len(got)
    return told if missing <= 0 or told.verdict == Verdict.FAIL else Told(Verdict.FAIL, f"id inq leaves out {missing}")


def _filtered(api: Api, listing: Listing, query: Mapping[str, Any], where: Mapping[str, Any]) -> list[dict[str, Any]]:
    return api.get(listing.path, filter={**query, "where": where, "fields": _FIELDS}).rows()


def _fields(api: Api, listing: Listing) -> Told:
    if not listing.page:
        return _TOO_FEW
    return answers.projected(listing.page, api.get(listing.path, filter=_BY_ID | {"limit": 5}).rows())


def _conditional(api: Api, listing: Listing) -> Told:
    sent = _BY_ID | {"limit": 1, "fields": _FIELDS}
    etag = api.get(listing.path, filter=sent).headers.get("etag")
    again = api.get(listing.path, {"If-None-Match": etag}, filter=sent) if etag else None
    return answers.conditional(etag, again.status if again else 0)


def _announced(api: Api, listing: Listing) -> Told:
    return answers.announced(api.get(listing.path, filter={"limit": 1, "fields": _FIELDS}).headers)


_TOO_FEW = Told(Verdict.NOTE, "too few records to tell")
_LOSES = "changes would be lost: do not run poller against this API; please report it"

PROBES = (
    Probe(
        "tombstones",
        "deleted: true shows what was deleted",
        _tombstones,
        {
            Verdict.FAIL: "deletions would be told of live records: do not run poller against this API",
            Verdict.NOTE: "delete a record that nobody needs and look again: without tombstones, only counts and "
            "sweeps find deletions (source.count_every, source.sweep_every)",
        },
    ),
    Probe(
        "deletion stamps",
        "a deletion moves updatedAt",
        _moved,
        {Verdict.WARN: "increments do not show deletions: set source.count_every and source.sweep_every lower"},
    ),
    Probe("totals", "x-total-count counts live records", _totals, {Verdict.NOTE: "nothing: poller does not use it"}),
    Probe(
        "counts",
        "the count is that of the live records",
        _counted,
        {Verdict.WARN: "poller learns a constant gap; one that changes makes a sweep each time"},
    ),
    Probe(
        "counts above",
        "a count of id gt is that of the records above it",
        _counted_above,
        {Verdict.WARN: "nothing is lost, but each hard deletion takes a whole sweep"},
    ),
    Probe(
        "page limit",
        "limit 500 is lowered to 100",
        _limit,
        {
            Verdict.NOTE: "nothing: poller asks for 100",
            Verdict.WARN: "nothing is lost, since only an empty page ends a listing, but polls take more requests",
        },
    ),
    Probe("filters", "id gt and updatedAt gte filter and sort", _above, {Verdict.FAIL: _LOSES}),
    Probe("and, or", "they are honoured within a filter in JSON", _keyset, {Verdict.FAIL: _LOSES}),
    Probe(
        "by id",
        "id inq finds records, tombstones too",
        _named,
        {Verdict.FAIL: "missing records could not be told from deleted ones: do not run poller against this API"},
    ),
    Probe(
        "fields",
        "only the fields that are asked for",
        _fields,
        {
            Verdict.FAIL: "sweeps of ids would see no change: set source.full_sweep = 1",
            Verdict.WARN: "sweeps of ids cost as much as full ones: set source.sweep_every higher",
        },
    ),
    Probe("ETag", "undocumented", _conditional, {Verdict.NOTE: "sweeps make use of it"}),
    Probe(
        "limit headers",
        "undocumented; 100 requests a second",
        _announced,
        {Verdict.NOTE: "keep source.rate below what they say"},
    ),
)
"""Asked of every resource that is followed."""
