"""Whether everything is as it has to be before a start: token, organizations, connections, filters that really filter.

An API that silently ignores a filter would lose changes silently, so each one is tried on each resource.
"""

from collections.abc import Iterator, Mapping
from statistics import median_low
from threading import Event
from typing import NamedTuple

from poller.actions import Connection
from poller.actions.answer import Done
from poller.actions.connections import tried
from poller.model import Page, Record, Stream
from poller.plan import Plan
from poller.sources import Increment, Source, SourceError, Sweep


class Finding(NamedTuple):
    """One thing looked at: ``well`` is None where it could not be told."""

    what: str
    told: str
    well: bool | None


def tried_connections(ways: Mapping[str, Connection], stop: Event) -> Iterator[Finding]:
    """Ask each connection for what is cheapest, and changes nothing."""
    for name, way in ways.items():
        answer, what = tried(way, stop), f"connections.{name}"
        if answer is None:
            yield Finding(what, "its system names nothing to ask for", well=None)
        elif isinstance(answer, Done):
            yield Finding(what, f"{way.system.title} answers", well=True)
        else:
            yield Finding(what, answer.reason, well=False)


def check(source: Source, plan: Plan) -> Iterator[Finding]:
    """Look at the token and at every resource of the first organization that has records of it."""
    try:
        orgs = source.organizations()
    except SourceError as error:
        yield Finding("token", str(error), well=False)
        return
    names = ", ".join(org.name or org.id for org in orgs)
    yield Finding("organizations", names or "none to be seen", well=bool(orgs))
    for name, watch in plan.watches.items():
        if watch.announces:
            yield _resource(source, plan, [org.id for org in orgs], name)


def _resource(source: Source, plan: Plan, orgs: list[str], name: str) -> Finding:
    told = ""
    try:
        for stream, parent in _listings(source, plan, orgs, name):
            page = _first(source, stream, Sweep("", bodies=False), parent)
            source.count(stream, parent)
            if len(page.records) > 1:
                return _probe(source, stream, parent, page)
            told = "too few records to tell"
    except SourceError as error:
        return Finding(name, str(error), well=False)
    return Finding(name, told or "nothing to list", well=None)


def _listings(source: Source, plan: Plan, orgs: list[str], name: str) -> Iterator[tuple[Stream, str]]:
    parent = plan.watches[name].resource.parent
    for org in orgs:
        if parent is None:
            yield Stream(org, name), ""
        else:
            above = _first(source, Stream(org, parent), Sweep("", bodies=False), "")
            yield from ((Stream(org, name), record.id) for record in above.records if not record.deleted)


def _first(source: Source, stream: Stream, query: Increment | Sweep, parent: str) -> Page:
    return next(iter(source.list(stream, query, parent)))


def _probe(source: Source, stream: Stream, parent: str, page: Page) -> Finding:
    """Ask for the second half by id, then by date: nothing else may come, and nothing may be left out.

    That nothing else comes is checked by the source itself, as in every poll.
    """
    records = page.records
    middle = records[len(records) // 2 - 1].id
    above = _first(source, stream, Sweep(middle, bodies=False), parent)
    if lost := _lost([record for record in records if record.id > middle], above):
        return Finding(stream.resource, f'the filter "id gt" leaves out {lost} records', well=False)
    stamps = [record.updated_ms for record in records if record.updated_ms is not None]
    if not stamps:
        return Finding(stream.resource, "no record has an updatedAt: changes are seen by full sweeps only", well=False)
    since_ms = median_low(stamps)
    newer = _first(source, stream, Increment(since_ms), parent)
    whole = len(records) < 100
    if whole and (lost := _lost([r for r in records if r.updated_ms and r.updated_ms >= since_ms], newer)):
        return Finding(stream.resource, f'the filter "updatedAt gte" leaves out {lost} records', well=False)
    tombstone = any(record.deleted for record in records)
    seen = "id gt, updatedAt gte and deleted are honoured" if tombstone else "id gt and updatedAt gte are honoured"
    hint = "" if tombstone else "; no tombstone there to tell whether deleted is"
    return Finding(stream.resource, seen + hint, well=True)


def _lost(expected: list[Record], page: Page) -> int:
    """How many of the expected records an answer left out, as far as it reaches."""
    shown = {record.id for record in page.records}
    return 0 if len(shown) >= 100 else sum(record.id not in shown for record in expected)
