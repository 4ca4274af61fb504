"""Loop two, turn by turn: a real store, a scripted sink, a clock that stands until it is moved."""

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller import diff, retry
from poller.deliver import IDLE_S, STEP_BACK_MS, Drain, drain, settle
from poller.model import Change, Delivered, Delivery, Kind, Later, Record, Refused, Stream
from poller.stores import Outgoing, Progress, SinkStanding, Step, StoreError
from poller.stores.sqlite import SqliteStore

MEMORY = "/dev/shm"
NOW_MS = 1_790_000_000_000
CALM = SinkStanding()


class Clock:
    def __init__(self):
        self.now_ms = NOW_MS

    def __call__(self):
        return self.now_ms


class Sink:
    """Answers each delivery as ``script`` says, by the record's id; records what it was sent and when."""

    def __init__(self, clock, concurrency=4, batch_size=1):
        self.concurrency, self.batch_size = concurrency, batch_size
        self.script = {}
        self.sent, self.batches = [], []
        self.open = threading.Event()
        self.open.set()
        self.busy, self.most_busy = 0, 0
        self._clock = clock
        self._lock = threading.Lock()

    def send(self, batch):
        with self._lock:
            names = [json.loads(delivery.body)["data"]["object"]["id"] for delivery in batch]
            texts = [json.loads(delivery.body)["data"]["object"]["text"] for delivery in batch]
            self.sent += [f"{name}{text}" for name, text in zip(names, texts, strict=True)]
            self.batches.append(len(batch))
            self.busy += 1
            self.most_busy = max(self.most_busy, self.busy)
        self.open.wait(10)
        with self._lock:
            self.busy -= 1
            return [self._answer(name) for name in names]

    def _answer(self, name):
        planned = self.script.get(name, [])
        planned = planned.pop(0) if isinstance(planned, list) and planned else planned or Delivered()
        if isinstance(planned, Exception):
            raise planned
        return planned

    def close(self):
        pass


class Rig:
    """A drain, with its store, sink and clock."""

    def __init__(self, path, executor):
        self.clock = Clock()
        self.store = SqliteStore(path, "spaceinvoices")
        self.sink = Sink(self.clock)
        self.executor = executor
        self.restart()

    def restart(self):
        self.queue = Drain("it", self.sink, self.store, self.executor, self.clock, lambda: 0.5)

    def tell(self, *names):
        """Commit an event for each: ``a1`` is the first of record a."""
        changes = [
            Change(
                Kind.CREATED,
                name[0],
                0,
                0,
                name.encode(),
                b'{"id":"%c","text":"%b"}' % (ord(name[0]), name[1:].encode()),
            )
            for name in names
        ]
        outgoing = [Outgoing(change, "client.created", ("it",)) for change in changes]
        self.store.commit(Stream("o", "clients"), Step(Progress(), outgoing=outgoing), self.clock.now_ms)

    def run(self):
        """Turns until there is nothing to do now; the pause that it then asks for."""
        for _ in range(1000):
            pause_s = self.queue.turn()
            if pause_s > 0 and not self.queue.flying:
                return pause_s
            wait(list(self.queue._flying), 5)
        raise AssertionError("the drain does not rest")

    def pass_s(self, seconds):
        self.clock.now_ms += int(seconds * 1000)

    def states(self):
        rows = self.store._all("SELECT state, attempts, error FROM delivery ORDER BY sequence")
        return [f"{state} {attempts} {error}".strip() for state, attempts, error in rows]


@pytest.fixture
def rig(tmp_path):
    folder = MEMORY if os.access(MEMORY, os.W_OK) else tmp_path  # not to wait for a disk's syncs
    with TemporaryDirectory(dir=folder) as state, ThreadPoolExecutor(4) as executor:
        rig = Rig(Path(state) / "poller.db", executor)
        yield rig
        rig.sink.open.set()
        rig.queue.finish(5)
        rig.store.close()


# Sending


def test_everything_due_is_sent_once(rig):
    """And is delivered, for good."""
    rig.tell("a1", "b1", "c1")
    assert rig.run() == IDLE_S
    assert sorted(rig.sink.sent) == ["a1", "b1", "c1"]
    assert rig.states() == ["delivered 1"] * 3
    rig.restart()
    rig.run()
    assert len(rig.sink.sent) == 3


def test_a_record_s_events_arrive_in_order(rig):
    """One after the other, while others go at the same time."""
    rig.tell("a1", "a2", "b1", "a3", "b2", "c1")
    rig.run()
    for name in "abc":
        of_name = [sent for sent in rig.sink.sent if sent[0] == name]
        assert of_name == sorted(of_name)
    assert len(rig.sink.sent) == 6


def test_sends_go_at_once_up_to_the_sink_s_concurrency(rig):
    """Never more, and a lane never with itself."""
    rig.tell(*(f"{name}{n}" for n in range(5) for name in "abcdef"))
    rig.sink.open.clear()
    rig.queue.turn()
    rig.queue.turn()
    assert len(rig.queue._flying) == 4
    rig.sink.open.set()
    rig.run()
    assert rig.sink.most_busy <= 4
    assert len(rig.sink.sent) == 30


def test_a_sink_of_batches_gets_batches(rig):
    """As many as it takes, each the first of its lane."""
    rig.sink.concurrency, rig.sink.batch_size = 1, 3
    rig.tell("a1", "b1", "c1", "d1", "a2")
    rig.run()
    assert rig.sink.batches == [3, 1, 1]
    assert rig.sink.sent == ["a1", "b1", "c1", "d1", "a2"]


def test_nothing_is_sent_twice_while_it_is_under_way(rig):
    """However often the queue is looked at."""
    rig.tell("a1", "b1")
    rig.sink.open.clear()
    for _ in range(5):
        rig.queue.turn()
    rig.sink.open.set()
    rig.run()
    assert sorted(rig.sink.sent) == ["a1", "b1"]


def test_a_hanging_send_holds_only_its_own_lane(rig):
    """The others go round it."""
    rig.tell("a1", "a2", *(f"{name}1" for name in "bcdefghij"))
    hanging, let_go = threading.Event(), threading.Event()
    send = rig.sink.send

    def hang_on_a(batch):
        if json.loads(batch[0].body)["subject"] == "clients/a":
            hanging.set()
            let_go.wait(10)
        return send(batch)

    rig.sink.send = hang_on_a
    for _ in range(100):
        rig.queue.turn()
        if len(rig.sink.sent) == 9:
            break
        threading.Event().wait(0.01)
    assert hanging.is_set()
    assert sorted(rig.sink.sent) == [f"{name}1" for name in "bcdefghij"]
    let_go.set()
    rig.run()
    assert rig.sink.sent[9:] == ["a1", "a2"]


def test_a_send_that_ends_wakes_the_drain(rig):
    """So that it is settled at once."""
    rig.tell("a1")
    rig.queue.wake.clear()
    rig.queue.turn()
    assert rig.queue.wake.wait(5)


# The receiver's trouble


def test_trouble_of_the_receiver_makes_the_whole_sink_wait(rig):
    """Nothing is sent meanwhile, no event is to blame, and the wait survives a restart."""
    rig.sink.script["a"] = [Later("no answer")]
    rig.sink.concurrency = 1
    rig.tell("a1", "b1", "c1")
    assert rig.run() == pytest.approx(retry.SINK_WAITS_S[0])
    assert rig.sink.sent == ["a1"]
    assert rig.states() == ["pending 0"] * 3
    rig.tell("d1")
    rig.restart()
    rig.pass_s(retry.SINK_WAITS_S[0] - 0.001)
    rig.run()
    assert rig.sink.sent == ["a1"]
    assert rig.queue.standing() == SinkStanding(1, NOW_MS + 5000, "no answer")


def test_after_the_wait_one_delivery_probes(rig):
    """Another than that which met the trouble; a yes opens the sink again."""
    rig.sink.script["a"] = [Later("no answer")] * 2
    rig.tell("a1")
    rig.run()
    rig.tell("b1", "c1", "d1")
    rig.pass_s(5)
    rig.sink.open.clear()
    rig.queue.turn()
    rig.queue.turn()
    assert sum(map(len, rig.queue._flying.values())) == 1
    rig.sink.open.set()
    rig.run()
    assert rig.sink.sent[:2] == ["a1", "b1"]
    assert sorted(rig.sink.sent) == ["a1", "b1", "c1", "d1"]
    assert rig.queue.standing() == CALM
    rig.pass_s(STEP_BACK_MS / 1000)
    rig.run()
    assert rig.sink.sent.count("a1") == 2


def test_trouble_in_a_row_is_waited_out_longer_and_longer(rig):
    """To the longest wait, for ever; no delivery is given up for it."""
    rig.sink.script["a"] = Later("no answer")
    rig.tell("a1")
    waits = []
    for _ in range(8):
        waits.append(rig.run())
        rig.pass_s((rig.queue.standing().wait_until_ms - rig.clock.now_ms) / 1000 + 1)
    assert waits == [5, 15, *[IDLE_S] * 6]
    assert rig.queue.standing().failures == 8
    assert rig.states() == ["pending 0"]
    del rig.sink.script["a"]
    rig.run()
    assert rig.states() == ["delivered 1"]
    assert rig.queue.standing() == CALM


def test_several_failures_at_once_are_one(rig):
    """They were sent before the first came back."""
    rig.sink.script = dict.fromkeys("abcd", Later("no answer"))
    rig.tell("a1", "b1", "c1", "d1")
    rig.sink.open.clear()
    rig.queue.turn()
    rig.sink.open.set()
    rig.run()
    assert rig.queue.standing() == SinkStanding(1, NOW_MS + 5000, "no answer")


def test_a_yes_to_an_earlier_send_does_not_end_the_wait(rig):
    """The receiver asked for a pause after it had taken that: it gets the pause."""
    started, let_go = threading.Event(), threading.Event()
    send = rig.sink.send

    def slow_b(batch):
        if json.loads(batch[0].body)["subject"] == "clients/b":
            started.set()
            let_go.wait(10)
        return send(batch)

    rig.sink.send = slow_b
    rig.sink.script["a"] = [Later("too many requests", 60)]
    rig.tell("a1", "b1")
    rig.queue.turn()
    assert started.wait(5)
    while rig.queue.standing() == CALM:
        rig.queue.turn()
    let_go.set()
    rig.tell("c1")
    assert rig.run() == IDLE_S
    assert rig.queue.standing() == SinkStanding(1, NOW_MS + 60_000, "too many requests")
    assert sorted(rig.sink.sent) == ["a1", "b1"]
    assert rig.states() == ["pending 0", "delivered 1", "pending 0"]
    rig.pass_s(60)
    rig.run()
    assert rig.queue.standing() == CALM


def test_a_wait_ends_with_a_clock_that_is_set_back(rig):
    """One that is further off than any can be was kept by another clock."""
    rig.sink.script["a"] = [Later("no answer")]
    rig.tell("a1")
    rig.run()
    rig.tell("b1")
    rig.pass_s(-30 * 86_400)
    rig.run()
    assert rig.sink.sent.count("b1") == 1
    assert rig.states() == ["delivered 1"] * 2
    rig.sink.script["c"] = [Later("no answer")]
    rig.tell("c1")
    assert rig.run() == pytest.approx(5)


def test_a_receiver_may_say_how_long_to_wait(rig):
    """The longest of several answers counts, and a later shorter one does not shorten it."""
    answered = [(_delivery(1), Later("a")), (_delivery(2), Later("b", 20)), (_delivery(3), Later("c", 90))]
    _, standing = settle(answered, CALM, NOW_MS, 0.5)
    assert standing == SinkStanding(1, NOW_MS + 90_000, "a")
    _, standing = settle([(_delivery(4), Later("d", 1))], standing, NOW_MS, 0.5)
    assert standing.wait_until_ms == NOW_MS + 90_000


def test_a_receiver_that_asks_for_no_wait_is_not_hammered(rig):
    """``Retry-After: 0`` for ever is one request a second."""
    _, standing = settle([(_delivery(1), Later("busy", 0))], CALM, NOW_MS, 0.5)
    assert standing.wait_until_ms >= NOW_MS + 1000


def test_what_met_the_trouble_steps_back(rig):
    """It is due a little after the sink's wait, with its attempts as they were."""
    [settlement], standing = settle([(_delivery(1, attempts=3), Later("no"))], CALM, NOW_MS, 0.5)
    assert (settlement.state, settlement.attempts) == ("pending", 3)
    assert settlement.due_ms == standing.wait_until_ms + STEP_BACK_MS


# One event's trouble


def test_a_refused_event_waits_alone(rig):
    """Its record's next ones behind it, all others proceed; then it is tried again, and they follow."""
    rig.sink.script["a"] = [Refused("400")]
    rig.tell("a1", "a2", "b1", "c1", "b2")
    pause_s = rig.run()
    assert pause_s == pytest.approx(retry.EVENT_WAITS_S[1])
    assert sorted(rig.sink.sent) == ["a1", "b1", "b2", "c1"]
    assert rig.queue.standing() == CALM
    rig.pass_s(pause_s)
    rig.run()
    assert rig.sink.sent[4:] == ["a1", "a2"]
    assert rig.states()[:2] == ["delivered 2", "delivered 1"]


def test_a_drain_rests_while_only_waiting_lanes_are_left(rig):
    """What lies behind a waiting event does not keep it busy."""
    rig.sink.script["a"] = [Refused("400")]
    rig.tell("a1", "a2")
    assert rig.run() == pytest.approx(5)
    assert rig.queue.turn() == pytest.approx(5)


def test_a_poison_event_is_parked_in_the_end(rig):
    """After its schedule of attempts; its reason is kept, and it lets the next of its record go."""
    rig.sink.script["a"] = [Refused("status 400")] * 10
    rig.tell("a1", "a2", "b1")
    waits = []
    while rig.states()[0].startswith("pending"):
        rig.run()
        waits.append(rig.store.next_due_ms("it"))
        rig.clock.now_ms = max(waits[-1] or 0, rig.clock.now_ms)
    spans = [later - earlier for earlier, later in zip([NOW_MS, *waits], waits[:-1], strict=False)]
    assert spans == [wait_s * 1000 for wait_s in retry.EVENT_WAITS_S[1:]]
    assert rig.states() == ["parked 10 status 400", "delivered 1", "delivered 1"]
    assert rig.sink.sent.count("a1") == 10


def test_a_final_refusal_is_parked_at_once(rig):
    """Asking again is pointless."""
    rig.sink.script["a"] = [Refused("too large", final=True)]
    rig.tell("a1", "a2")
    rig.run()
    assert rig.states() == ["parked 1 too large", "delivered 1"]


def test_a_parked_event_that_is_sent_again_starts_anew(rig):
    """With its schedule."""
    rig.sink.script["a"] = [Refused("too large", final=True), Refused("400")]
    rig.tell("a1")
    rig.run()
    rig.store.retry(None, None, rig.clock.now_ms)
    assert rig.run() == pytest.approx(5)
    assert rig.states() == ["pending 1 400"]


def test_a_no_shows_that_the_receiver_is_there(rig):
    """So that the sink's wait is over."""
    _, standing = settle([(_delivery(1), Refused("400"))], SinkStanding(3, NOW_MS, "no answer"), NOW_MS, 0.5)
    assert standing == CALM


# Trouble of our own


def test_a_sink_that_raises_refuses_its_batch(rig):
    """A defect is named, and is no trouble of the receiver: the others proceed."""
    rig.sink.script["a"] = [KeyError("defect")]
    rig.tell("a1", "b1")
    rig.run()
    assert rig.states() == ["pending 1 the sink failed: KeyError", "delivered 1"]


@pytest.mark.parametrize("answer", [[], [Delivered(), Delivered()], None])
def test_a_sink_that_answers_for_others_refuses_its_batch(rig, answer):
    """A defect too: what cannot be told apart is sent again, and the drain lives on."""
    send = rig.sink.send
    rig.sink.send = lambda batch: send(batch) and answer
    rig.tell("a1")
    rig.run()
    [state] = rig.states()
    assert state.startswith("pending 1 the sink failed: ")
    rig.sink.send = send
    rig.pass_s(5)
    rig.run()
    assert rig.states() == ["delivered 2"]


class Stubborn:
    """A store that cannot settle while ``broken``."""

    def __init__(self, store):
        self._store = store
        self.broken = False

    def __getattr__(self, name):
        if name == "settle" and self.broken:
            return self._fail
        return getattr(self._store, name)

    def _fail(self, *_):
        raise StoreError("disk full")


def test_answers_that_cannot_be_kept_are_kept_in_mind(rig):
    """Nothing is sent meanwhile, else the receiver would get it all again and again."""
    rig.queue.store = stubborn = Stubborn(rig.store)
    rig.tell(*(f"{name}1" for name in "abcdefgh"))
    stubborn.broken = True
    rig.queue.turn()
    wait(list(rig.queue._flying), 5)
    for _ in range(5):
        with pytest.raises(StoreError):
            rig.queue.turn()
    assert len(rig.sink.sent) == 4
    assert rig.states() == ["pending 0"] * 8
    stubborn.broken = False
    rig.run()
    assert sorted(rig.sink.sent) == [f"{name}1" for name in "abcdefgh"]
    assert rig.states() == ["delivered 1"] * 8


def test_an_answer_that_was_not_kept_is_given_again_after_a_restart(rig):
    """The receiver sees the same event twice: that is the promise."""
    rig.tell("a1")
    rig.queue.turn()
    wait(list(rig.queue._flying), 5)
    rig.restart()
    rig.run()
    assert rig.sink.sent == ["a1", "a1"]


# The loop


def test_finishing_waits_for_sends_under_way(rig):
    """And settles those that were answered in time."""
    rig.tell("a1", "b1")
    rig.sink.open.clear()
    rig.queue.turn()
    threading.Timer(0.1, rig.sink.open.set).start()
    rig.queue.finish(5)
    assert rig.states() == ["delivered 1"] * 2


def test_finishing_does_not_wait_for_ever(rig):
    """What was not answered is due at the next start."""
    rig.tell("a1")
    rig.sink.open.clear()
    rig.queue.turn()
    rig.queue.finish(0.05)
    assert rig.states() == ["pending 0"]


def test_a_drain_goes_on_when_woken_and_ends_when_stopped(rig):
    """A commit wakes it; a stop, with a wake, ends it."""
    stop = threading.Event()
    thread = threading.Thread(target=drain, args=(rig.queue, stop))
    thread.start()
    for name in ("a1", "b1", "a2"):
        rig.tell(name)
        rig.queue.wake.set()
        _until(lambda: rig.states()[-1] == "delivered 1")
    stop.set()
    rig.queue.wake.set()
    thread.join(5)
    assert not thread.is_alive()
    assert rig.sink.sent == ["a1", "b1", "a2"]


def test_a_drain_outlives_trouble_of_the_store(rig, monkeypatch):
    """It tries again, and then goes on."""
    monkeypatch.setattr("poller.deliver.STORE_RETRY_S", 0.01)
    rig.queue.store = stubborn = Stubborn(rig.store)
    stubborn.broken = True
    stop = threading.Event()
    rig.tell("a1", "b1")
    thread = threading.Thread(target=drain, args=(rig.queue, stop))
    thread.start()
    _until(lambda: len(rig.sink.sent) == 2)
    stubborn.broken = False
    _until(lambda: rig.states() == ["delivered 1"] * 2)
    stop.set()
    rig.queue.wake.set()
    thread.join(5)


def test_until_empty_ends_with_the_last_due(rig):
    """All lanes to their ends."""
    rig.tell(*(f"{name}{n}" for n in range(3) for name in "abcdefgh"))
    drain(rig.queue, threading.Event(), until_empty=True)
    assert rig.states() == ["delivered 1"] * 24


@pytest.mark.parametrize("answer", [Later("no answer"), Refused("400")])
def test_until_empty_does_not_wait_for_what_waits(rig, answer):
    """A sink that rests, an event that is refused with another behind it."""
    rig.sink.script["a"] = answer
    rig.tell("a1", "a2", "b1")
    drain(rig.queue, threading.Event(), until_empty=True)
    assert rig.states()[0].startswith("pending")
    assert not rig.queue.flying


def _until(true):
    for _ in range(500):
        if true():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it did not come to that")


# What holds for all answers


def _delivery(sequence, attempts=0):
    return Delivery("it", sequence, sequence, f"evt_{sequence}", "client.created", attempts, b"{}")


outcomes = st.one_of(
    st.just(Delivered()),
    st.builds(Later, st.just("no"), st.none() | st.floats(0, 3600)),
    st.builds(Refused, st.just("400"), st.booleans()),
)
standings = st.builds(SinkStanding, st.integers(1, 20), st.integers(NOW_MS - 10**7, NOW_MS + 10**6), st.just("x"))


@given(st.lists(st.tuples(outcomes, st.integers(0, 9)), min_size=1, max_size=8), standings, st.floats(0, 1))
def test_every_answer_settles_its_own_delivery(answers, before, chance):
    """Delivered only by a yes, parked only by a no, and otherwise due again within a day or so."""
    answered = [(_delivery(n, attempts), outcome) for n, (outcome, attempts) in enumerate(answers)]
    settlements, after = settle(answered, before, NOW_MS, chance)
    assert [settlement.sequence for settlement in settlements] == [delivery.sequence for delivery, _ in answered]
    for settlement, (delivery, outcome) in zip(settlements, answered, strict=True):
        assert (settlement.state == "delivered") == isinstance(outcome, Delivered)
        assert settlement.state != "parked" or isinstance(outcome, Refused)
        assert settlement.attempts == delivery.attempts + (not isinstance(outcome, Later))
        if settlement.state == "pending":
            assert NOW_MS < settlement.due_ms <= NOW_MS + 1.2 * 86_400_000 + 10**7
    assert after.wait_until_ms >= NOW_MS or after.failures == 0
    assert (after.failures > 0) >= any(isinstance(outcome, Later) for outcome, _ in answers)


@given(st.lists(outcomes, min_size=1, max_size=8), standings, st.floats(0, 1))
def test_a_wait_is_never_shortened(answers, before, chance):
    """While it lasts; and what failed in it does not count anew."""
    answered = [(_delivery(n), outcome) for n, outcome in enumerate(answers)]
    _, after = settle(answered, before, NOW_MS, chance)
    if before.wait_until_ms > NOW_MS and before.failures:
        assert after.wait_until_ms >= before.wait_until_ms
        assert after.failures == before.failures


def test_a_scripted_change_is_a_change():
    """The helper of these tests makes what the poll makes."""
    record = Record("a", 0, deleted=False, body=b'{"id":"a","text":"1"}')
    [finding], _ = diff.compare([record], {}, {}, diff.Rules())
    assert finding.change.body == record.body
