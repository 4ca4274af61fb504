"""Imports go downwards only, and each package that is not ours stays in the layer that owns it."""

import ast
import re
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "poller"

LAYERS = {  # from the bottom; what is not named is shell, at the top
    "model": 0,
    **dict.fromkeys(("allotment", "batch", "breaker", "budget", "diff", "due", "envelope", "expression", "gate"), 1),
    **dict.fromkeys(("guard", "hidden", "locate", "meter", "mounts", "nearest", "notices", "overlap", "pace"), 1),
    **dict.fromkeys(("pressure", "problems", "pulse", "retry", "route", "secret", "settings", "shape"), 1),
    **dict.fromkeys(("signing", "silence"), 1),
    "http": 2,
    **dict.fromkeys(("actions", "sinks", "sources", "stores"), 3),
    **dict.fromkeys(("deliver", "poll"), 4),
    **dict.fromkeys(("config", "log"), 5),
}
SHELL = 6
PARTS = {
    **dict.fromkeys(("connection", "exchange", "link", "rate", "session", "tls", "transport"), "http"),
    "endpoint": "sinks",
    "plan": "model",
    "connections": "config",
    "expected": "config",
    "listening": "config",
    "objections": "config",
    "places": "config",
    "routing": "config",
    "schema": "config",
    "tables": "config",
    "triggers": "config",
    "ways": "config",
    **dict.fromkeys(("absence", "running", "search", "sweep"), "poll"),
}  # of one idea in more than one file
APART = {"simulator": {"model", "examples"}}  # what it may import of ours; only the shell imports it

PURE = {"alarms", "allotment", "batch", "breaker", "budget", "catalogue", "changes", "comparison", "diff", "due"}
PURE |= {"envelope", "explain", "explanation", "expression", "gate", "guard", "hidden", "locate", "model", "mounts"}
PURE |= {"nearest", "notices", "outline", "overlap", "pace", "plan", "pressure", "problems", "prospect", "retry"}
PURE |= {"route", "shape", "silence"}
PURE |= {f"actions.{part}" for part in ("answer", "call", "inputs", "look", "request", "steps")}
PURE |= {f"doctor.{part}" for part in ("answers", "machine")}
IMPURE = {"asyncio", "logging", "os", "pathlib", "random", "secrets", "socket", "subprocess", "threading", "time"}
CLOCKS = {"now", "today", "utcnow", "uuid1", "uuid4"}

OWNERS = {  # the modules that may import a package; a name without a dot stands for its submodules too
    "apscheduler": {"agenda"},
    "click": {"shell"},
    "cryptography": {"signing"},
    "httpcore": {"http", "sources", "sinks"},
    "httpx": {"http", "sources", "sinks"},
    "jmespath": {"expression"},
    "msgspec": {"diff", "envelope", "expression", "shell", "sources", "stores"},
    "prometheus_client": {"exposition"},
    "pydantic": {"actions", "config", "problems", "secret", "settings", "sinks", "sketch"},
    "pydantic_core": {"config", "problems", "settings", "sinks"},
    "sqlite3": {"stores"},
    "sqlite_utils": {"stores"},
    "structlog": {"log", "deliver", "poll", "shell"},
    "tabulate": {"shell"},
    "waitress": {"web"},
    "zstandard": {"stores"},
}

SQL = re.compile(
    r"\bSELECT\b.+\bFROM\b|\bINSERT (OR \w+ )?INTO\b|\bUPDATE \w+ SET\b|\bDELETE FROM\b"
    r"|\b(CREATE|ALTER|DROP) (TABLE|INDEX|TRIGGER|VIEW)\b|\bPRAGMA \w|\bBEGIN IMMEDIATE\b",
    re.DOTALL,
)


def modules():
    """Every module's name below the package (``sources.spaceinvoices``) and its file."""
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name:
            yield name, path


MODULES = dict(modules())


def imports(name, tree):
    """The modules that a module imports, wherever in it: ours as ``poller.<name>``."""
    package = ["poller", *name.split(".")]
    if MODULES.get(name, Path()).name != "__init__.py":
        package.pop()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = f"{source}.{alias.name}".removeprefix("poller.")
                yield f"poller.{inner}" if source.startswith("poller") and inner in MODULES else source


def idea(name):
    """The top-level module whose rules hold."""
    top = name.split(".")[0]
    return PARTS.get(top, top)


def layer(name):
    return LAYERS.get(idea(name), SHELL)


def objection(name, imported):
    """Why a module may not import another, or None."""
    if imported == "poller":
        return None  # the version
    if not imported.startswith("poller."):
        return _foreign(name, imported.split(".")[0])
    other = imported.removeprefix("poller.")
    top, other_top = idea(name), idea(other)
    if top == other_top:
        siblings = top == "sinks" and "." in name and "." in other and name != other
        return "one kind of sink knows no other" if siblings else None
    if top in APART:
        return None if other_top in APART[top] else f"{top} stands apart"
    if layer(name) == layer(other) != SHELL and layer(name) not in (LAYERS["diff"], LAYERS["config"]):
        return "neighbours do not know each other"
    return "imports go downwards only" if layer(other) > layer(name) else None


def _foreign(name, package):
    top = idea(name)
    if {top, name} & PURE and package in IMPURE:
        return "pure files read no clock, roll no dice and do no I/O"
    if package in OWNERS:
        owners = OWNERS[package]
        owned = top in owners or ("shell" in owners and layer(name) == SHELL and top not in APART)
        return None if owned else f"{package} belongs to {', '.join(sorted(owners))}"
    return None if package in sys.stdlib_module_names else f"{package} has no owner: add it to OWNERS"


@pytest.mark.parametrize("name", MODULES)
def test_imports_go_downwards_and_packages_stay_with_their_owners(name):
    """Model, pure files, http, adapters, loops, config and log, shell."""
    tree = ast.parse(MODULES[name].read_text())
    wrong = {found: why for found in imports(name, tree) if (why := objection(name, found))}
    assert not wrong


@pytest.mark.parametrize("name", [name for name in MODULES if "." not in name or fnmatchcase(name, "stores.*")])
def test_the_map_of_files_knows_every_file(name):
    """Packages as a whole, but for the stores."""
    text = (ROOT.parent / "docs" / "design.md").read_text()
    found = text.partition("```\npoller/\n")[2].partition("```")[0]
    file = name.rpartition(".")[2] + ("/" if MODULES[name].name == "__init__.py" else ".py")
    assert re.search(rf"(?<!\w){re.escape(file)}", found)


@pytest.mark.parametrize("name", [name for name in MODULES if {idea(name), name} & PURE])
def test_pure_files_ask_no_clock(name):
    """Time comes in as an argument."""
    tree = ast.parse(MODULES[name].read_text())
    assert {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)} & CLOCKS == set()


@pytest.mark.parametrize("name", [name for name in MODULES if not fnmatchcase(name, "stores*")])
def test_sql_stays_in_the_stores(name):
    """No other module holds a statement; docstrings may speak of them."""
    tree = ast.parse(MODULES[name].read_text())
    spoken = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    strings = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    assert [node.value for node in strings if id(node) not in spoken and SQL.search(node.value)] == []


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("model", "import poller.diff"),
        ("diff", "from poller import config"),
        ("diff", "from time import time"),
        ("retry", "import random"),
        ("envelope", "def f():\n    import os.path"),
        ("http", "from poller.sinks import Sink"),
        ("sinks.webhook", "from poller.stores import Store"),
        ("sinks.webhook", "from . import stdout"),
        ("sinks.webhook", "from poller.sinks.stdout import Config"),
        ("sinks.webhook", "import structlog"),
        ("sources.spaceinvoices", "from ..stores import sqlite"),
        ("poll", "from poller.deliver import drain"),
        ("poll", "from poller.config import Config"),
        ("poll", "import sqlite3"),
        ("config", "import poller.cli"),
        ("cli.queue", "import httpx"),
        ("breaker", "from time import time"),
        ("doctor.answers", "import time"),
        ("expression.values", "import os"),
        ("route", "import jmespath"),
        ("pressure", "import os"),
        ("operations", "import sqlite3"),
        ("cli", "from apscheduler.events import EVENT_ALL"),
        ("daemon", "import requests"),
        ("simulator.server", "from poller.sources import Sweep"),
        ("deliver", "import poller.simulator"),
    ],
)
def test_the_rules_object(name, code):
    """Each to what it is there for."""
    assert any(objection(name, found) for found in imports(name, ast.parse(code)))


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("diff", "from poller.model import Mark"),
        ("diff", "import msgspec, hashlib"),
        ("expression.syntax", "import jmespath, re"),
        ("route", "from poller.expression import Condition"),
        ("sinks.webhook", "from poller.sinks import SinkConfig"),
        ("sinks.webhook", "from . import SinkConfig"),
        ("sinks.webhook", "import httpx, pydantic"),
        ("stores.sqlite", "from poller.stores.rows import Row"),
        ("poll", "from poller.sources import Source"),
        ("poll", "import structlog"),
        ("daemon", "from poller import __version__, config, log"),
        ("simulator.server", "from poller.simulator.where import matches"),
    ],
)
def test_the_rules_allow(name, code):
    """What goes downwards."""
    assert [found for found in imports(name, ast.parse(code)) if objection(name, found)] == []
