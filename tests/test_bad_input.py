"""What the API must not be believed: each bad answer ends in a clear message, and changes nothing."""

from dataclasses import replace

import pytest
from mirror import HOUR_MS, MINUTE_MS, Clock, Rig, plan
from structlog.testing import capture_logs

from poller.model import Stream
from poller.simulator import Account, Simulator, faults
from poller.sources import Denied, Incomplete, SourceError

CLIENTS = "clients"
RECORDS = 5000


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """A poller that follows 5,000 clients, and its simulator."""
    clock = Clock()
    account = Account(clock)
    (org,) = account.organizations
    with Simulator(account) as simulator:
        path = tmp_path_factory.mktemp("state") / "poller.db"
        rig = Rig(path, plan(CLIENTS), url=simulator.url, token=account.token, clock=clock)
        account.bulk_create(org, CLIENTS, RECORDS)
        clock.advance(HOUR_MS)
        rig.poll(org, CLIENTS)
        clock.advance(HOUR_MS)
        rig.poll(org, CLIENTS)
        yield rig, simulator, org
        rig.close()


@pytest.fixture
def poller(followed):
    """The same, with nothing spoiled before or after."""
    rig, simulator, _ = followed
    rig.now_ms.advance(MINUTE_MS)
    yield followed
    simulator.faults.clear()
    rig.source._headers["Authorization"] = simulator.account.token


def refused(rig, org, *, full):
    """What the poll says; all of the state has to be as it was."""
    before = rig.dump()
    with pytest.raises(SourceError) as caught:
        rig.poll(org, CLIENTS, full=full)
    assert rig.dump() == before
    return caught.value


def proper(request, answer):
    """No fault."""
    return answer(request)


def followed_on(rig, simulator, org):
    """Without the fault all is well: one change is one event."""
    simulator.faults.clear()
    one = simulator.account.create(org, CLIENTS)
    rig.now_ms.advance(MINUTE_MS)
    assert [(event.kind, event.record_id) for event in rig.poll(org, CLIENTS)] == [("created", one)]
    rig.now_ms.advance(HOUR_MS)
    assert rig.poll(org, CLIENTS) == []


@pytest.mark.parametrize("full", [False, True])
def test_a_wrong_token(poller, full):
    """It says that the token is wrong, and does not say the token."""
    rig, simulator, org = poller
    rig.source._headers["Authorization"] = "not-the-token"
    error = refused(rig, org, full=full)
    assert isinstance(error, Denied)
    assert "401" in str(error)
    assert "the token is wrong, expired, or may not see this organization" in str(error)
    assert "not-the-token" not in str(error)
    rig.source._headers["Authorization"] = simulator.account.token
    followed_on(rig, simulator, org)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (faults.html, "web page, not JSON"),
        (faults.truncated, "cut short"),
        (faults.instead(b""), "not JSON"),
        (faults.instead(b'[{"id":"'), "cut short"),
        (faults.instead(b"null"), "not JSON"),
        (faults.an_object, "a JSON object, not a list"),
        (faults.maintenance, "503"),
        (faults.cut, "in the middle of the answer"),
    ],
)
def test_fault_25_26_29_30_what_is_no_list(poller, fault, message, full):
    """HTML, half a JSON, an object, nothing: the message says which, in an increment as in a sweep."""
    rig, simulator, org = poller
    rig.poll(org, CLIENTS)
    if full:
        simulator.faults.at(1, proper)  # the increment
    simulator.faults.always(fault)
    before = rig.dump()
    with pytest.raises(SourceError, match=message):
        rig.poll(org, CLIENTS, full=full)
    after = rig.dump()
    assert unmoved(after) == unmoved(before)
    assert full or after == before


def test_all_is_well_after_all_of_that(poller):
    """The polls before left nothing behind."""
    rig, simulator, org = poller
    followed_on(rig, simulator, org)


def test_fault_28_an_empty_list_of_5000_records(poller):
    """A sweep shows none of them: that is not believed, whatever the count says, and they stay as they were."""
    rig, simulator, org = poller
    rig.poll(org, CLIENTS)
    before = rig.dump()
    simulator.faults.always(faults.empty_list)
    with pytest.raises(Incomplete, match="not a JSON object"):
        rig.poll(org, CLIENTS, full=True)
    simulator.faults.clear()
    simulator.faults.always(faults.empty_list, path="clients$")
    with pytest.raises(Incomplete, match=r"the listing is empty, but the API counts 50\d\d records"):
        rig.poll(org, CLIENTS, full=True)
    assert unmoved(rig.dump()) == unmoved(before)
    followed_on(rig, simulator, org)


def test_fault_28_an_empty_list_and_a_count_of_none(poller):
    """Now the API says twice that all are gone: that is held, said, and let go when they are back."""
    rig, simulator, org = poller
    rig.poll(org, CLIENTS)
    before = rig.dump()
    simulator.faults.always(faults.empty_list, path="clients$")
    simulator.faults.always(faults.instead(b'{"count":0}'), path="count$")
    with capture_logs() as logs:
        for _ in range(3):
            rig.now_ms.advance(MINUTE_MS)
            assert rig.poll(org, CLIENTS, full=True) == []
    told = [line for line in logs if line["event"] == "deletions.held"]
    assert len(told) == 1
    assert told[0]["missing"] >= RECORDS
    assert f"poller approve {Stream(org, CLIENTS).name}" in told[0]["hint"]
    simulator.faults.clear()
    assert rig.poll(org, CLIENTS, full=True) == []
    assert unmoved(rig.dump()) == unmoved(before)
    followed_on(rig, simulator, org)


def unmoved(dump):
    """The state without how often it was polled and swept, and when."""
    live = [(row[0], row[1], row[6], row[7], row[8], row[9]) for row in dump["stream"]]
    return dump | {"stream": live}


@pytest.mark.parametrize("fault", [faults.same_page, faults.overlapping], ids=["endless", "duplicates"])
def test_fault_34_pages_that_repeat(poller, fault):
    """Endless paging, or an id on two pages: the second page is not used, nor anything concluded from the first."""
    rig, simulator, org = poller
    rig.poll(org, CLIENTS)
    before = rig.dump()
    simulator.account.hard_delete(org, CLIENTS, min(simulator.account.live(org, CLIENTS)))
    rig.asked()
    simulator.faults.at(1, proper)  # the increment is idle
    simulator.faults.always(fault())
    with pytest.raises(Incomplete, match="the page repeats or is out of order at record"):
        rig.poll(org, CLIENTS, full=True)
    assert len(rig.asked()) == 3
    after = rig.dump()
    assert after["event"] == before["event"]
    assert after["stream"][0][5] == before["stream"][0][5], "a sweep was concluded"
    simulator.faults.clear()
    assert [event.kind for event in rig.poll(org, CLIENTS)] == ["deleted"]
    followed_on(rig, simulator, org)


def test_fault_34_endless_news(poller, monkeypatch):
    """Also where each page is a new one: a listing has so many pages at most."""
    rig, simulator, org = poller
    monkeypatch.setattr("poller.sources.spaceinvoices.MAX_PAGES", 20)
    watermarks = rig.progress(org, CLIENTS).watermarks
    numbers = iter(range(1000))

    def endless(request, proper):
        number = next(numbers)
        page = f'[{{"id":"{number:024x}","updatedAt":"2999-01-01T00:00:00.{number:03d}Z","_isDeleted":true}}]'
        return replace(proper(request), body=page.encode())

    simulator.faults.always(endless)
    before = rig.dump()
    with pytest.raises(Incomplete, match="did not end within 20 pages"):
        rig.poll(org, CLIENTS)
    assert rig.dump() == before
    assert rig.progress(org, CLIENTS).watermarks == watermarks
    followed_on(rig, simulator, org)


@pytest.mark.parametrize("fault", [faults.repeated, faults.shuffled()], ids=["repeated", "shuffled"])
def test_a_page_with_an_id_twice(poller, fault):
    """One page is enough: it is not used."""
    rig, simulator, org = poller
    rig.now_ms.advance(HOUR_MS)
    simulator.account.bulk_create(org, CLIENTS, 5)
    simulator.faults.always(fault)
    assert "repeats or is out of order" in str(refused(rig, org, full=False))
    simulator.faults.clear()
    assert len(rig.poll(org, CLIENTS)) == 5
