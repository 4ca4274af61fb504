"""``poller config``: the schema for editors, the values in force, and a first configuration."""

import json
import os
import pty
import re
import sys
import tomllib
from datetime import date, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator
from process import Site, eventually

from poller import cli, settings
from poller.beginning import Answers, begin, place
from poller.config import load
from poller.schema import schema
from poller.settings import SettingError
from poller.shown import toml, value

EXAMPLE = (Path(__file__).parent.parent / "config.example.toml").read_text()
WHOLE = "\n".join(re.sub(r"^# (?=[a-z_]+ = |\[)", "", line) for line in EXAMPLE.splitlines())


@pytest.fixture(scope="module")
def validator():
    """Of the schema as it is printed, which is a schema itself."""
    made = json.loads(CliRunner().invoke(cli.main, ["config", "schema"]).output)
    Draft202012Validator.check_schema(made)
    return Draft202012Validator(made)


def plain(item):
    """TOML as editors give it to a validator: dates are texts."""
    if isinstance(item, dict):
        return {key: plain(inner) for key, inner in item.items()}
    if isinstance(item, list):
        return [plain(inner) for inner in item]
    return item.isoformat() if isinstance(item, datetime | date) else item


@pytest.mark.parametrize("text", [EXAMPLE, WHOLE, ""], ids=["as shipped", "uncommented", "empty"])
def test_the_example_is_valid(validator, text):
    """As it is, with everything uncommented, and nothing at all."""
    assert [error.message for error in validator.iter_errors(plain(tomllib.loads(text)))] == []


GOOD = {
    "a resource by its interval": 'resources.documents = "30s"',
    "a resource that is off": "resources.documents = false",
    "a resource as a table": 'resources.documents = { every = "5m", ignore = ["a.b"] }',
    "a proxy by its URL": 'sinks.a = { kind = "webhook", url = "https://a.example", proxy = "http://p:1" }',
    "several secrets": """sinks.a = { kind = "webhook", url = "https://a.example",
        secrets = [{ env = "A", not_after = 2026-12-31T00:00:00Z }] }""".replace("\n", " "),
    "a test with one sink": '[[test]]\nname = "x"\nevent = "client.created"\nto = "crm"',
    "a connection with what its system asks": 'connections.contextual-ai = { api_key = { env = "K" } }',
    "spans": 'source = { every = "1h30m", overlap = "1h 30m" }',
}


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD)
def test_what_is_good_is_valid(validator, text):
    """In each of its forms."""
    assert [error.message for error in validator.iter_errors(plain(tomllib.loads(text)))] == []


BAD = {
    "an unknown table": "[sink.a]",
    "an unknown key": "source.evry = '1m'",
    "a number for a span": "source.every = 5",
    "a span without a unit": "source.every = '5'",
    "a size without a unit": "state.max_size = '5'",
    "a secret itself": "source.token = 'abc'",
    "a secret in two places": "source.token = { env = 'A', file = '/b' }",
    "a secret in none": "source.token = {}",
    "an unknown resource": "resources.client = '1m'",
    "a resource that is on": "resources.clients = true",
    "a sink without a kind": "sinks.a = { }",
    "an unknown kind": "sinks.a = { kind = 'webhok' }",
    "a sink of another kind": "sinks.a = { kind = 'file', url = 'https://a.example' }",
    "a webhook without a URL": "sinks.a = { kind = 'webhook' }",
    "a URL that is none": "sinks.a = { kind = 'webhook', url = 'a.example' }",
    "an order that is none": "sinks.a = { kind = 'stdout', order = 'any' }",
    "a rate without a unit": "[[route]]\non = ['*']\nrate = '30'",
    "a rate of nothing": "source.rate = 0",
    "a route on nothing": "[[route]]\nto = ['crm']",
    "a flood without a span": "[[route]]\non = ['*']\nflood = { max = 1 }",
    "a test without a name": "[[test]]\nevent = 'client.created'",
    "a first sync that is none": "source.first_sync = 'loud'",
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_what_is_bad_is_not_valid(validator, text, tmp_path):
    """And the configuration is refused too."""
    assert list(validator.iter_errors(plain(tomllib.loads(text)))) != []
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(Exception, match=r"config\.toml"):
        load(tmp_path / "config.toml")


def test_defaults_are_told_as_they_are_written():
    """Spans and sizes with their units; nothing is null."""
    tables = schema()["$defs"]
    source, state = tables["SourceTable"]["properties"], tables["StateTable"]["properties"]
    assert (source["every"]["default"], source["sweep_every"]["default"]) == ("1m", "6h")
    assert (state["max_size"]["default"], state["keep"]["default"]) == ("2GiB", "14d")
    assert source["every"]["examples"]
    assert "null" not in json.dumps(schema())


@pytest.mark.parametrize("text", ["0s", "100ms", "1s", "90s", "5m", "6h", "14d", "1500ms"])
def test_a_span_is_written_as_it_is_read(text):
    """In the largest unit without a fraction."""
    assert settings.duration(settings._seconds(text)) == text


@pytest.mark.parametrize("text", ["0B", "1B", "1KiB", "1025B", "256MiB", "2GiB", "3TiB"])
def test_a_size_is_written_as_it_is_read(text):
    """Likewise."""
    assert settings.size(settings._bytes(text)) == text


# show


def shown(tmp_path, text):
    path = tmp_path / "config.toml"
    path.write_text(text)
    return load(path), toml(load(path))


@pytest.mark.parametrize("text", [EXAMPLE, WHOLE, "resources.taxes = false"], ids=["shipped", "uncommented", "off"])
def test_what_is_shown_is_what_is_in_force(tmp_path, text):
    """Read anew, it is the same configuration, but for the URLs."""
    config, told = shown(tmp_path, text)
    (tmp_path / "again.toml").write_text(told)
    again = load(tmp_path / "again.toml")
    apart = {"sinks": {}, "connections": {}}  # types of their own, made anew with each configuration
    assert again.model_copy(update=apart) == config.model_copy(update=apart)
    assert repr(again.connections) == repr(config.connections)
    assert again.sinks.keys() == config.sinks.keys()
    assert toml(again) == told


def test_secrets_and_urls_are_not_shown(tmp_path, monkeypatch):
    """A secret by its place, a URL by its host."""
    monkeypatch.setenv("CRM_SECRET", "whsec_c2VjcmV0")
    _, told = shown(
        tmp_path,
        'sinks.crm = { kind = "webhook", url = "https://crm.example/h/T0K3N?k=v", secret = { env = "CRM_SECRET" } }',
    )
    assert 'url = "https://crm.example"' in told
    assert 'secret = { env = "CRM_SECRET" }' in told
    assert "T0K3N" not in told
    assert "c2VjcmV0" not in told


@pytest.mark.parametrize("rate", ["30/m", "10/5m", "1/s", "7/m", "1/2s", "2/d", "1000/s", "1/7m"])
def test_a_rate_is_shown_as_one_of_the_same_pace(tmp_path, rate):
    """If not in the same words."""
    config, told = shown(
        tmp_path, f'[[route]]\non = ["*"]\nto = ["stdout"]\nrate = "{rate}"\n[sinks.stdout]\nkind="stdout"'
    )
    (tmp_path / "again.toml").write_text(told)
    assert load(tmp_path / "again.toml").route[0].rate == pytest.approx(config.route[0].rate, rel=1e-9)


@pytest.mark.parametrize("item", ['a "quoted" \\ text\n', "\x00\x7fü", True, 1, 1.5, [1, "a"], {"a b": {"c": []}}, {}])
def test_values_are_toml(item):
    """Read back, they are the same."""
    assert tomllib.loads(f"a = {value(item)}")["a"] == item


def test_what_has_no_form():
    """Is a defect."""
    with pytest.raises(TypeError, match="no TOML for object"):
        value(object())


# init


def test_a_first_configuration_by_flags(tmp_path):
    """It loads, and says what was asked for; nothing else is left."""
    site = Site(tmp_path, "http://127.0.0.1:9/v1")
    flags = ["--token", "env:MY_TOKEN", "--every", "2m", "--webhook", "https://crm.example/x", "--secret", "file:/s"]
    done = site.run("config", "init", "new.toml", *flags, "--state", "db/poller.db")
    assert (done.code, done.out) == (0, "")
    config = load(tmp_path / "new.toml")
    assert (config.source.token.env, config.source.every, str(config.state.path)) == ("MY_TOKEN", 120.0, "db/poller.db")
    assert str(config.sinks["webhook"].secret.file) == "/s"
    assert list(tmp_path.glob(".*")) == []


def test_a_first_configuration_without_a_word(tmp_path):
    """Is as none: what is there by default."""
    site = Site(tmp_path, "http://127.0.0.1:9/v1")
    assert site.run("config", "init", "new.toml").code == 0
    assert load(tmp_path / "new.toml") == load(None)


def test_nothing_is_overwritten(tmp_path):
    """Not even what comes into being meanwhile."""
    site = Site(tmp_path, "http://127.0.0.1:9/v1")
    before = site.config.read_text()
    done = site.run("config", "init")
    assert (done.code, site.config.read_text()) == (1, before)
    assert "is there already" in done.err
    with pytest.raises(FileExistsError):
        begin(site.config, Answers("env:A", "1m", "", "", "a.db"))


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (["--token", "abc"], 78, "env:NAME, file:/path"),
        (["--every", "5"], 78, 'source.every: "5" is not a duration'),
        (["--webhook", "http://crm.example"], 78, "allow_http"),
    ],
)
def test_a_wrong_answer(tmp_path, flags, code, words):
    """Is told by its key, and nothing is written."""
    site = Site(tmp_path, "http://127.0.0.1:9/v1")
    done = site.run("config", "init", "new.toml", *flags)
    assert done.code == code
    assert words in done.err
    assert not (tmp_path / "new.toml").exists()
    assert list(tmp_path.glob(".*")) == []


def test_the_place_of_a_secret():
    """In one of three words."""
    assert place("credential:token") == {"credential": "token"}
    with pytest.raises(SettingError):
        place("whsec_abc")


def test_in_a_terminal_it_asks(tmp_path):
    """For what no option says; Enter takes what is offered, and without a webhook no secret is asked for."""
    site = Site(tmp_path, "http://127.0.0.1:9/v1")
    child, terminal = pty.fork()
    if not child:
        os.chdir(tmp_path)
        env = site.env | {"TERM": "dumb"}
        os.execve(sys.executable, [sys.executable, "-m", "poller", "config", "init", "new.toml", "--every", "3m"], env)
    seen = b""

    def asked(words):
        nonlocal seen
        while words not in seen:
            seen += os.read(terminal, 4096)
        return True

    for words, answer in ((b"API key", b"env:MINE\n"), (b"sent?", b"\n"), (b"database", b"other.db\n")):
        eventually(lambda words=words: asked(words))
        os.write(terminal, answer)
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 0
    config = load(tmp_path / "new.toml")
    assert (config.source.token.env, config.source.every, str(config.state.path)) == ("MINE", 180.0, "other.db")
    assert b"signs" not in seen
