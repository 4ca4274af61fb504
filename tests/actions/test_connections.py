"""``[connections.NAME]``: what a system asks for, and what every connection takes."""

from threading import Event

import pytest
from pydantic import ValidationError
from systems.acting import VALUES
from systems.coupontools import Coupontools

from poller.actions import systems
from poller.actions.answer import Done
from poller.actions.connections import connect, table, tried
from poller.model import Gone
from poller.problems import problems
from poller.settings import SettingError

COUPONTOOLS = systems()["coupontools"]
HELD = {"client_id": {"env": "CT_ID"}, "client_secret": {"env": "CT_SECRET"}}


@pytest.fixture
def made(monkeypatch):
    """Make a connection as a configuration does."""

    def make(**settings):
        monkeypatch.setenv("CT_ID", VALUES["coupontools"]["client_id"])
        monkeypatch.setenv("CT_SECRET", settings.pop("secret", VALUES["coupontools"]["client_secret"]))
        return connect("mine", COUPONTOOLS, table(COUPONTOOLS).model_validate({**HELD, **settings}), Event())

    return make


def test_a_connection_holds_what_its_system_asks_for(made):
    """And is otherwise as the system says."""
    found = made()
    assert found.values == VALUES["coupontools"]
    assert (found.name, found.base_url, found.timeout_s) == ("mine", "https://api.coupontools.com", 30.0)
    assert not found.link.allow_private


def test_a_connection_says_more_than_its_system(made):
    """Address, rate, deadline."""
    found = made(base_url="https://api4coupons.com/", timeout="5s", rate=0.5, allow_private=True)
    assert (found.base_url, found.timeout_s) == ("https://api4coupons.com", 5.0)
    assert found.link.allow_private


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"client_secret": {"env": "X"}}, "connections.mine.client_id: is missing"),
        ({**HELD, "client_secret": "abc"}, "connections.mine.client_secret: should not be written here"),
        ({**HELD, "client_key": "abc"}, 'connections.mine.client_key: unknown key; did you mean "client_id"?'),
        ({**HELD, "base_url": "http://x.example"}, 'connections.mine.base_url: should begin with "https://"'),
        ({**HELD, "rate": 0}, "connections.mine.rate: should be more than 0"),
    ],
)
def test_a_wrong_connection_is_told_by_its_key(settings, told):
    """As everything of a configuration is."""
    kind = table(COUPONTOOLS)
    with pytest.raises(ValidationError) as caught:
        kind.model_validate(settings)
    assert any(line.startswith(told) for line in problems(caught.value, kind, settings, "connections.mine"))


def test_a_secret_that_is_not_there_is_told(made, monkeypatch):
    """When the connection is made."""
    with pytest.raises(SettingError, match="CT_SECRET is not set"):
        made(secret="")


def test_a_connection_can_be_tried(made):
    """By its system's cheapest request: good, or why not."""
    with Coupontools() as server:
        assert isinstance(tried(made(base_url=server.url), Event()), Done)
        assert isinstance(tried(made(base_url=server.url, secret="wrong"), Event()), Gone)
        assert [call.path for call in server.requests] == ["/v4/directory"] * 2
