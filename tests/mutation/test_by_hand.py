"""Mutants where mutmut makes none: in SQL, in tables and constants, in what is decorated. Tests have to notice each."""

import ast
import os
import subprocess
import sys

import pytest
from mutated import ROOT, mutate

OUTBOX, DEPARTURE, LOOPS = (f"poller/stores/{name}.py" for name in ("outbox", "departure", "loops"))
MARKS, STREAMS, TRANSACTION = (f"poller/stores/{name}.py" for name in ("marks", "streams", "transaction"))
BREAKER, DIFF, ENVELOPE, RETRY = (f"poller/{name}.py" for name in ("breaker", "diff", "envelope", "retry"))

MUTANTS = {  # by the test that has to fail: the file, what is in it, and what stands there instead
    "stores/test_outbox.py::test_few_lanes_and_many_are_looked_through_alike": [
        (OUTBOX, "p.sink = d.sink AND p.lane", "p.lane"),
        (OUTBOX, "p.lane = d.lane AND p.state = 'pending'", "p.lane = d.lane"),
        (OUTBOX, "\n      AND p.attempts < {retry.BLOCKING_ATTEMPTS}", ""),
        (OUTBOX, "p.turn < d.turn", "p.turn > d.turn"),
        (OUTBOX, "  d.sink = ?1 AND d.state", "  d.state"),
        (OUTBOX, "  d.sink = ?1 AND d.state = 'pending'", "  d.sink = ?1"),
        (OUTBOX, "{_FIRST_OF_LANE} AND d.due_ms <= ?2", "{_FIRST_OF_LANE}"),
        (OUTBOX, "WHERE d.sink = ?1 AND d.state", "WHERE d.state"),
        (OUTBOX, "d.state = 'pending' AND d.due_ms <= ?2 AND d.turn", "d.due_ms <= ?2 AND d.turn"),
        (OUTBOX, "d.due_ms <= ?2 AND d.turn <= coalesce", "d.turn <= coalesce"),
        (OUTBOX, "d.turn <= coalesce", "d.turn < coalesce"),
        (OUTBOX, "p.sink = ?1 AND p.lane", "p.lane"),
        (OUTBOX, "p.lane = l.value AND p.state = 'pending'", "p.lane = l.value"),
        (OUTBOX, "\n       AND p.attempts < {retry.BLOCKING_ATTEMPTS} ORDER", " ORDER"),
        (OUTBOX, "ORDER BY p.turn LIMIT", "ORDER BY p.turn DESC LIMIT"),
        (OUTBOX, "9223372036854775807", "0"),
        (OUTBOX, "d.due_ms, d.turn LIMIT", "d.turn, d.due_ms LIMIT"),
        (OUTBOX, "AND d.due_ms > ?2 ORDER", "ORDER"),
        (OUTBOX, "ORDER BY d.due_ms LIMIT", "ORDER BY d.due_ms DESC LIMIT"),
    ],
    "stores/test_outbox.py::test_a_long_queue_of_one_lane_is_not_looked_through": [
        (OUTBOX, "lane > l.lane)", "lane >= l.lane)"),
    ],
    "stores/test_outbox.py::test_settling_twice_changes_nothing": [
        (OUTBOX, "AND route = ? AND state = 'pending'\",\n        [_settled", 'AND route = ?",\n        [_settled'),
    ],
    "stores/test_outbox.py::test_settling_is_for_one_sink": [
        (OUTBOX, '"WHERE sink = ? AND sequence = ?', '"WHERE (sink = ? OR 1) AND sequence = ?'),
    ],
    "stores/test_routes.py::test_each_is_settled_by_itself": [
        (OUTBOX, "AND route = ? AND state = 'pending'\",\n        [_s", 'AND (route = ? OR 1)",\n        [_s'),
    ],
    "stores/test_reading.py::test_a_view_shows_the_state_with_and_without_a_poller": [
        (OUTBOX, "delivered = delivered + ?3", "delivered = ?3"),
        (OUTBOX, "delivered_ms = iif(?3, ?4, delivered_ms)", "delivered_ms = ?4"),
        (OUTBOX, "?3, iif(?3, ?4, NULL)", "?3, ?4"),
    ],
    "stores/test_steps.py::test_the_results_of_steps_are_there_at_the_next_send": [
        (OUTBOX, "DO UPDATE SET results = excluded.results", "DO NOTHING"),
        (
            OUTBOX,
            'DELETE FROM step WHERE sequence = ? AND sink = ? AND route = ?",\n        [(after',
            'DELETE FROM step WHERE sequence <> ? AND sink = ? AND route = ?",\n        [(after',
        ),
    ],
    "stores/test_steps.py::test_only_what_is_about_to_be_sent_has_begun": [
        (
            OUTBOX,
            "begun = 1 WHERE sink = ? AND sequence = ? AND route = ?",
            "begun = 1 WHERE (sink = ? OR 1) AND sequence = ? AND route = ?",
        ),
        (
            OUTBOX,
            "begun = 1 WHERE sink = ? AND sequence = ? AND route = ?",
            "begun = 1 WHERE sink = ? AND (sequence = ? OR 1) AND route = ?",
        ),
        (
            OUTBOX,
            "begun = 1 WHERE sink = ? AND sequence = ? AND route = ?",
            "begun = 1 WHERE sink = ? AND sequence = ? AND (route = ? OR 1)",
        ),
    ],
    "stores/test_outbox.py::test_a_probe_is_what_met_least_trouble": [
        (OUTBOX, "d.troubles, ' if", "' if"),
    ],
    "stores/test_outbox.py::test_a_sink_is_resumed_alone": [
        (OUTBOX, "WHERE sink = ?1 AND state = 'pending' AND due_ms > ?2", "WHERE state = 'pending' AND due_ms > ?2"),
    ],
    "stores/test_outbox.py::test_a_sink_that_is_resumed_begins_anew": [
        (OUTBOX, "state = 'pending' AND due_ms > ?2 AND ?3", "state = 'pending' AND ?3"),
        (OUTBOX, 'DO UPDATE SET breaker = ?2",', 'DO NOTHING",'),
    ],
    "stores/test_delays.py::test_what_is_delayed_is_neither_due_nor_hurried_nor_expired": [
        (OUTBOX, "\n        \"AND (route = '' OR turn <= ?2 * 1000)\"", ""),
    ],
    "stores/test_outbox.py::test_parked_deliveries_can_be_sent_again": [
        (OUTBOX, "attempts = 0, troubles", "troubles"),
        (OUTBOX, "troubles = 0, turn", "turn"),
        (OUTBOX, ", settled_ms = NULL\n", "\n"),
        (OUTBOX, "(turn + place, now_ms", "(turn - place, now_ms"),
    ],
    "stores/test_events.py::test_fault_43_equal_changes_have_ordinals": [
        (OUTBOX, " ON CONFLICT (id) DO NOTHING", ""),
    ],
    "stores/test_commits.py::test_a_state_keeps_its_name": [
        (OUTBOX, "SET value = ? WHERE key = 'sequence'", "SET value = ?"),
    ],
    "stores/test_delays.py::test_a_pace_is_kept_over_commits": [
        (DEPARTURE, "INSERT OR REPLACE INTO route", "INSERT OR IGNORE INTO route"),
    ],
    "stores/test_routes.py": [
        (
            DEPARTURE,
            'FROM delivery WHERE sequence = ? AND sink = ? AND route = ?", parked[:3])\n    entered',
            'FROM delivery WHERE sequence = ? AND (sink = ? OR 1) AND route = ?", parked[:3])\n    entered',
        ),
        (
            DEPARTURE,
            'FROM delivery WHERE sequence = ? AND sink = ? AND route = ?", parked[:3])\n    entered',
            'FROM delivery WHERE sequence = ? AND sink = ? AND (route = ? OR 1)", parked[:3])\n    entered',
        ),
        (DEPARTURE, "DELETE FROM delivery WHERE sequence = ?", "DELETE FROM delivery WHERE (sequence = ? OR 1)"),
    ],
    "stores/test_floods.py": [
        (DEPARTURE, "held FROM route WHERE name = ?", "held FROM route WHERE (name = ? OR 1)"),
        (DEPARTURE, "WHERE route = ? AND state = 'held' ORDER", "WHERE route = ? ORDER"),
        (DEPARTURE, "WHERE route = ? AND state = 'held' ORDER", "WHERE (route = ? OR 1) AND state = 'held' ORDER"),
        (DEPARTURE, 'ORDER BY sequence"', 'ORDER BY sequence DESC"'),
        (DEPARTURE, "settled_ms = NULL,", "settled_ms = settled_ms,"),
        (DEPARTURE, "SET held = 0, seen = 0", "SET seen = 0"),
        (DEPARTURE, "held = 0, seen = 0", "held = 0"),
        (DEPARTURE, "next_ms = ? WHERE name = ?", "next_ms = ? WHERE (name = ? OR 1)"),
        (DEPARTURE, "SET held = 0 WHERE name = ?", "SET held = 0 WHERE (name = ? OR 1)"),
        (DEPARTURE, "SET held = 0 WHERE name = ?", "SET held = held WHERE name = ?"),
        (DEPARTURE, "DELETE FROM delivery WHERE route = ? AND state = 'held'", "DELETE FROM delivery WHERE route = ?"),
        (DEPARTURE, "DELETE FROM delivery WHERE route = ? AND", "DELETE FROM delivery WHERE (route = ? OR 1) AND"),
    ],
    "stores/test_streams.py": [
        (STREAMS, "missing, NULL, decision)\n  WHERE id = ?", "missing, NULL, NULL)\n  WHERE id = ?"),
        (STREAMS, "missing, NULL, decision)\n  WHERE id = ?", "missing, NULL, decision)\n  WHERE (id = ? OR 1)"),
        (MARKS, 'FROM mark WHERE stream = ? AND id = ?)"', 'FROM mark WHERE (stream = ? OR 1) AND id = ?)"'),
    ],
    "stores/test_marks.py": [
        (MARKS, "INSERT OR REPLACE INTO mark", "INSERT OR IGNORE INTO mark"),
        (MARKS, "INSERT OR REPLACE INTO quarantine", "INSERT OR IGNORE INTO quarantine"),
    ],
    "stores/test_bodies.py": [
        (MARKS, "INSERT OR REPLACE INTO body", "INSERT OR IGNORE INTO body"),
    ],
    "stores/test_commits.py": [
        (TRANSACTION, "BEGIN IMMEDIATE", "BEGIN"),
        (TRANSACTION, 'self._connection.execute("COMMIT")', "pass"),
        (TRANSACTION, 'connection.execute("ROLLBACK")', "pass"),
        (TRANSACTION, "if connection.in_transaction:", "if True:"),
        (LOOPS, "self._stream_ids.clear()", "pass"),
        (LOOPS, "self._codec.forget()", "pass"),
        (TRANSACTION, "except BaseException", "except Exception"),
        (TRANSACTION, "_undone()\n                raise", "_undone()"),
        (
            TRANSACTION,
            "with self._mutex, _as_store_error():\n            self._c",
            "with _as_store_error():\n            self._c",
        ),
        (
            TRANSACTION,
            "except sqlite3.Error as error:\n        busy",
            "except sqlite3.OperationalError as error:\n        busy",
        ),
    ],
    "test_breaker.py": [
        (BREAKER, "FAILURES = 5", "FAILURES = 4"),
        (BREAKER, "FAILURES = 5", "FAILURES = 6"),
        (BREAKER, "RECENT = 20", "RECENT = 22"),
        (BREAKER, "GOOD_PROBES = 2", "GOOD_PROBES = 1"),
        (BREAKER, "GOOD_PROBES = 2", "GOOD_PROBES = 3"),
        (BREAKER, "RAMP_MS = 60_000", "RAMP_MS = 30_000"),
        (BREAKER, "SHORTEST_WAIT_S = 1.0", "SHORTEST_WAIT_S = 0.0"),
        (BREAKER, "return self.opened_ms != 0", "return False"),
    ],
    "test_retry.py": [
        (RETRY, "CEILING_S = 3600.0", "CEILING_S = 7200.0"),
        (RETRY, "BUSY_S = 60.0", "BUSY_S = 30.0"),
        (RETRY, "(5.0, 15.0, 60.0, 300.0)", "(5.0, 15.0, 60.0, 600.0)"),
        (RETRY, "(5.0, 15.0, 60.0, 300.0)", "(5.0, 15.0, 300.0)"),
        (RETRY, "1800.0, 7200.0", "7200.0, 7200.0"),
        (RETRY, "86400.0)", ")"),
        (RETRY, "BLOCKING_ATTEMPTS = 6", "BLOCKING_ATTEMPTS = 5"),
        (RETRY, "BLOCKING_ATTEMPTS = 6", "BLOCKING_ATTEMPTS = 7"),
        (RETRY, '429: _Row(Later, "too many requests", waits=True)', '429: _Row(Later, "too many requests")'),
        (RETRY, "410: _Row(Gone", "410: _Row(Refused"),
        (RETRY, "408: _Row(Later", "408: _Row(Refused"),
        (RETRY, "    5: _Row(Later", "    5: _Row(Refused"),
    ],
    "test_diff_content.py": [
        (DIFF, "Decoder(dict[str, Any], float_hook=Decimal)", "Decoder(dict[str, Any])"),
        (DIFF, "Decoder(float_hook=Decimal)", "Decoder()"),
        (DIFF, 'order="deterministic", ', ""),
        (DIFF, 'decimal_format="number"', 'decimal_format="string"'),
        (DIFF, 'STAMP = "updatedAt"', 'STAMP = "createdAt"'),
    ],
    "test_diff_lives.py": [
        (DIFF, "(msgspec.MsgspecError, ", "("),
        (DIFF, "UnicodeError, ", ""),
        (DIFF, "RecursionError, ", ""),
        (DIFF, "ArithmeticError)", ")"),
    ],
    "test_envelope.py": [
        (ENVELOPE, "cloudevents-batch+json; charset", "cloudevents+json; charset"),
    ],
}
ROWS = [(test, *mutant) for test, mutants in MUTANTS.items() for mutant in mutants]


def name(row):
    return f"{row[1]}: {' '.join(row[2].split())} -> {' '.join(row[3].split())}" if isinstance(row, tuple) else None


@pytest.mark.parametrize("row", ROWS, ids=name)
def test_it_can_be_made(row):
    """The code is still such that the mutant is one; what was rewritten needs other mutants."""
    test, file, old, new = row
    ast.parse(mutate(file, old, new))
    path, _, function = test.partition("::")
    assert f"def {function}" in (ROOT / "tests" / path).read_text()


@pytest.mark.skipif("MUTANTS" not in os.environ, reason="make mutants makes them: each is a process of its own")
@pytest.mark.parametrize("row", ROWS, ids=name)
def test_it_is_noticed(row):
    """By the test that is there for it."""
    test, *mutant = row
    command = [sys.executable, ROOT / "tests/mutation/mutated.py", *mutant, ROOT / "tests" / test]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert ran.returncode == 1, ran.stdout + ran.stderr
