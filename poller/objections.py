"""What is wrong with routes that are each well written: beside one another, or with what they do. ``key: what``."""

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from poller import expression, shape
from poller.actions import Action, System, find, inputs
from poller.expression import Condition
from poller.plan import Watch
from poller.routing import CaseTable, RouteTable, StepTable, places, route_name
from poller.sinks import SinkConfig
from poller.triggers import TRIGGERS


def objections(
    tables: Sequence[RouteTable],
    watches: Sequence[Watch],
    systems: Mapping[str, System],
    sinks: Mapping[str, SinkConfig],
) -> Iterator[str]:
    """All that is wrong with them, and with what is followed."""
    yield from _happening(tables, {watch.resource.name for watch in watches if watch.announces})
    yield from _names(tables, sinks)
    for key, route, case in places(tables):
        yield from _batches(key, case, sinks)
        yield from _steps(key, route, case, systems)


def _happening(tables: Sequence[RouteTable], announced: set[str]) -> Iterator[str]:
    if not announced:
        yield "resources: all are switched off, so nothing would be followed"
    for place, route in enumerate(tables):
        for pattern in route.on:
            wanted = {row for trigger, row in TRIGGERS.items() if fnmatchcase(trigger, pattern)}
            if announced and wanted and not wanted & announced:
                rows = ", ".join(sorted(wanted))
                yield f'route.{place}.on: "{pattern}" never happens: [resources] does not follow {rows}'


def _names(tables: Sequence[RouteTable], sinks: Mapping[str, SinkConfig]) -> Iterator[str]:
    names = [route_name(table, place) for place, table in enumerate(tables, 1)]
    for place, table in enumerate(tables):
        name = names[place]
        if names.index(name) != place:
            yield f'route.{place}.name: there is another route "{name}"'
        if name in sinks and any(case.all_steps() for case in table.cases()):
            yield f'route.{place}.name: "{name}" is a sink; a route that does actions needs a name of its own'


def _batches(key: str, case: CaseTable, sinks: Mapping[str, SinkConfig]) -> Iterator[str]:
    for name in case.to or () if case.body is not None else ():
        if getattr(sinks.get(name), "batch", None) is not None:
            yield (
                f"{key}.body: {name} sends its events in batches, which hold no other messages; "
                f"leave out body, or the batch of [sinks.{name}]"
            )


def _steps(key: str, route: RouteTable, case: CaseTable, systems: Mapping[str, System]) -> Iterator[str]:
    done: set[str] = set()
    for number, (step, made) in enumerate(zip(case.all_steps(), case.definition(), strict=True)):
        at = f"{key}.step.{number}" if case.step else key
        if made["id"] in done:
            yield f'{at}.id: there is another step "{made["id"]}"'
        yield from _references(f"{at}.with", step, done)
        yield from _about(at, route, step, find(step.do, systems)[1])
        if not _is_guarded(route, case) and (happens := _happens(route, find(step.do, systems)[1])):
            yield (
                f"{at}.do: {step.do} makes {happens} happen, which this route is on: it would go round for ever; "
                'let its when look at data.custom.origin, such as "!data.custom.origin"'
            )
        done.add(made["id"])


def _references(key: str, step: StepTable, done: set[str]) -> Iterator[str]:
    """Results that are asked for, but of no step before this one."""
    for name, value in step.with_.items():
        reads = expression.template(value, (*shape.VARIABLES, "steps")).reads()
        for wanted in sorted({path[1] for path in reads if path[0] == "steps" and len(path) > 1} - done):
            known = ", ".join(sorted(done))
            yield f'{key}.{name}: there is no earlier step "{wanted}"' + (f"; known are {known}" if known else "")


def _about(key: str, route: RouteTable, step: StepTable, action: Action) -> Iterator[str]:
    if action.destructive and not route.allow_destructive:
        yield f"{key}.do: {step.do} cannot be undone; set allow_destructive = true if that is meant"
    for wrong in inputs.objections(action, step.with_):
        yield f"{key}.with.{wrong}"


def _happens(route: RouteTable, action: Action) -> str | None:
    """What an action causes of that which its route is on."""
    return next((name for name in action.writes if any(fnmatchcase(name, pattern) for pattern in route.on)), None)


def _is_guarded(route: RouteTable, case: CaseTable) -> bool:
    """Whether a condition on the way to a case looks at who made the record: of those before it, too."""
    cases = list(route.cases())
    before = cases[: next(place for place, one in enumerate(cases) if one is case) + 1]
    guards: list[Condition] = [
        expression.condition(table.when, shape.VARIABLES) for table in (route, *before) if table.when is not None
    ]
    return any(guard.mentions("custom.origin") for guard in guards)
