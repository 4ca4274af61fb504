"""Which way an event goes: by no route at all, by ten plain ones, by ten with conditions on its record."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import repeat

from figures import Figure, Table, Timing, most, timed
from figures import Target as Limit
from listing import STREAM, pages_of

from poller import diff, route
from poller.expression import condition
from poller.model import Change, Record
from poller.plan import Case, Plan, Route, Target
from poller.sources.pages import read

NOW_MS = 1_790_000_000_000
TRIGGER = "client.created"
_CONDITIONS = (
    "data.city == 'Ljubljana' && data.taxSubject",
    "data.countryAlpha2Code == 'SI' && contains(data.email, 'billing')",
    "starts_with(data.name, 'A') || ends_with(data.name, 'd.o.o.')",
    "length(data.name) > `60`",
    "data.custom.segment == 'gold'",
    "default(data.note, '') == ''",
    "event.kind == 'created' && !data._isDeleted",
    "data.unitIds[0] == '1' || data.type == 'supplier'",
    "date_before(data.createdAt, '2020-01-01T00:00:00.000Z')",
    "contains(lower(data.website), '.example') && data.phone != `null`",
)


def report(events: int, runs: int) -> Table:
    """Microseconds an event, of CPU: the record is read once where any condition asks for it."""
    changes = _changes(events)
    plain = [Route(("client.*",), (Case(("a",)),)) for _ in _CONDITIONS]
    asking = [
        Route(("client.*",), (Case(("a",), condition(text, ("event", "data", "previous", "changed"))),))
        for text in _CONDITIONS
    ]
    figures = [
        _each("no routes", changes, runs, []),
        _each("ten routes without conditions", changes, runs, plain),
        _each("ten routes with conditions", changes, runs, asking, most(60)),
    ]
    return Table(f"Routing: microseconds an event ({events:,} events)", figures)


def _changes(events: int) -> list[Change]:
    found: list[Change] = []
    for page in pages_of(events):
        records: Sequence[Record] = read(page, bodies=True).records
        findings, _ = diff.compare(records, {}, {}, diff.Rules())
        found += [finding.change for finding in findings if finding.change]
    return found


def _each(name: str, changes: Sequence[Change], runs: int, routes: Sequence[Route], *limits: Limit) -> Figure:
    plan = Plan({}, tuple(routes), (Target("a"), Target("b")))
    timings = [_run(plan, changes) for _ in repeat(None, runs)]
    return Figure(name, {"CPU": [timing.cpu_s / len(changes) * 1e6 for timing in timings]}, limits)


def _run(plan: Plan, changes: Sequence[Change]) -> Timing:
    with timed() as timing:
        for change in changes:
            scope: Callable[[], route.Scope] = partial(route.scope, STREAM, TRIGGER, change, "evt_a", NOW_MS)
            route.targets(plan, TRIGGER, scope)
    return timing
