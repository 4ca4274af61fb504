"""The actions that there are, as text for people and as plain values for programs."""

from collections.abc import Iterable, Iterator
from typing import Any

from poller.actions import Action, Input, Repeat, System

REPEATS = {
    Repeat.SAFE: "a second time changes nothing",
    Repeat.FLAG: "an input makes the system see a second time",
    Repeat.CONFLICT: "the system refuses a second time, which counts as done",
    Repeat.LOOK: "before a second time it is looked whether it was done",
    Repeat.NEVER: "what is not known to be done is parked, for you to decide",
}
"""What is done where nobody knows whether an action was done."""


def plain(systems: Iterable[System]) -> list[dict[str, Any]]:
    """All actions of these systems."""
    return [_plain(system, action) for system in systems for action in system.actions.values()]


def _plain(system: System, action: Action) -> dict[str, Any]:
    return {
        "do": f"{system.name}.{action.name}",
        "title": action.title,
        "about": action.about,
        "system": system.title,
        "connection": dict(system.connection),
        "repeat": action.repeat,
        "destructive": action.destructive,
        "makes": list(action.writes),
        "inputs": [
            {
                "name": row.name,
                "type": row.type,
                "required": row.required,
                "about": row.about,
                "choices": list(row.choices),
            }
            for row in action.inputs.values()
        ],
    }


def text(systems: Iterable[System]) -> str:
    """The same for people: inputs that are required have a star."""
    return "\n\n".join(part for system in systems for part in _parts(system))


def _parts(system: System) -> Iterator[str]:
    holds = ", ".join(f"{key} ({kind})" for key, kind in system.connection.items()) or "nothing"
    yield f"{system.title}: [connections.{system.name}] holds {holds}"
    yield from ("\n".join(_lines(system, action)) for action in system.actions.values())


def _lines(system: System, action: Action) -> Iterator[str]:
    yield f'{system.name}.{action.name}   "{action.title}"' + ("   CANNOT BE UNDONE" if action.destructive else "")
    if action.about:
        yield f"  {action.about}"
    yield f"  repeat: {action.repeat}: {REPEATS[action.repeat]}"
    if action.writes:
        yield f"  makes happen: {', '.join(action.writes)}"
    width = max((len(name) for name in action.inputs), default=0) + 1
    yield from (_input(row, width) for row in action.inputs.values())


def _input(row: Input, width: int) -> str:
    name = f"{row.name}{'*' if row.required else ''}"
    about = " ".join(part for part in (row.about, _choices(row)) if part)
    return f"    {name:<{width}} {row.type:<8} {about}".rstrip()


def _choices(row: Input) -> str:
    return f"One of {', '.join(row.choices)}." if row.choices else ""
