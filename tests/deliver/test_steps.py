"""Loop two with chains of actions: a step a send, and what is known of a send that nobody saw the end of."""

import pytest
from drains import rig

from poller.model import Advanced, Delivered, Gone, Later, Refused


@pytest.fixture
def made(tmp_path):
    with rig(tmp_path) as made:
        made.route = "chain"
        yield made


def test_each_step_is_kept_before_the_next_is_made(made):
    """The results come along with the next send, and a chain that is done is delivered."""
    made.sink.script["a"] = [Advanced(b'{"pdf":1}'), Advanced(b'{"pdf":1,"id":2}'), Delivered()]
    made.tell("a1")
    made.run()
    assert made.sink.steps == [b"", b'{"pdf":1}', b'{"pdf":1,"id":2}']
    assert made.states() == ["delivered 1"]


def test_a_chain_goes_on_where_it_failed(made):
    """The steps that are done are not made again, after a restart neither."""
    made.sink.script["a"] = [Advanced(b"{}"), Refused("422"), Refused("422"), Delivered()]
    made.tell("a1")
    made.run()
    made.restart()
    made.live(3600)
    assert made.sink.steps == [b"", b"{}", b"{}", b"{}"]
    assert made.states() == ["delivered 3"]


def test_the_attempts_are_those_of_a_step(made):
    """What one step spent is not missing to the next."""
    made.sink.script["a"] = [*[Refused("422")] * 9, Advanced(b"{}"), *[Refused("422")] * 9, Delivered()]
    made.tell("a1")
    made.live(10 * 86_400)
    assert made.count("delivered") == 1


def test_a_chain_keeps_its_order(made):
    """The next event of the record waits for all the steps of the one before it."""
    made.sink.script["a"] = [Advanced(b"{}"), Delivered(), Delivered()]
    made.tell("a1", "a2")
    made.run()
    assert made.sink.sent == ["a1", "a1", "a2"]


def test_steps_close_a_breaker_as_deliveries_do(made):
    """They are good answers."""
    made.sink.always = Later("503")
    made.tell(*(f"r{number}/1" for number in range(8)))
    made.live(30)
    assert made.breaker.is_open
    made.sink.always = Advanced(b"{}")
    made.sink.script = {f"r{number}": [Advanced(b"{}"), Delivered()] for number in range(8)}
    made.live(600)
    assert not made.breaker.is_open
    assert made.count("delivered") == 8


@pytest.mark.parametrize(
    ("outcome", "begun"),
    [
        (Later("no answer", unknown=True), True),
        (Later("503"), False),
        (Refused("422"), False),
        (Gone("401"), False),
        (Gone("401 to a look", unknown=True), True),
        (Refused("404 to a look", unknown=True), True),
        (RuntimeError("a defect"), True),
        (Advanced(b"{}"), False),
    ],
)
def test_what_a_careful_sink_knows_of_the_send_before(made, outcome, begun):
    """Whether it began and nobody knows how it ended; any answer ends that."""
    made.sink.careful = True
    made.sink.script["a"] = [outcome, Delivered()]
    made.tell("a1")
    made.run()
    made.store.pause("it", "", made.clock.now_ms)
    made.pass_s(10)
    made.run()
    assert made.sink.begun == [False, begun]


def test_a_send_that_the_process_did_not_survive_is_known_of(made):
    """To a careful sink: it was begun, and not settled."""
    made.sink.careful = True
    made.tell("a1")
    made.store.begin(made.store.due("it", made.clock.now_ms, 1))
    made.restart()
    made.run()
    assert made.sink.begun == [True]


def test_a_careless_sink_costs_no_commit_more(made):
    """Doing it twice is the same to it."""
    made.tell("a1")
    changes = made.store._connection.total_changes
    made.run()
    careless = made.store._connection.total_changes - changes
    made.sink.careful = True
    made.tell("b1")
    changes = made.store._connection.total_changes
    made.run()
    assert made.store._connection.total_changes - changes == careless + 1
