"""docs/routes.md: its configurations are good, its tests hold, and every key is told."""

import re
from pathlib import Path

import pytest

from poller import cli
from poller.actions import systems
from poller.comparison import differences, event_of
from poller.config import load
from poller.connections import veiled_connections
from poller.expected import ExpectedTable
from poller.explain import Making, explain
from poller.model import Kind
from poller.routing import CaseTable, FloodTable, RouteTable, StepTable
from poller.samples import sample
from poller.sources.spaceinvoices import RESOURCES

TEXT = (Path(__file__).parent.parent / "docs" / "routes.md").read_text()
SINKS = '[sinks.crm]\nkind = "stdout"\n[sinks.audit]\nkind = "stdout"\n'
BLOCKS = [
    re.sub("^  ", "", block, flags=re.MULTILINE) if block.startswith("  ") else block
    for block in re.findall(r"^ *```toml\n(.*?)^ *```$", TEXT, re.MULTILINE | re.DOTALL)
]


@pytest.fixture
def read(tmp_path):
    def read(*blocks):
        (tmp_path / "config.toml").write_text("\n".join([SINKS, *blocks]))
        return load(tmp_path / "config.toml")

    return read


@pytest.mark.parametrize("block", [block for block in BLOCKS if "[[test]]" not in block])
def test_a_configuration_is_good(read, block):
    """As it stands there, beside two sinks."""
    assert read(block).plan().routes


def test_all_routes_are_good_together(read):
    """But for connections that are named more than once."""
    routes = [block.partition("[connections")[0] for block in BLOCKS]
    connections = {table for block in BLOCKS for table in re.findall(r"\[connections.*?(?=\n\n|\Z)", block, re.DOTALL)}
    assert len(read(*routes, *connections).plan().routes) == sum(block.count("[[route]]") for block in BLOCKS)


def test_the_routes_of_the_readme_are_good(read):
    """With its five lines, and as many actions as it says."""
    text = (Path(__file__).parent.parent / "README.md").read_text()
    blocks = re.findall(r"^```toml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    config = read(*(block.replace("[sinks.crm]", "[sinks.readme]") for block in blocks))
    assert [route.name for route in config.plan().routes] == ["big-invoices", "welcome"]
    assert f"{sum(len(system.actions) for system in systems().values())} [actions]" in text


def test_the_tests_hold(read):
    """Of the first route."""
    [tests] = [block for block in BLOCKS if "[[test]]" in block]
    config = read(BLOCKS[0], tests)
    ways = veiled_connections(config.connections, config.known_systems(), config.own_connection())
    making = Making(config.ways().shapes, ways, config.source.origin)
    body = sample("spaceinvoices", RESOURCES["documents"], Kind.CREATED).body
    assert len(config.test) == 2
    for table in config.test:
        assert differences(table, explain(config.plan(), making, event_of(table, body))) == []


def test_every_key_is_told():
    """Of routes, cases, steps and tests."""
    fields = [
        field for table in (RouteTable, CaseTable, StepTable, FloodTable, ExpectedTable) for field in table.model_fields
    ]
    keys = {field.rstrip("_") for field in fields}
    assert [key for key in keys if not re.search(rf"`{key}`|\b{key} = |\.{key}\]\]", TEXT)] == []


def test_the_commands_are_there():
    """By their names and options."""
    for line in re.findall(r"^poller .*$", TEXT, re.MULTILINE):
        name, *words = line.partition("#")[0].split()[1:]
        command = cli.main.commands[name].whole()
        command = command.commands[words[0]] if hasattr(command, "commands") else command
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known
    named = set(re.findall(r"`poller (\w+)", TEXT))
    assert named <= set(cli.main.commands)
    assert {"explain", "try", "test", "actions", "approve", "reject", "replay"} <= named


def test_links_lead_somewhere():
    """To files, and to headings of this page."""
    links = re.findall(r"\]\(([^)]*)\)", TEXT)
    headings = {
        re.sub(r"[^\w -]", "", line).strip().lower().replace(" ", "-")
        for line in re.findall(r"^#+ (.*)$", TEXT, re.MULTILINE)
    }
    files = {link.partition("#")[0] for link in links if not link.startswith("#")}
    assert [name for name in files if not (Path(__file__).parent.parent / "docs" / name).exists()] == []
    assert {link[1:] for link in links if link.startswith("#")} <= headings
