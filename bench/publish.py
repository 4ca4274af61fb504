"""Tables into a page: each where a comment asks for it by the beginning of its title.

``<!-- bench: Idle poll -->`` and ``<!-- /bench -->`` enclose a table; ``Targets`` is that of all targets, ``Machine``
says on what it was measured. What was not measured stays as it is.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from figures import Table, number, verdicts

_PLACE = re.compile(r"(?P<begin><!-- bench: (?P<name>[^>]+) -->\n).*?(?P<end><!-- /bench -->)", re.DOTALL)


def publish(page: Path, about: Mapping[str, str], tables: Sequence[Table], *, targets: str = "Targets") -> None:
    """Write what was measured into the page."""
    written = {targets: _targets(tables), targets.replace("Targets", "Machine"): _sentence(about)}

    def filled(place: re.Match[str]) -> str:
        name = place["name"]
        found = (
            [written[name]] if name in written else [_markdown(each) for each in tables if each.title.startswith(name)]
        )
        return "\n\n".join([place["begin"].rstrip(), *found, place["end"]]) if found else place[0]

    page.write_text(_PLACE.sub(filled, page.read_text()))


def _sentence(about: Mapping[str, str]) -> str:
    return ", ".join(value if name == "machine" else f"{name} {value}" for name, value in about.items())


def _targets(tables: Sequence[Table]) -> str:
    rows = [
        [each.name, each.target, number(each.measured), "met" if each.met else "**missed**"]
        for each in verdicts(tables)
    ]
    return _rows(["", "target", "measured", ""], rows)


def _markdown(table: Table) -> str:
    head = [table.title, *table.figures[0].samples]
    return _rows(
        head, [[each.name, *(number(each.median(column)) for column in each.samples)] for each in table.figures]
    )


def _rows(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = ["---", *("---:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))
