"""The list of actions."""

import json

import msgspec

from poller import catalogue
from poller.actions import Repeat, systems

ALL = [action for system in systems().values() for action in system.actions.values()]


def test_every_action_is_listed():
    """By name and title, with a word on repeats, and what cannot be undone."""
    text = catalogue.text(systems().values())
    for system in systems().values():
        assert f"{system.title}: [connections.{system.name}] holds " in text
        for action in system.actions.values():
            end = "   CANNOT BE UNDONE" if action.destructive else ""
            assert f'{system.name}.{action.name}   "{action.title}"{end}\n' in text
            assert action.about in text
    assert text.count("CANNOT BE UNDONE") == sum(action.destructive for action in ALL) > 0
    assert text.count("  repeat: ") == len(ALL)


def test_inputs_have_their_type_and_a_word():
    """A star for those that are required."""
    lines = catalogue.text([systems()["coupontools"]]).splitlines()
    assert "    campaign*      string   The id of the coupon or directory." in lines
    assert "    subject        string   The subject of the mail." in lines
    assert "    status        string   One of trial, customer." in lines
    assert "  makes happen: client.created" in catalogue.text([systems()["space-invoices"]]).splitlines()


def test_every_class_of_repeats_is_told():
    """In words."""
    assert set(catalogue.REPEATS) == set(Repeat)


def test_the_same_for_programs():
    """With what a configuration would be made of."""
    found = json.loads(msgspec.json.encode(catalogue.plain(systems().values())))
    assert len(found) == len(ALL)
    [send] = [row for row in found if row["do"] == "coupontools.create_subaccount"]
    assert (send["title"], send["repeat"], send["destructive"]) == ("Create Subaccount", "conflict", False)
    assert send["connection"] == {"client_id": "secret", "client_secret": "secret"}
    inputs = {row["name"]: row for row in send["inputs"]}
    assert inputs["email"] == {"name": "email", "type": "string", "required": True, "about": "", "choices": []}
    assert inputs["status"]["choices"] == ["trial", "customer"]
