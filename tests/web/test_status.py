"""What the endpoint shows: the state in numbers, bounded, and what needs a person."""

import json

import pytest

from poller.model import Stream
from poller.report import Running
from poller.stores import Progress, Step
from poller.stores.history import Counted, Group, Latency
from poller.stores.reading import Stored
from poller.stores.sqlite import SqliteStore
from poller.web import Asked, Status
from poller.web.attention import concerns
from poller.web.status import MOST_STREAMS, by_kind, by_sink, event, name, summary
from poller.web.summary import page

NOW_MS = 1_790_000_000_000
FOLLOWED = {"clients", "items"}
WELL = {
    "polls_paused": "",
    "missing": [],
    "held": [],
    "sinks": [],
    "counts": {"parked": 0, "quarantined": 0},
    "summary": {"states": {"following": 3}, "late": 0},
}


def test_a_summary_counts_states_and_resources():
    """A resource that is no longer followed is off, whatever its streams were."""
    found = summary(
        [
            Group("clients", "failing", 1, 10, 1, NOW_MS - 5000),
            Group("clients", "following", 3, 30, 0, NOW_MS - 1000),
            Group("taxes", "failing", 2, 4, 2, 5),
        ],
        FOLLOWED,
    )
    assert (found["streams"], found["records"], found["late"]) == (6, 44, 1)
    assert found["states"] == {"failing": 1, "following": 3, "off": 2}
    clients, taxes = found["resources"]
    assert (clients["polled"], clients["states"]) == ("2026-09-21T14:13:15.000Z", {"failing": 1, "following": 3})
    assert (taxes["polled"], taxes["late"], taxes["states"]) == (None, 0, {"off": 2})


def stored(body, trigger="client.updated"):
    return Stored(1, "evt_1", trigger, NOW_MS, body if isinstance(body, bytes) else json.dumps(body).encode())


def test_an_event_is_shown_by_its_record_and_what_changed():
    """By its name, whatever that holds."""
    data = {"object": {"name": "<script>alert(1)</script>"}, "changed": ["name", "email"]}
    assert event(stored({"subject": "clients/1", "data": data})) == {
        "id": "evt_1",
        "trigger": "client.updated",
        "recorded": "2026-09-21T14:13:20.000Z",
        "subject": "clients/1",
        "name": "<script>alert(1)</script>",
        "changed": ["name", "email"],
    }


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"data":5}', b'{"data":{"object":[]}}', {"data": {"changed": None}}]
)
def test_an_event_that_is_none_of_a_record_is_shown_too(body):
    """By its trigger."""
    found = event(stored(body, "poller.sink.failing"))
    assert (found["trigger"], found["name"], found["changed"]) == ("poller.sink.failing", "", [])


@pytest.mark.parametrize(
    ("record", "found"),
    [
        (b'{"name":" ","number":"2026-7"}', "2026-7"),
        (b'{"name":5,"title":"A"}', "A"),
        (b'{"name":"%b"}' % (b"x" * 500), "x" * 120),
        (b"[]", ""),
        (b"{}", ""),
        (b"[" * 100_000, ""),
    ],
)
def test_a_record_is_called_by_what_people_call_it(record, found):
    """Where it has such a thing."""
    assert name(record) == found


def test_events_are_put_into_their_buckets():
    """By kind; what is none of a record's is other, and what is outside is left out."""
    counted = [
        Counted(1000, "client.created", 2),
        Counted(1000, "order.created", 1),
        Counted(1010, "client.deleted", 4),
        Counted(1010, "poller.sink.failing", 5),
        Counted(990, "client.created", 7),
        Counted(1000 + 48 * 10, "client.created", 7),
    ]
    found = by_kind(counted, 1000, 10)
    assert {kind: series[:2] for kind, series in found.items()} == {
        "created": [3, 0],
        "updated": [0, 0],
        "deleted": [0, 4],
        "other": [0, 5],
    }
    assert sum(map(sum, found.values())) == 12


def test_latencies_are_put_into_their_buckets():
    """None where nothing ended."""
    found = by_sink([Latency("a", 1010, 20, 1500), Latency("b", 0, 1, 1)], 1000, 10)
    assert found["a"][:3] == [None, {"p50": 0.02, "p99": 1.5}, None]
    assert found.keys() == {"a"}


def test_all_is_well():
    """Where nothing is to be seen to."""
    assert concerns(WELL) == []


def sink(**more):
    return {"sink": "crm", "state": "ok", "pending": 5, "parked": 0, "error": "no answer"} | more


def stream(**more):
    return {"stream": "o/clients", "missing": 3, "records": 7, "held_since": None} | more


@pytest.mark.parametrize(
    ("found", "level", "what", "actions"),
    [
        ({"polls_paused": "the disk is full"}, "act", "Polls pause", ()),
        ({"reloaded": {"ok": False, "error": "line 3"}}, "act", "The new configuration was refused", ()),
        ({"organizations": {"error": "status 500"}}, "watch", "The organizations are unknown", ()),
        ({"missing": [stream(held_since="x")]}, "act", "Deletions held in o/clients", ("approve", "reject")),
        ({"missing": [stream()]}, "watch", "Records missing in o/clients", ("approve", "reject")),
        ({"held": [{"route": "r", "held": 5}]}, "act", "Deliveries held by route r", ("approve", "reject")),
        (
            {"sinks": [sink(parked=2)], "counts": {"parked": 2, "quarantined": 0}},
            "act",
            "Dead letters of crm",
            ("retry",),
        ),
        ({"counts": {"parked": 1, "quarantined": 0}}, "act", "Dead letters of no sink", ("retry",)),
        ({"sinks": [sink(state="paused")]}, "act", "Sink crm is paused", ("resume",)),
        ({"sinks": [sink(state="open")]}, "watch", "Sink crm is away", ()),
        ({"summary": {"states": {"suspended": 1}, "late": 0}}, "act", "1 stream suspended", ()),
        ({"summary": {"states": {"failing": 2000}, "late": 0}}, "watch", "2,000 streams failing", ()),
        ({"summary": {"states": {"following": 9}, "late": 4}}, "act", "4 streams late", ()),
        ({"summary": {"states": {}, "late": 0}}, "act", "No stream is followed yet", ()),
        (
            {"counts": {"parked": 0, "quarantined": 0, "silent": 9}, "silent": [{"stream": "o/a"}]},
            "watch",
            "9 streams are silent",
            (),
        ),
        ({"counts": {"parked": 0, "quarantined": 1}}, "watch", "1 record in quarantine", ()),
    ],
)
def test_what_needs_a_person_is_told_apart(found, level, what, actions):
    """From what will be well by itself; with what may be done."""
    (concern,) = concerns(WELL | found)
    assert (concern.level, concern.what, concern.actions) == (level, what, actions)
    assert concern.text


def test_streams_in_trouble_are_told_by_their_resources():
    """So that one knows where to look among many."""
    rows = [{"resource": name, "states": {"failing": 1}, "late": name == "c"} for name in "abcd"]
    found = WELL | {"summary": {"states": {"failing": 4}, "late": 1, "resources": rows}}
    late, failing = concerns(found)
    assert failing.text.startswith("Of a, b, c and others. ")
    assert late.text.startswith("Of c. ")


def test_what_needs_a_person_comes_first():
    """Whatever it is."""
    found = WELL | {"sinks": [sink(state="open"), sink(state="paused")], "polls_paused": "full"}
    assert [concern.level for concern in concerns(found)] == ["act", "act", "watch"]


def test_the_page_without_a_script_escapes_everything():
    """What records, receivers and people named."""
    evil = "<script>alert(1)</script>"
    found = {
        "now": evil,
        "attention": [{"what": evil, "text": evil}],
        "sinks": [sink(sink=evil)],
        "summary": {"states": {evil: 1}},
        "events": [{"recorded": evil, "trigger": evil, "subject": evil, "name": evil}],
    }
    shown = page("<body><!-- summary --></body>", found)
    assert "<script" not in shown
    assert shown.count("&lt;script&gt;") == 9


@pytest.fixture
def many(tmp_path):
    """A state of more streams than are shown at once, one of which is in trouble."""
    path = tmp_path / "poller.db"
    store = SqliteStore(path, "it")
    for number in range(MOST_STREAMS + 50):
        store.commit(Stream(f"o{number:03}", "clients"), Step(Progress(baselined_ms=1)), NOW_MS)
    store.pause_stream("o249/clients", paused=True)
    store.close()
    return Status(path, lambda: (), lambda: Running(7, ""), lambda: NOW_MS)


def test_of_many_streams_only_those_in_trouble_are_shown(many):
    """And those that are searched for; all are counted."""
    found = many(Asked())
    assert [row["stream"] for row in found["streams"]] == ["o249/clients"]
    assert found["summary"]["streams"] == MOST_STREAMS + 50
    assert [row["stream"] for row in many(Asked("O01"))["streams"]] == [f"o01{digit}/clients" for digit in range(10)]
    assert len(many(Asked("clients"))["streams"]) == MOST_STREAMS
    assert found["running"] == 7


def test_the_state_is_asked_once_for_all_who_look(many, monkeypatch):
    """Within a second."""
    first = many(Asked())
    assert many(Asked())["now"] is first["now"]
    many.forget()
    assert many(Asked())["now"] is not first["now"]


def test_a_database_that_is_gone_is_not_ready(many, tmp_path):
    """While it is there, it is."""
    assert many.ready() == ""
    (tmp_path / "poller.db").unlink()
    assert "there is no state" in many.ready()
