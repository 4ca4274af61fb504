"""Systems and connections in the configuration: whose actions a route does, and what is wrong with their tables."""

import pytest
from texts import COUPONTOOLS, ON

from poller.actions import Repeat
from poller.config import ConfigError, load

OWN_SYSTEM = """
[systems.ours]
title = "Ours"
base_url = "https://ours.example.com"
[systems.ours.action.note]
title = "Take a Note"
method = "POST"
path = "/notes"
repeat = "never"
body = { text = "${with.text}" }
[systems.ours.action.note.inputs]
text = { type = "string", required = true }
"""


def test_the_source_s_own_system_needs_no_connection(read):
    """It has its token, its address and its rate; a table of its own stands above."""
    config = read('[source]\nrate = 7\n[[route]]\non = ["item.*"]\ndo = "Create Client"\nwith = { name = "x" }')
    own = config.own_connection()
    assert (own.token, own.base_url, own.rate) == (config.source.token, config.source.base_url, 7)


def test_a_system_of_one_s_own(shape):
    """One that asks for nothing needs no connection."""
    made = shape('do = "Take a Note"\nwith = { text = "x" }', OWN_SYSTEM)
    assert [(step.connection, step.action) for step in made.steps] == [("ours", "note")]


def test_a_shipped_system_may_be_replaced(read):
    """Where its table is wrong, say: nothing of it was tried against the live service."""
    tables = OWN_SYSTEM.replace("systems.ours", "systems.coupontools")
    config = read(f'{tables}[[route]]\n{ON}do = "coupontools.note"\nwith = {{ text = "x" }}')
    assert config.known_systems()["coupontools"].actions["note"].repeat == Repeat.NEVER


BAD_TABLES = {
    "a name": (
        OWN_SYSTEM.replace("systems.ours", 'systems."o.u"'),
        ["systems.o.u: a system's name has letters, digits, - and"],
    ),
    "a key": (
        OWN_SYSTEM.replace("repeat", "repeats"),
        ["systems.ours.action.note.repeat: is missing", "systems.ours.action.note.repeats: unknown key"],
    ),
    "an expression": (
        OWN_SYSTEM.replace("${with.text}", "${wth.text}"),
        [
            'systems.ours.action.note.body.text: column 3: unknown variable "wth"',
            "systems.ours.action.note.inputs.text: is used",
        ],
    ),
    "no table": ("[systems]\nours = 5", ["systems.ours: should be a table"]),
    "the source's own system without its token": (
        OWN_SYSTEM.replace("systems.ours", "systems.space-invoices"),
        ['systems.space-invoices.connection: should be { token = "secret" }, which is what [source] has'],
    ),
    "a connection to nothing": (
        '[connections.coupontool]\nclient_id = { env = "A" }',
        ['connections.coupontool: there is no system "coupontool"; did you mean "coupontools"?'],
    ),
    "a system that is named": (
        '[connections.two]\nsystem = "coupontool"',
        ['connections.two.system: there is no system "coupontool"; did you mean "coupontools"?'],
    ),
    "half a connection": (
        '[connections.coupontools]\nclient_id = { env = "A" }',
        ["connections.coupontools.client_secret: is missing"],
    ),
    "a secret in the open": (
        '[connections.contextual-ai]\napi_key = "hunter2"',
        ["connections.contextual-ai.api_key: should not be written here"],
    ),
    "an unknown key of a connection": (
        COUPONTOOLS + 'base_uri = "https://x.example"',
        ['connections.coupontools.base_uri: unknown key; did you mean "base_url"?'],
    ),
    "connections that are no tables": ("connections = 5", ["connections: should be a table"]),
}


@pytest.mark.parametrize(("text", "words"), BAD_TABLES.values(), ids=BAD_TABLES)
def test_what_is_wrong_with_systems_and_connections(tmp_path, text, words):
    """Nothing more is said than what is wrong, and no secret with it."""
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert len(caught.value.problems) == len(words)
    assert [
        found for found, wanted in zip(caught.value.problems, words, strict=True) if not found.startswith(wanted)
    ] == []
    assert "hunter2" not in str(caught.value)
