"""A configuration of routes is read: the whole, its one route, what that sends, or what is wrong."""

from pathlib import Path

import pytest
from texts import ON

from poller.config import ConfigError, load
from poller.shape import define_text

SINKS = """
[sinks.crm]
kind = "stdout"
[sinks.audit]
kind = "file"
path = "events.jsonl"
[sinks.many]
kind = "webhook"
url = "https://crm.example.com"
batch = {}
"""


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Load a text, with sinks, as ``config.toml``."""
    monkeypatch.chdir(tmp_path)

    def read(text):
        Path("config.toml").write_text(SINKS + text)
        return load(Path("config.toml"))

    return read


@pytest.fixture
def route(read):
    """The one route of a text, as the plan has it."""

    def route(text, tables=""):
        (found,) = read(f"{tables}[[route]]\n{text}").plan().routes
        return found

    return route


@pytest.fixture
def shape(read):
    """What the one case of a text sends."""

    def shape(text, tables=""):
        [(_, definition, _)] = read(f"{tables}[[route]]\n{ON}{text}").shapes()
        return define_text(definition)

    return shape


@pytest.fixture
def complaint(read):
    """The problems of a text."""

    def complaint(text):
        with pytest.raises(ConfigError) as caught:
            read(text)
        return caught.value.problems

    return complaint
