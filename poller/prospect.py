"""What a change of the configuration would do, for people."""

from collections.abc import Iterable, Iterator
from itertools import groupby

from poller.model import Kind
from poller.outline import Changes, QueueChange, RouteChange, Setting, StreamChange, What

_STREAMS = {
    What.ADDED: "begins in silence: what is there makes no event, what happens from then on does",
    What.REMOVED: "is not followed any more; its {records} records are forgotten, and nothing is told of that",
    What.REREAD: "is read anew in silence: what changed since it was last read is not told",
    What.ANNOUNCED: "was followed silently, and is told of from now on",
    What.HUSHED: "is followed silently from now on",
    What.CHANGED: "goes on with its first listing, in silence from now on",
}
_EMITS = {
    What.ADDED: "begins, and EACH RECORD that is there makes a created event",
    What.CHANGED: "goes on with its first listing, and EACH RECORD of the rest makes a created event",
}

_EFFECTS = {
    "source.base_url": "all streams are read anew in silence",
    "source.first_sync": "holds for streams that are read for the first time, and for no other",
    "source.origin": "records that bear the old mark count as made by others from now on",
    "ignore": "holds for changes from now on, and makes no event by itself",
    "sweep_every": "holds after the sweep that is due next",
    "source.token.env": "streams of organizations that it does not see are suspended, and nothing is told of that",
    "state.path": "a reload refuses this; a restart begins with the state that is there",
}


def text(found: Changes) -> str:
    """The whole of it; first whether any event fires."""
    if not found.any:
        return "Nothing changes."
    parts = (
        _verdict(found),
        *_section("Streams", map(_stream, found.streams)),
        *_section("Sinks and queues of actions", (line for queue in found.queues for line in _queue(queue))),
        *_section("Routes", map(_route, found.routes)),
        *_section("Settings", map(_setting, found.settings)),
    )
    return "\n\n".join(parts)


def _verdict(found: Changes) -> str:
    emitting = [change.stream for change in found.streams if change.emits]
    parts = [f"EVENTS WILL FIRE, for what is there in {', '.join(emitting)}."] if emitting else []
    parts += [] if emitting else ["No event fires by this change alone."]
    parts.append("In streams that are not named below, what happens is told as ever.")
    parts += (
        [f"A RELOAD REFUSES IT: {', '.join(found.refused)} cannot change; restart poller."] if found.refused else []
    )
    return " ".join(parts)


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    if found := list(lines):
        yield "\n".join([f"{title}:", *(f"  {line}" for line in found)])


def _stream(change: StreamChange) -> str:
    words = (_EMITS if change.emits else _STREAMS)[change.what].format(records=change.records)
    return f"{change.what:<9}  {change.stream} {words}" + (f" ({change.reason})" if change.reason else "")


def _queue(change: QueueChange) -> Iterator[str]:
    yield f"{change.what:<9}  {change.name}" + _waiting(change)
    if change.renamed:
        yield f"           it is just as {change.renamed} was: a new name is a new sink, and gets nothing of the old"
    for word, triggers in (("may get", change.gains), ("gets no more", change.loses)):
        if triggers:
            yield f"           {word}: {', '.join(_short(triggers))}"


def _short(triggers: Iterable[str]) -> Iterator[str]:
    """The triggers, which are sorted; where they are all of a resource, as one."""
    for resource, names in groupby(triggers, lambda name: name.partition(".")[0]):
        found = list(names)
        yield from [f"{resource}.*"] if found == sorted(f"{resource}.{kind}" for kind in Kind) else found


def _waiting(change: QueueChange) -> str:
    if not change.waiting:
        return ""
    if change.what == What.REMOVED:
        return f": {change.waiting} deliveries wait until a sink has that name again, or are given up"
    return f": {change.waiting} deliveries that wait for it are sent"


def _route(change: RouteChange) -> str:
    held = f": holds {change.held} deliveries, which are decided upon as before" if change.held else ""
    return f"{change.what:<9}  {change.name}{held}"


def _setting(setting: Setting) -> str:
    effect = _EFFECTS.get(setting.key, _EFFECTS.get(setting.key.rpartition(".")[2], ""))
    return f"{setting.key}: {setting.before or '-'} -> {setting.after or '-'}" + (f" ({effect})" if effect else "")
