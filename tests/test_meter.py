"""Counters and histograms."""

import ast
import threading
from pathlib import Path

import pytest

from poller.meter import ROWS, Meter

POLLER = Path(__file__).parents[1] / "poller"


def counted(meter, name):
    """The series of one counter."""
    return {row.name: series for row, series in meter.counters()}[name]


def observed(meter, name):
    """The series of one histogram."""
    return {row.name: series for row, series in meter.histograms()}[name]


def test_it_counts_by_label():
    """One at a time or several at once; labels in any order."""
    meter = Meter()
    meter.count("polls", resource="clients", outcome="ok")
    meter.count("polls", 2, outcome="ok", resource="clients")
    meter.count("polls", resource="units", outcome="ok")
    assert counted(meter, "polls") == {("clients", "ok"): 3, ("units", "ok"): 1}


def test_a_value_on_a_bound_is_within_it():
    """As Prometheus has it: ``le`` is less or equal."""
    meter, bounds = Meter(), ROWS["request_seconds"].buckets
    meter.observe("request_seconds", 0.0, bounds[0], bounds[-1], bounds[-1] + 1)
    found = observed(meter, "request_seconds")[()]
    assert (found.counts[0], found.counts[-2:], sum(found.counts)) == (2, (1, 1), 4)
    assert found.total == pytest.approx(bounds[0] + 2 * bounds[-1] + 1)


def test_what_is_known_begins_at_nothing():
    """Every value of a closed set, with every value that is given; what the given ones do not complete does not."""
    meter = Meter()
    meter.count("polls", resource="clients", outcome="ok")
    meter.begin(resource=["clients", "units"])
    assert counted(meter, "polls")["clients", "ok"] == 1
    assert len(counted(meter, "polls")) == 2 * len(ROWS["polls"].labels["outcome"])
    assert observed(meter, "poll_seconds")["units",].total == 0
    assert counted(meter, "rate_wait_seconds") == {(): 0}
    assert counted(meter, "attempts") == {}


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("pols", {}),
        ("polls", {"resource": "clients"}),
        ("polls", {"resource": "clients", "result": "ok"}),
        ("rate_wait_seconds", {"resource": "clients"}),
        ("poll_seconds", {"resource": "clients"}),
    ],
)
def test_what_is_no_row_is_an_error(name, labels):
    """A name or label that is not in the table, and a histogram that is counted."""
    with pytest.raises(KeyError):
        Meter().count(name, **labels)


def test_threads_lose_nothing():
    """Counting from several at once."""
    meter = Meter()

    def work():
        for _ in range(2000):
            meter.count("events", trigger="client.created")
            meter.observe("request_seconds", 0.1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counted(meter, "events") == {("client.created",): 8000}
    assert sum(observed(meter, "request_seconds")[()].counts) == 8000


def calls():
    """Every use of a meter in the code: where, the method, the name and the labels."""
    for path in sorted(POLLER.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in ("count", "observe")
                and ast.unparse(node.func.value).endswith("meter")
            ):
                labels = frozenset(keyword.arg for keyword in node.keywords)
                yield f"{path.name}:{node.lineno}", node.func.attr, node.args[0], labels


@pytest.mark.parametrize(("where", "method", "name", "labels"), [pytest.param(*call, id=call[0]) for call in calls()])
def test_the_code_counts_what_is_in_the_table(where, method, name, labels):
    """By a name that is written out, with all of its labels."""
    assert isinstance(name, ast.Constant), where
    row = ROWS[name.value]
    assert (method, labels) == ("observe" if row.buckets else "count", frozenset(row.labels))


def test_every_row_is_counted_somewhere():
    """None is a promise only."""
    assert {name.value for _, _, name, _ in calls()} == ROWS.keys()
