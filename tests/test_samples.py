"""Example events: one of each trigger, as a receiver gets them."""

import json

import pytest
from click.testing import CliRunner

from poller.cli import catalogue
from poller.model import parse_time
from poller.notices import NOTICES
from poller.samples import sample

TRIGGERS = list(catalogue.TRIGGERS)


def printed(trigger):
    done = CliRunner().invoke(catalogue.sample, [trigger])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize("trigger", TRIGGERS)
def test_each_trigger_has_a_whole_event(trigger):
    """One line of JSON with every attribute that an event has."""
    text = printed(trigger)
    event = json.loads(text)
    assert text == text.strip() + "\n"
    assert event["type"] == f"com.spaceinvoices.{trigger}"
    assert event["specversion"] == "1.0"
    assert event["id"].startswith("evt_")
    assert event["source"] == f"/spaceinvoices/organizations/{event['data']['object']['organizationId']}"
    assert event["subject"] == f"{catalogue.TRIGGERS[trigger][0].name}/{event['data']['object']['id']}"
    assert event["partitionkey"] == f"{event['source'].rpartition('/')[2]}/{event['subject']}"
    assert parse_time(event["time"]) <= parse_time(event["recordedtime"])
    assert len(event["sequence"]) == 20


@pytest.mark.parametrize("trigger", [trigger for trigger in TRIGGERS if trigger.endswith(".updated")])
def test_an_update_says_what_changed(trigger):
    """The one changed path, its old value, and the record with the new one."""
    data = json.loads(printed(trigger))["data"]
    [path] = data["changed"]
    assert list(data["previous"]) == [path]
    assert data["previous"][path] != data["object"][path]


@pytest.mark.parametrize("trigger", [trigger for trigger in TRIGGERS if not trigger.endswith(".updated")])
def test_only_updates_say_what_changed(trigger):
    """A deletion carries the tombstone, a creation the record."""
    data = json.loads(printed(trigger))["data"]
    assert list(data) == ["object"]
    assert data["object"]["_isDeleted"] == trigger.endswith(".deleted")


def test_a_sample_is_always_the_same():
    """So that it can stand in a test."""
    assert sample("spaceinvoices", *catalogue.TRIGGERS["client.created"]) == sample(
        "spaceinvoices", *catalogue.TRIGGERS["client.created"]
    )


def test_an_unknown_trigger_is_refused():
    """With a list of those there are."""
    done = CliRunner().invoke(catalogue.sample, ["client.creatd"])
    assert done.exit_code == 2
    assert "client.created" in done.output


@pytest.mark.parametrize("trigger", NOTICES)
def test_each_operator_event_has_one_too(trigger):
    """Of a sink or of a stream."""
    event = json.loads(printed(trigger))
    about = NOTICES[trigger].about
    assert event["type"] == f"com.spaceinvoices.{trigger}"
    assert event["subject"] == f"{about}/{event['data']['object']['id']}"
    assert event["partitionkey"].endswith(event["subject"])
    assert (event["source"] == "/spaceinvoices") == (about == "sinks")
    assert event["time"] <= event["recordedtime"]
