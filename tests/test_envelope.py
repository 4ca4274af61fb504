"""Event to bytes: the envelope, its id, its signature."""

import base64
import json
import re
from datetime import UTC, datetime
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from poller.envelope import array, event_id, origin, partition_key, seal, sign, signing_key, single, trigger
from poller.model import Change, Delivery, Kind, Stream
from poller.sources.spaceinvoices import RESOURCES

STREAM = Stream("66f1a2c4d3b7e80012a4c901", "clients")
RECORD = "67a0b1c2e4f5a60013b7d001"
UPDATED_MS = 1770818527093
NOW_MS = 1770818551412
CHANGE = Change(
    Kind.UPDATED,
    RECORD,
    UPDATED_MS,
    UPDATED_MS,
    b"0123456789abcdef",
    '{"id":"67a0b1c2e4f5a60013b7d001","name":"Žiga","total":10.10}'.encode(),
    ("name", "total"),
    b'{"name":null,"total":10.1}',
)

changes = st.builds(
    Change,
    st.sampled_from(Kind),
    st.text("0123456789abcdef", min_size=1),
    st.none() | st.integers(0, 10**14),
    st.none() | st.integers(0, 10**14),
    st.binary(min_size=16, max_size=16),
    st.just(b'{"id":"a"}'),
    st.just(("a",)),
    st.just(b"{}"),
)


def sealed(change=CHANGE, *, ordinal=1, sequence=NOW_MS * 1000, now_ms=NOW_MS):
    name = f"client.{change.kind}"
    return seal("spaceinvoices", STREAM, name, change, ordinal=ordinal, sequence=sequence, now_ms=now_ms)


def test_the_bytes_of_an_updated_event():
    """All of it, to the byte: receivers depend on it."""
    assert sealed().body.decode() == (
        '{"specversion":"1.0","id":"evt_019c4d025f754b28f4529d06ac7e9316",'
        '"source":"/spaceinvoices/organizations/66f1a2c4d3b7e80012a4c901",'
        '"type":"com.spaceinvoices.client.updated","subject":"clients/67a0b1c2e4f5a60013b7d001",'
        '"time":"2026-02-11T14:02:07.093Z","recordedtime":"2026-02-11T14:02:31.412Z",'
        '"sequence":"00001770818551412000",'
        '"partitionkey":"66f1a2c4d3b7e80012a4c901/clients/67a0b1c2e4f5a60013b7d001",'
        '"datacontenttype":"application/json",'
        '"data":{"object":{"id":"67a0b1c2e4f5a60013b7d001","name":"Žiga","total":10.10},'
        '"changed":["name","total"],"previous":{"name":null,"total":10.1}}}'
    )


def test_the_event_carries_what_its_bytes_say():
    """The store's columns and the wire agree."""
    event = sealed()
    wire = json.loads(event.body)
    assert (wire["id"], wire["sequence"]) == (event.id, f"{event.sequence:020d}")
    assert (event.trigger, event.stream, event.record_id) == ("client.updated", STREAM, RECORD)
    assert event.recorded_ms == NOW_MS


@pytest.mark.parametrize("kind", [Kind.CREATED, Kind.DELETED])
def test_created_and_deleted_say_nothing_of_changes(kind):
    """Their data is the record alone."""
    wire = json.loads(sealed(CHANGE._replace(kind=kind, changed=(), previous=b"")).body)
    assert list(wire["data"]) == ["object"]


def test_without_an_upstream_time_the_event_happened_when_it_was_seen():
    """``time`` is never missing."""
    wire = json.loads(sealed(CHANGE._replace(time_ms=None)).body)
    assert wire["time"] == wire["recordedtime"] == "2026-02-11T14:02:31.412Z"


def test_the_year_1970_is_a_time():
    """Zero is not nothing."""
    assert json.loads(sealed(CHANGE._replace(time_ms=0)).body)["time"] == "1970-01-01T00:00:00.000Z"


@given(changes, st.integers(1, 10**17), st.integers(0, 10**14))
def test_the_envelope_is_a_cloudevent(change, sequence, now_ms):
    """Names of lower-case letters and digits, strings that are not empty, times of RFC 3339."""
    wire = json.loads(sealed(change, sequence=sequence, now_ms=now_ms).body)
    attributes = {name: value for name, value in wire.items() if name != "data"}
    assert attributes.keys() >= {"specversion", "id", "source", "type"}
    assert wire["specversion"] == "1.0"
    for name, value in attributes.items():
        assert re.fullmatch("[a-z0-9]{1,20}", name)
        assert isinstance(value, str)
        assert value
    for name in ("time", "recordedtime"):
        assert datetime.fromisoformat(wire[name]).tzinfo == UTC


@given(changes, changes)
def test_an_id_tells_changes_apart(one, other):
    """By kind, record, version and content, and by nothing else."""
    identity = [(change.kind, change.record_id, change.version_ms, change.digest) for change in (one, other)]
    ids = [event_id("spaceinvoices", STREAM, change) for change in (one, other)]
    assert (identity[0] == identity[1]) == (ids[0] == ids[1])


@given(changes, st.integers(1, 10**17), st.integers(0, 10**14))
def test_the_clock_is_not_in_the_id(change, sequence, now_ms):
    """The same change seen again at another time has the same id."""
    assert sealed(change, sequence=sequence, now_ms=now_ms).id == sealed(change).id


def test_organization_resource_and_source_are_in_the_id():
    """Two accounts never share one."""
    other = [Stream("another", "clients"), Stream(STREAM.org, "items"), STREAM]
    ids = {event_id("spaceinvoices", stream, CHANGE) for stream in other} | {event_id("other", STREAM, CHANGE)}
    assert len(ids) == 4


@given(changes, st.integers(1, 10**6))
def test_an_id_suits_standard_webhooks(change, ordinal):
    """It has no dot, which separates the parts of what is signed."""
    assert re.fullmatch("evt_[0-9a-f]{32}(_[0-9]+)?", event_id("spaceinvoices", STREAM, change, ordinal))


def test_an_ordinal_tells_equal_changes_apart():
    """The first has none."""
    first, second = (event_id("spaceinvoices", STREAM, CHANGE, ordinal) for ordinal in (1, 2))
    assert second == f"{first}_2"


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("resource", RESOURCES.values(), ids=lambda resource: resource.name)
def test_a_trigger_is_the_singular_and_the_kind(resource, kind):
    """``category.deleted``, ``tax.updated``: one word, a dot, one word."""
    assert trigger(resource, kind) == f"{resource.singular}.{kind}"
    assert re.fullmatch(r"[a-z_]+\.[a-z]+", trigger(resource, kind))


def test_source_and_partition_key_name_the_organization():
    """As the receiver finds them on the wire."""
    assert origin("spaceinvoices", STREAM) == "/spaceinvoices/organizations/66f1a2c4d3b7e80012a4c901"
    assert partition_key(STREAM, "a") == "66f1a2c4d3b7e80012a4c901/clients/a"


@given(st.binary(min_size=1, max_size=64), st.text(max_size=200).map(str.encode))
def test_signatures_are_those_of_standard_webhooks(key, body):
    """The reference implementation verifies them, with the secret as its users write it."""
    secret, now_s = f"whsec_{base64.b64encode(key).decode()}", int(datetime.now(UTC).timestamp())
    signature = sign(signing_key(secret), "evt_a", now_s, body)
    headers = {"webhook-id": "evt_a", "webhook-timestamp": str(now_s), "webhook-signature": signature}
    Webhook(secret).verify(body, headers, json_parse=False)


def test_the_key_of_a_plain_secret_is_its_text():
    """Without the prefix nothing is decoded."""
    assert signing_key("šifra") == "šifra".encode()


@pytest.mark.parametrize("secret", ["whsec_!", "whsec_abc", "whsec_ab c="])
def test_a_prefixed_secret_has_to_be_base64(secret):
    """Else it was mistyped, and no receiver would agree."""
    with pytest.raises(ValueError, match=r"."):
        signing_key(secret)


def _delivery(name):
    return Delivery("hook", 1, 1, name, "client.created", 0, 0, b'{"id":"%b","data":{"total":10.10}}' % name.encode())


def test_an_event_by_itself_is_what_was_stored():
    """Under its own id, in its own words, and said to be what they are."""
    delivery = _delivery("evt_a")._replace(content_type="application/json")
    assert single(delivery) == ("evt_a", "application/json", delivery.body)


def test_a_batch_is_an_array_of_the_same_bytes():
    """Of one event too."""
    one, other = _delivery("evt_a"), _delivery("evt_b")
    message = array([one, other])
    assert message.body == b"[" + one.body + b"," + other.body + b"]"
    assert message.content_type == "application/cloudevents-batch+json; charset=utf-8"
    assert array([one]).body == b"[" + one.body + b"]"


def test_a_batch_s_id_is_that_of_its_events_in_their_order():
    """Equal at each attempt, another for any other batch, never that of an event; it suits Standard Webhooks."""
    names = ["evt_a", "evt_ab", "b", "evt"]
    lists = [list(chosen) for size in (1, 2, 3) for chosen in permutations(names, size)]
    ids = [array([_delivery(name) for name in chosen]).id for chosen in lists]
    assert ids == [array([_delivery(name) for name in chosen]).id for chosen in lists]
    assert len(set(ids)) == len(lists)
    assert [identity for identity in ids if not re.fullmatch("batch_[0-9a-f]{32}", identity)] == []
