"""docs/actions.md says what the tables of actions say."""

import re
import tomllib
from pathlib import Path

import pytest

from poller.actions import Repeat, systems
from poller.actions.connections import ConnectionTable
from poller.actions.reading import system
from poller.actions.tables import ActionTable, InputTable, LookTable, SystemTable

TEXT = (Path(__file__).parent.parent / "docs" / "actions.md").read_text()
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))
ROW = re.compile(r"^\| (.+?)<br>`([\w-]+)\.(\w+)` \| (.*?) \| (.*?) \| (.*?) \|$", re.MULTILINE)
BEGINS = {
    Repeat.SAFE: "done again",
    Repeat.FLAG: "done again, which the system sees",
    Repeat.CONFLICT: "done again, which counts as done",
    Repeat.LOOK: "looked for first",
    Repeat.NEVER: "parked",
}


@pytest.mark.parametrize("name", sorted(systems()))
def test_each_system_has_its_table(name):
    """Every action in the order of the file: title, inputs, repeat class, what destroys, and what a crash leads to."""
    here = systems()[name]
    rows = ROW.findall(SECTIONS[here.title])
    assert [(title, owner, key) for title, owner, key, *_ in rows] == [
        (action.title, name, action.name) for action in here.actions.values()
    ]
    for (_, _, _, inputs, repeat, crash), action in zip(rows, here.actions.values(), strict=True):
        written = [f"**{row.name}**" if row.required else row.name for row in action.inputs.values()]
        assert inputs == ", ".join(written)
        assert repeat == action.repeat + (", **destructive**" if action.destructive else "")
        assert crash.startswith(BEGINS[action.repeat])


@pytest.mark.parametrize("name", sorted(systems()))
def test_each_system_says_its_connection_and_what_is_not_verified(name):
    """For those who set it up."""
    here = systems()[name]
    text = SECTIONS[here.title]
    assert all(f"`{key}`" in text.partition(".")[0] for key in here.connection)
    assert "Not verified: " in text


def test_the_repeat_classes_are_told():
    """All five."""
    assert set(re.findall(r"^\| `(\w+)` \|", SECTIONS["Repeats"], re.MULTILINE)) == set(Repeat)


def test_the_example_is_a_system():
    """As it stands there."""
    [example] = re.findall(r"```toml\n(.*?)```", SECTIONS["Your own"], re.DOTALL)
    made = system("crm", tomllib.loads(example)["systems"]["crm"])
    assert made.actions["add_note"].look is not None


def test_every_key_of_a_system_is_told():
    """In the example, or in the table below it; and of an input and a connection."""
    keys = {*ActionTable.model_fields, *SystemTable.model_fields, *InputTable.model_fields, *LookTable.model_fields}
    assert [key for key in keys if not re.search(rf"\b{key}\b", SECTIONS["Your own"])] == []
    assert [key for key in ConnectionTable.model_fields if f"`{key}`" not in SECTIONS["Connections"]] == []
