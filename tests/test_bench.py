"""The benchmark runs and says what it measured; tiny numbers, so the figures themselves mean nothing."""

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

BENCH = Path(__file__).parent.parent / "bench"
SECTIONS = ("core", "conditions", "idle", "delivery", "sustained", "latency", "pages", "startup")
SMALL = ("--records", "300", "--events", "50", "--polls", "20", "--runs", "1", "--page-mb", "1")


@pytest.fixture
def bench(monkeypatch):
    """Let the benchmark's own modules be imported."""
    monkeypatch.syspath_prepend(BENCH)


def test_run_prints_and_writes_every_figure(tmp_path):
    """Each section gives a table, and the file holds the same with machine and versions."""
    written = tmp_path / "bench.json"
    sections = [word for name in SECTIONS for word in ("--only", name)]
    command = [sys.executable, BENCH / "run.py", *SMALL, *sections, "--json", written]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = json.loads(written.read_text())
    assert {"machine", "python", "sqlite"} <= set(found["machine"])
    figures = [figure for table in found["tables"] for figure in table["figures"]]
    assert len(found["tables"]) == len(SECTIONS) + 3  # core gives three, sustained two
    assert all(figure["name"] in done.stdout for figure in figures)
    measured = [figure for figure in figures if "above" not in figure["name"]]  # a difference may be below zero
    assert all(value > 0 for figure in measured for value in figure["median"].values())
    assert {verdict["name"] for verdict in found["targets"]} >= {"Idle poll: with HTTP, above bare httpx"}
    assert all(type(verdict["met"]) is bool and verdict["name"] in done.stdout for verdict in found["targets"])


def test_memory_is_measured_in_a_process_of_its_own():
    """The child prints its peak in megabytes."""
    command = [sys.executable, BENCH / "memory.py", "new", "100"]
    peak_mb = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert 10 < peak_mb < 500


def test_a_budget_sees_changes_sooner_than_fixed_intervals_do(tmp_path):
    """At equal requests and in simulated time: a third of the delay at most, where people sit down to work."""
    written = tmp_path / "bench.json"
    small = ("--orgs", "60", "--hours", "4", "--only", "schedule", "--json", written)
    subprocess.run([sys.executable, BENCH / "run.py", *small], check=True, capture_output=True)
    sittings, *_, limits = json.loads(written.read_text())["tables"]
    fixed, ours, ratio = (figure["median"] for figure in sittings["figures"])
    assert ratio["p95"] <= 1 / 3
    assert ours["requests/s"] <= fixed["requests/s"]
    assert ours["longest wait"] <= 3 * fixed["longest wait"]
    assert all(figure["median"]["refused, %"] < 1 for figure in limits["figures"])


def test_hard_deletions_take_a_tenth_of_the_requests_of_full_listings(tmp_path):
    """At the same mean delay and in simulated time; one day by the defaults, one with a count in every poll."""
    written = tmp_path / "bench.json"
    command = [sys.executable, BENCH / "run.py", "--runs", "1", "--only", "deletions", "--json", written]
    subprocess.run(command, check=True, capture_output=True)
    found = json.loads(written.read_text())
    for table in found["tables"]:
        listings, ours, _ = (figure["median"] for figure in table["figures"])
        assert ours["mean delay, s"] == pytest.approx(listings["mean delay, s"], rel=0.2)
        assert ours["for deletions"] < ours["requests a day"] < listings["requests a day"]
    assert len(found["targets"]) == 2
    assert all(verdict["met"] for verdict in found["targets"])


def test_a_curve_is_drawn_with_all_its_points(bench):
    """A line and a name for each column, in text that a browser reads."""
    import chart

    drawn = chart.draw("Cost & size", "records", {"µs": [(10, 1), (1000, 2)], "MB": [(10, 2), (1000, 2)]})
    root = ET.fromstring(drawn)
    words = [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"Cost & size", "records", "µs", "MB", "10", "1,000"} <= set(words)
    assert len(list(root.iter("{http://www.w3.org/2000/svg}circle"))) == 4


def test_tables_are_written_where_the_page_asks_for_them(bench, tmp_path):
    """By the beginning of a title; what was not measured stays, and all targets stand in a table of their own."""
    from figures import Figure, Table, most
    from publish import publish

    page = tmp_path / "page.md"
    asked = "\n".join(f"<!-- bench: {name} -->\nas it was\n<!-- /bench -->" for name in ("Idle", "Other", "Targets"))
    page.write_text(asked)
    publish(page, {}, [Table("Idle poll: µs", [Figure("one", {"CPU": [3.0, 1.0, 2.0]}, (most(1.5),))])])
    idle, other, targets = page.read_text().split("<!-- /bench -->")[:3]
    assert "| one | 2 |" in idle
    assert "as it was" in other
    assert "| Idle poll: one | <= 1.5 | 2 | **missed** |" in targets


def test_a_point_of_a_curve_is_measured_in_a_process_of_its_own():
    """An idle poll, memory, and both kinds of idle sweeps, which have to find nothing."""
    command = [sys.executable, BENCH / "curves.py", "records", "250", "10", "sweeps"]
    measured = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert len(measured) == 4
    assert all(value > 0 for value in measured.values())
