"""A stream that was polled: its baseline, what was told of it, and what is kept of it."""

from mirror import MINUTE_MS

from poller.model import Stream
from poller.simulator import faults

CLIENTS = "clients"


def baselined(rig, org, resource=CLIENTS):
    """Take the baseline of what was there long before, and let so much time pass that all is idle."""
    rig.now_ms.advance(10 * MINUTE_MS)
    rig.poll(org, resource)
    rig.now_ms.advance(10 * MINUTE_MS)
    rig.asked()
    return rig


def kinds(events):
    return [(event.kind, event.record_id) for event in events]


def states(rig, org, resource=CLIENTS):
    marks = rig.store.marks_between(Stream(org, resource), "", None)
    return {one: mark.state for one, mark in marks.items()}


def hidden(*ids):
    """A fault: these records are left out of every page."""
    return faults._on_rows(lambda rows: [row for row in rows if row["id"] not in ids])
