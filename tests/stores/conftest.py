"""Stores in files, and steps to commit to them."""

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from poller import diff
from poller.model import Record, State, Stream
from poller.plan import Order, Target
from poller.stores import Outgoing, Progress, Step, StoreError, Verdict
from poller.stores.sqlite import SqliteStore

MEMORY = "/dev/shm"
NOW_MS = 1_790_000_000_000


class Feed:
    """A stream of a store: what it shows is compared and committed, as a poll does it."""

    def __init__(self, store, stream=Stream("o", "clients"), sinks=("a", "b"), order=Order.RECORD):  # noqa: B008 - it is frozen
        self.store, self.stream, self.sinks, self.order = store, stream, sinks, order
        self.progress = Progress()

    def step(self, *records, sinks=None, quarantined=()):
        """The step that these records lead to."""
        marks = self.store.marks(self.stream, {record.id for record in records})
        fresh = diff.differing(records, marks)
        findings, _ = diff.compare(fresh, marks, self.store.bodies(marks.values()), diff.Rules())
        changes = [finding.change for finding in findings if finding.change]
        targets = tuple(Target(sink, self.order) for sink in (self.sinks if sinks is None else sinks))
        outgoing = [Outgoing(one, f"client.{one.kind}", targets) for one in changes]
        progress = replace(self.progress, polls=self.progress.polls + 1)
        return Step(progress, findings, outgoing, quarantined)

    def show(self, *records, now_ms=NOW_MS, **more):
        """Commit them; the step."""
        step = self.step(*records, **more)
        self.store.commit(self.stream, step, now_ms)
        self.progress = step.progress
        return step

    def set_states(self, state, *ids):
        """Make these marks missing, say."""
        marks = self.store.marks(self.stream, ids)
        findings = [diff.Finding(State.LIVE, mark._replace(state=state)) for mark in marks.values()]
        self.store.commit(self.stream, Step(self.progress, findings), NOW_MS)


def settle(store, sink, *settlements, breaker=None, now_ms=5):
    """Keep how sends ended, with the breaker as it was or as this one."""
    store.settle(sink, lambda before: Verdict(settlements, before, breaker or before), now_ms)


def record(record_id, text="", *, updated_ms=1000, deleted=False):
    body = f'{{"id":"{record_id}","name":"{text}","note":"of some length, as bodies are"}}'
    return Record(record_id, updated_ms, deleted, body.encode(), diff.digest(body.encode()))


@pytest.fixture
def path(tmp_path):
    """In memory where the system has a folder there: most of the time of these tests is a disk's syncs."""
    with TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else tmp_path) as folder:
        yield Path(folder) / "state" / "poller.db"


@pytest.fixture
def opened(path):
    """Open the state; what is open at the end is closed."""
    stores = []

    def opened(where=path, **options):
        stores.append(SqliteStore(where, "spaceinvoices", **options))
        return stores[-1]

    yield opened
    for store in stores:
        with suppress(StoreError):  # closed already
            store.close()


@pytest.fixture
def store(opened):
    return opened()


@pytest.fixture
def feed(store):
    return Feed(store)


@pytest.fixture
def make_feed():
    return Feed


@pytest.fixture
def make_record():
    return record


@pytest.fixture
def keep():
    return settle


@pytest.fixture
def now_ms():
    return NOW_MS


@pytest.fixture
def show(store, feed, make_record, now_ms):
    """Commit the creation of these records, each with these targets; their sequences."""

    def show(*names, targets, at_ms=now_ms):
        step = feed.step(*(make_record(name) for name in names))
        outgoing = [Outgoing(change, trigger, targets) for change, trigger, _ in step.outgoing]
        store.commit(feed.stream, Step(Progress(), step.findings, outgoing), at_ms)
        rows = store._all("SELECT sequence FROM event ORDER BY sequence DESC LIMIT ?", len(names))
        return [sequence for (sequence,) in rows][::-1]

    return show
