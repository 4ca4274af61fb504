"""docs/metrics.md names every metric and every alert."""

import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from poller.exposition import PREFIX, encode
from poller.gauges import BY_ORGANIZATION, GAUGES
from poller.meter import ROWS, Meter

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "metrics.md").read_text()
ALERTS = (ROOT / "deploy" / "alerts.yml").read_text()


def table():
    """The rows that the page has to have, from the tables that the metrics are made of."""
    for row in sorted([*ROWS.values(), *GAUGES.values()]):
        kind = "gauge" if row.name in GAUGES else "histogram" if row.buckets else "counter"
        labels = "; ".join(f"{name} ({', '.join(among)})" if among else name for name, among in row.labels.items())
        name = (
            f"`{PREFIX}{row.name}{'_total' if kind == 'counter' else ''}`{'*' if row.name in BY_ORGANIZATION else ''}"
        )
        yield f"| {name} | {kind} | {labels} | {row.about} |".replace("|  |", "| |")
    body, _ = encode(Meter(), {}, "")
    for family in text_string_to_metric_families(body.decode()):
        if family.name.startswith("process_"):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            yield f"| `{name}` | {family.type} | | {family.documentation} |"


def test_every_metric_has_its_row():
    """Name, type, labels, meaning: as the tables of the code have them, in the order of names."""
    rows = [line for line in TEXT.splitlines() if re.match(r"\| `(poller|process)_\w+`\*? \|", line)]
    assert rows == [*table()], "the rows have to be:\n" + "\n".join(table())


def test_every_alert_has_its_row():
    """With its severity, in the order of the rules."""
    rules = re.findall(r"- alert: (\w+)\n.*?severity: (\w+)", ALERTS, re.DOTALL)
    assert re.findall(r"^\| (Poller\w+) \| (\w+) \| .+ \|$", TEXT, re.MULTILINE) == rules


@pytest.mark.parametrize("row", [*ROWS.values(), *GAUGES.values()], ids=lambda row: row.name)
def test_a_meaning_is_a_sentence(row):
    """That ends as one, and breaks no table."""
    assert re.fullmatch(r"[A-Z1-9][^|\n]+\.", row.about)
