"""The page's text: the template, and in it for browsers without a script the state in words."""

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

_PLACE = "<!-- summary -->"
_GUARDED = '<p>Sign in to see the state.</p><form method="post" action="/sign-in"><label>Token <input type="password" \
name="token" autocomplete="current-password" required></label> <button>Sign in</button></form>'


def page(template: str, found: Mapping[str, Any] | None) -> str:
    """The page with its summary; ``found`` is None where it may not be shown yet. All of it is escaped."""
    return template.replace(_PLACE, _GUARDED if found is None else _summary(found), 1)


def _summary(found: Mapping[str, Any]) -> str:
    concerns = [f"<strong>{escape(row['what'])}</strong>: {escape(row['text'])}" for row in found["attention"]]
    sinks = [
        f"{row['sink']}: {row['state']}, {row['pending']:,} pending, {row['parked']:,} parked" for row in found["sinks"]
    ]
    states = [f"{count:,} {state}" for state, count in found["summary"]["states"].items()]
    events = [f"{row['recorded']} {row['trigger']} {row['subject']} {row['name']}" for row in found["events"]]
    return "".join(
        (
            f"<p>As of {escape(found['now'])}. Without JavaScript this page does not update itself.</p>",
            _list("Needs attention", concerns or ["Nothing. All is well."]),
            _list("Streams", map(escape, states or ["None yet"])),
            _list("Sinks", map(escape, sinks or ["None had a delivery yet"])),
            _list("Last events", map(escape, events or ["None yet"])),
        )
    )


def _list(title: str, lines: Iterable[str]) -> str:
    """``lines`` are HTML."""
    return f"<h2>{escape(title)}</h2><ul>{''.join(f'<li>{line}</li>' for line in lines)}</ul>"
