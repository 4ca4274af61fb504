"""Two configurations compared over one state: what happens when one takes the place of the other."""

from collections.abc import Collection, Iterator
from dataclasses import replace
from fnmatch import fnmatchcase

from poller.model import Kind, Stream
from poller.outline import Changes, Known, Outline, QueueChange, Receiver, RouteChange, Setting, StreamChange, Way, What
from poller.plan import Plan
from poller.stores import Standing


def estranged(standing: Standing, plan: Plan, address: str) -> str:
    """Why a stream is forgotten whose records are remembered from ``address``; empty if it is not.

    What is not followed any more is: whenever it is followed again, nothing that happened meanwhile is told.
    """
    return _estranged(standing, plan.watches, plan.organizations, plan.address, address)


def _estranged(
    standing: Standing, resources: Collection[str], organizations: Collection[str] | None, address: str, before: str
) -> str:
    if not _remembered(standing):
        return ""
    if standing.stream.resource not in resources:
        return "its resource is switched off"
    if organizations is not None and standing.stream.org not in organizations:
        return "the organization is not among source.organizations"
    return "source.base_url is another" if address and before and address != before else ""


def _remembered(standing: Standing) -> bool:
    return standing.progress.baselined_ms is not None or standing.progress.sweep is not None


ANY = "*"
"""Stands for organizations that the state does not know, but the API may show."""

FIXED = ("state.path",)
"""Settings that only a restart changes."""


def changes(before: Outline | None, after: Outline, known: Known) -> Changes:
    """What happens when ``after`` takes the place of ``before``; None is not known, or there was none."""
    nothing = replace(after, address=known.address or after.address, resources={}, receivers={}, routes={})
    old = before or nothing
    settings = tuple(_settings(old, after)) if before else ()
    return Changes(
        tuple(_streams(old, after, known)),
        tuple(_queues(old, after, known)),
        tuple(_routes(old, after, known)),
        settings,
        tuple(setting.key for setting in settings if setting.key in FIXED),
    )


def _streams(before: Outline, after: Outline, known: Known) -> Iterator[StreamChange]:
    standings = {standing.stream: standing for standing in known.standings}
    orgs = {stream.org for stream, standing in standings.items() if not standing.suspended}
    wanted = {
        Stream(org, resource)
        for org in (after.organizations if after.organizations is not None else orgs)
        for resource in after.resources
    }
    for stream in sorted({*standings, *wanted}):
        standing = standings.get(stream, Standing(stream))
        found = _left(standing, after, known) or _begun(standing, before, after, known=stream in standings)
        if found is not None:
            yield found
    if after.organizations is None and _reach(before) != _reach(after):
        for resource in after.resources:
            yield _first(Stream(ANY, resource), What.ADDED, after, reason="where it is not known yet")


def _reach(outline: Outline) -> tuple[object, ...]:
    """What says which organizations there are; a token by its place, so it may be of another account as well."""
    tokens = [item for item in outline.settings.items() if item[0].startswith("source.token.")]
    return outline.address, outline.organizations, *tokens


def _left(standing: Standing, after: Outline, known: Known) -> StreamChange | None:
    """What happens to a stream whose records are remembered and will not be."""
    reason = _estranged(standing, after.resources, after.organizations, after.address, known.address)
    if not reason:
        return None
    what = What.REREAD if _follows(after, standing.stream) else What.REMOVED
    return StreamChange(standing.stream.name, what, standing.progress.live, reason=reason)


def _begun(standing: Standing, before: Outline, after: Outline, *, known: bool) -> StreamChange | None:
    """What happens to a stream that is followed from now on, or otherwise than before."""
    stream, progress = standing.stream, standing.progress
    if not _follows(after, stream):
        return None
    if progress.baselined_ms is not None or (progress.sweep and progress.sweeps):
        return _kept(standing, before, after)
    goes_on = known and _follows(before, stream)  # its first listing is still to be made, or to be ended
    if progress.sweeps:
        return None if goes_on else StreamChange(stream.name, What.REREAD, reason="it was followed before")
    if goes_on:
        same = _emits(before, stream.resource) == _emits(after, stream.resource)
        return None if same else _first(stream, What.CHANGED, after, progress.live, "its first listing is not over")
    return _first(stream, What.ADDED, after)


def _kept(standing: Standing, before: Outline, after: Outline) -> StreamChange | None:
    """What happens to a stream that goes on: it may be announced from now on, or not any more."""
    resource = standing.stream.resource
    was, becomes = before.resources.get(resource), after.resources[resource]
    if was is None or was.announced == becomes.announced:
        return None
    what = What.ANNOUNCED if becomes.announced else What.HUSHED
    return StreamChange(standing.stream.name, what, standing.progress.live)


def _follows(outline: Outline, stream: Stream) -> bool:
    allowed = outline.organizations is None or stream.org in outline.organizations
    return allowed and stream.resource in outline.resources


def _first(stream: Stream, what: What, after: Outline, records: int = 0, reason: str = "") -> StreamChange:
    """What the first listing of a stream comes to."""
    emits = _emits(after, stream.resource)
    return StreamChange(stream.name, what, records, emits, _first_to(after, stream.resource) if emits else (), reason)


def _emits(outline: Outline, resource: str) -> bool:
    """Whether what is there at the first sight makes events."""
    row = outline.resources[resource]
    return row.announced and (outline.emit_first or bool(outline.routes and _first_to(outline, resource)))


def _first_to(outline: Outline, resource: str) -> tuple[str, ...]:
    """The queues that get what is there at the first sight, if anything does."""
    if not outline.routes:
        return tuple(outline.receivers)
    created = f"{outline.resources[resource].singular}.{Kind.CREATED}"
    ways = [way for way in outline.routes.values() if _is_on(way, created)]
    taking = [way for way in ways if (outline.emit_first if way.first is None else way.first)]
    return tuple(dict.fromkeys(name for way in taking for name in way.to))


def _is_on(way: Way, trigger: str) -> bool:
    return any(fnmatchcase(trigger, pattern) for pattern in way.on)


def _queues(before: Outline, after: Outline, known: Known) -> Iterator[QueueChange]:
    for name in sorted({*before.receivers, *after.receivers}):
        old, new = before.receivers.get(name), after.receivers.get(name)
        had, gets = _triggers(before, name), _triggers(after, name)
        if old == new and had == gets:
            continue
        renamed = "" if old or not new else _namesake(new, before, after)
        waiting = known.waiting.get(name, 0)
        yield QueueChange(name, _what(old, new), waiting, _sorted(gets - had), _sorted(had - gets), renamed)


def _namesake(new: Receiver, before: Outline, after: Outline) -> str:
    """A queue that was just the same, and is gone."""
    return next((name for name, one in before.receivers.items() if one == new and name not in after.receivers), "")


def _triggers(outline: Outline, queue: str) -> set[str]:
    """What a queue may get."""
    if queue not in outline.receivers:
        return set()
    every = {f"{row.singular}.{kind}" for row in outline.resources.values() if row.announced for kind in Kind}
    if not outline.routes:
        return every
    ways = [way for way in outline.routes.values() if queue in way.to]
    return {trigger for trigger in every if any(_is_on(way, trigger) for way in ways)}


def _sorted(triggers: Collection[str]) -> tuple[str, ...]:
    return tuple(sorted(triggers))


def _routes(before: Outline, after: Outline, known: Known) -> Iterator[RouteChange]:
    for name in sorted({*before.routes, *after.routes}):
        old, new = before.routes.get(name), after.routes.get(name)
        if old != new:
            yield RouteChange(name, _what(old, new), known.held.get(name, 0))


def _what(old: object, new: object) -> What:
    return What.ADDED if old is None else What.REMOVED if new is None else What.CHANGED


def _settings(before: Outline, after: Outline) -> Iterator[Setting]:
    both = before.resources.keys() & after.resources.keys()
    old, new = {**_resources(before, both), **before.settings}, {**_resources(after, both), **after.settings}
    for key in sorted({*old, *new}):
        if old.get(key) != new.get(key):
            yield Setting(key, old.get(key, ""), new.get(key, ""))


def _resources(outline: Outline, names: Collection[str]) -> dict[str, str]:
    """How these resources are followed, as settings."""
    return {
        f"resources.{name}.{key}": text
        for name, row in outline.resources.items()
        if name in names
        for key, text in (
            ("every", f"{row.every_s:g} s"),
            ("sweep_every", f"{row.sweep_every_s:g} s"),
            ("ignore", ", ".join(row.ignore)),
        )
    }
