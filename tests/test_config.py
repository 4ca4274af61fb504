"""The configuration: what is read, what is refused and in which words, and what the loops get."""

import re
import tomllib
from pathlib import Path

import pytest

from poller.config import Config, ConfigError, find, load
from poller.plan import Case, Order, Route, Target
from poller.pressure import Limits
from poller.problems import tables
from poller.secret import Secret
from poller.sinks import kinds
from poller.sources.spaceinvoices import RESOURCES
from poller.stores import Keep

EXAMPLE = Path(__file__).parent.parent / "config.example.toml"
TEN = {name for name, row in RESOURCES.items() if not row.opt_in}


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Load a text as ``config.toml``."""
    monkeypatch.chdir(tmp_path)

    def read(text):
        Path("config.toml").write_text(text)
        return load(Path("config.toml"))

    return read


@pytest.fixture
def complaint(read):
    """The message that a text ends in."""

    def complaint(text):
        with pytest.raises(ConfigError) as caught:
            read(text)
        return str(caught.value)

    return complaint


def test_every_shape_is_read(read):
    """The five tables, in the shapes that the README shows."""
    config = read("""
        [source]
        token = { file = "/run/secrets/token" }
        every = "2m"
        organizations = ["66f1a2c4d3b7e80012a4c901"]
        first_sync = "emit"
        rate = 50

        [resources]
        documents = "30s"
        taxes = false
        items = { every = "5m", sweep_every = "1d", ignore = ["stock.updatedBy"] }

        [sinks.crm]
        kind = "stdout"

        [[route]]
        on = ["client.*", "document.created"]
        to = ["crm"]

        [sinks.audit]
        kind = "stdout"
        order = "stream"

        [state]
        path = "elsewhere/poller.db"
        keep = "7d"
        keep_parked = "8d"
        give_up = "9d"
        max_pending = 10
        max_size = "1.5GiB"
        min_free = "1 MiB"
    """)
    assert config.source.token == Secret(file=Path("/run/secrets/token"))
    assert config.source.every == 120
    assert config.source.organizations == ("66f1a2c4d3b7e80012a4c901",)
    assert config.source.rate == 50
    assert config.state.path == Path("elsewhere/poller.db")
    assert config.state.keeping() == Keep(7 * 86_400, 8 * 86_400, 9 * 86_400)
    assert config.state.limits() == Limits(10, 1536 << 20, 1 << 20)
    plan = config.plan()
    assert plan.routes == (Route(("client.*", "document.created"), (Case(("crm",)),), "route-1"),)
    assert plan.sinks == (Target("crm"), Target("audit", Order.STREAM))
    assert plan.watches["documents"].every_s == 30
    assert plan.watches["clients"].every_s == 120
    assert plan.watches["clients"].emit_first
    assert plan.watches["items"].sweep_every_s == 86400
    assert "stock.updatedBy" in plan.watches["items"].ignore
    assert "taxes" not in plan.watches


def test_without_a_file_everything_is_at_its_default():
    """The token in the environment, all ten resources, every event to stdout."""
    config = load(None)
    assert config.source.token == Secret(env="SPACE_INVOICES_TOKEN")
    assert config.source.base_url == "https://api.spaceinvoices.com/v1"
    assert list(config.sinks) == ["stdout"]
    plan = config.plan()
    assert {name for name, watch in plan.watches.items() if watch.announces} == TEN
    assert plan.routes == ()
    assert plan.sinks == (Target("stdout"),)
    assert (config.state.keeping(), config.state.limits()) == (Keep(), Limits())
    watch = plan.watches["clients"]
    assert (watch.every_s, watch.sweep_every_s, watch.overlap_s) == (60, 6 * 3600, 300)
    assert (watch.count_every, watch.full_every, watch.emit_first) == (10, 4, False)


def test_an_empty_file_is_all_defaults(read):
    """So is one of empty tables, and one with a byte order mark."""
    assert read("").plan() == read("[sinks]\n[resources]").plan() == read("\ufeff[source]").plan() == load(None).plan()


def test_naming_a_resource_switches_no_other_off(read):
    """Only false does."""
    plan = read('[resources]\ndocuments = "30s"\norders = false').plan()
    assert {name for name, watch in plan.watches.items() if watch.announces} == TEN - {"orders"}


@pytest.mark.parametrize("text", ["", "[resources]\nprice_lists = false"])
def test_prices_bring_their_price_lists_silently(read, text):
    """They are listed by price list, so those are followed, before them and as often, and not announced."""
    watches = read(f'{text}\n[resources.prices]\nevery = "7s"').plan().watches
    assert not watches["price_lists"].announces
    assert watches["price_lists"].every_s == 7
    assert list(watches).index("price_lists") < list(watches).index("prices")


def test_price_lists_are_announced_when_asked_for(read):
    """Naming them is asking."""
    watches = read('[resources]\nprice_lists = "15m"').plan().watches
    assert watches["price_lists"].announces
    assert watches["price_lists"].every_s == 900


def test_without_prices_nobody_needs_price_lists(read):
    """They are not followed."""
    assert "price_lists" not in read("[resources]\nprices = false").plan().watches


def test_what_a_resource_always_ignores_stays_ignored(read):
    """``ignore`` adds to it."""
    watch = read('[resources]\ndocuments = { ignore = ["note"] }').plan().watches["documents"]
    assert watch.ignore == RESOURCES["documents"].ignore | {"note"}


SINK = '[sinks.crm]\nkind = "stdout"\n'
HOOK = '[sinks.hook]\nkind = "webhook"\nurl = "https://crm.example.com"\n'

REFUSED = [
    ('[source]\nevry = "1m"', 'source.evry: unknown key; did you mean "every"?'),
    ("[sorce]", 'sorce: unknown key; did you mean "source"?'),
    ('[source]\ntoken = "hunter2"', "source.token: should not be written here"),
    ("[source]\ntoken = {}", "source.token: should name one place"),
    ('[source]\ntoken = { evn = "X" }', 'source.token.evn: unknown key; did you mean "env"?'),
    ("[source]\nevery = 30", 'source.every: should say its unit: "30s"'),
    ('[source]\nevery = "soon"', 'source.every: "soon" is not a duration'),
    ('[source]\nevery = "0s"', "source.every: should be more than 0"),
    ("[source]\nrate = 0", "source.rate: should be more than 0"),
    ("[source]\nrate = 101", "source.rate: should be at most 100"),
    ('[source]\nrate = "20"', "source.rate: should be a number"),
    ("[source]\nrate = true", "source.rate: should be a number"),
    ("[source]\nfull_sweep = 0", "source.full_sweep: should be at least 1"),
    ("[source]\ncount_every = 2.5", "source.count_every: should be a whole number"),
    ('[source]\nfirst_sync = "loud"', 'source.first_sync: should be "silent" or "emit"'),
    ('[source]\nbase_url = "http://api.example.com"', 'source.base_url: should begin with "https://"'),
    ("[source]\norganizations = []", "source.organizations: should name at least one"),
    ('[source]\norganizations = "x"', "source.organizations: should be a list"),
    ('[source]\norganizations = ["../x"]', 'source.organizations.0: "../x" is not the id of an organization'),
    ("source = 3", "source: should be a table"),
    ('[resources]\nclinets = "1m"', 'resources.clinets: unknown resource; did you mean "clients"?'),
    ("[resources]\nclinets = {}", 'resources.clinets: unknown resource; did you mean "clients"?'),
    (
        "[resources]\nclients = true",
        'resources.clients: should be an interval such as "30s", or false, or a table',
    ),
    ('[resources]\nclients = "x"', 'resources.clients: "x" is not a duration'),
    ("[resources.clients]\nevry = 3", 'resources.clients.evry: unknown key; did you mean "every"?'),
    ("[resources.clients]\nignore = [3, '']", "resources.clients.ignore.0: should be a string in quotes"),
    ("\n".join(["[resources]", *(f"{name} = false" for name in sorted(TEN))]), "resources: all are switched off"),
    ('[sinks.crm]\nkind = "stdot"', 'sinks.crm.kind: "stdot" is not a kind of sink; did you mean "stdout"?'),
    ("[sinks.crm]\nkind = 3", 'sinks.crm.kind: "3" is not a kind of sink'),
    ("[sinks.crm]", "sinks.crm.kind: is missing; known are "),
    (SINK + "knd = 3", 'sinks.crm.knd: unknown key; did you mean "kind"?'),
    ('[sinks."my crm"]\nkind = "stdout"', "sinks.my crm: a sink's name has letters"),
    ('sinks = "stdout"', "sinks: should be a table"),
    ("sinks = []", "sinks: should be a table"),
    ("[sinks]\ncrm = 3", "sinks.crm: should be a table"),
    (
        '[[route]]\non = ["clent.*"]\nto = ["stdout"]',
        'route.0.on.0: "clent.*" matches no trigger; did you mean "client.*"?',
    ),
    (
        '[[route]]\non = ["client.create"]\nto = ["stdout"]',
        'route.0.on.0: "client.create" matches no trigger; did you mean "client.created"?',
    ),
    (SINK + '[[route]]\non = ["*"]\nto = ["crn"]', 'route.0.to.0: there is no sink "crn"; did you mean "crm"?'),
    ('[[route]]\non = ["*"]\nto = []', "route.0.to: should name at least one"),
    ('[[route]]\non = ["*"]', 'route.0: should have one of "to", "do", "step" or "case"'),
    ("[route]", "route: should be a list"),
    (
        '[[route]]\non = ["price_list.*"]\nto = ["stdout"]',
        'route.0.on: "price_list.*" never happens: [resources] does not follow price_lists',
    ),
    ("[state]\nmax_size = 5", 'state.max_size: should be a size such as "512MiB" or "2GiB"'),
    ('[state]\nmax_size = "2GB"', 'state.max_size: should be a size such as "512MiB" or "2GiB"'),
    ("[state]\nmax_pending = 0", "state.max_pending: should be at least 1"),
    ('[state]\nkeep = "0s"', "state.keep: should be more than 0"),
    (SINK + 'order = "recrd"', 'sinks.crm.order: should be "record", "stream", "sink" or "none"'),
    (HOOK + "batch = 100", "sinks.hook.batch: should be a table"),
    (HOOK + "batch = { max = 0 }", "sinks.hook.batch.max: should be at least 1"),
    (HOOK + "batch = { max = 251 }", "sinks.hook.batch.max: should be at most 250"),
    (HOOK + "batch = { wait = 1 }", 'sinks.hook.batch.wait: should say its unit: "1s"'),
    (HOOK + 'batch = { wait = "61m" }', 'sinks.hook.batch.wait: should be at most "1h"'),
    (HOOK + 'batch = { size = "1s" }', "sinks.hook.batch.size: unknown key"),
    (HOOK + 'batch = {}\norder = "sink"', 'sinks.hook: batch should be left out where order = "sink"'),
    (SINK + "batch = {}", "sinks.crm.batch: unknown key"),
    ('[state]\npath = ""', "state.path: should be the path of a file"),
    ("[state]\npath = 3", "state.path: should be a path in quotes"),
    ('[source]\norigin = "a b"', "source.origin: should have letters, digits, dots, - and _, 64 at most"),
    ("[source]\nevery 3", "is not TOML: Expected '=' after a key in a key/value pair (at line 2, column 7)"),
    ("x = " + "9" * 5000, "is not TOML: "),
    ("x = " + "[" * 5000, "is not TOML: "),
    ("x = [", "is not TOML: Invalid value (at line 1, column 6, the end of the file)"),
]


@pytest.mark.parametrize(("text", "words"), REFUSED)
def test_what_is_wrong_is_said_with_file_and_key(complaint, text, words):
    """In words: no jargon of the parser, and never the value of a secret."""
    message = complaint(text)
    assert any(line.startswith(f"config.toml: {words}") for line in message.splitlines()), message
    assert "hunter2" not in message
    assert "Input" not in message


def test_every_problem_is_listed(complaint):
    """One a line, whatever table it is in."""
    found = complaint("""
        [source]
        evry = 1
        [resources]
        clinets = false
        [sinks.crm]
        kind = "stdout"
        more = 3
        [[route]]
        on = ["nothing"]
        to = ["nobody"]
        [state]
        file = "x"
    """).splitlines()
    keys = {line.split(": ")[1] for line in found}
    wanted = {"source.evry", "resources.clinets", "sinks.crm.more", "route.0.on.0", "route.0.to.0", "state.file"}
    assert keys == wanted
    assert len(found) == len(wanted)


def test_a_list_of_bad_items_complains_of_the_items_only(complaint):
    """Not also of having no good one."""
    assert complaint("[source]\norganizations = [3]").splitlines() == [
        "config.toml: source.organizations.0: should be a string in quotes"
    ]


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    """Absent, a directory, or not UTF-8."""
    (tmp_path / "latin").write_bytes(b"# caf\xe9")
    for name, words in [
        ("absent", "cannot be read: No such file"),
        (".", "cannot be read"),
        ("latin", "is not UTF-8"),
    ]:
        with pytest.raises(ConfigError, match=words) as caught:
            load(tmp_path / name)
        assert str(caught.value).startswith(str(tmp_path / name))


def test_every_secret_that_is_missing_is_told_at_once(read, monkeypatch):
    """With its key, before anything starts."""
    monkeypatch.delenv("NOT_THERE", raising=False)
    config = read('[source]\ntoken = { env = "NOT_THERE" }')
    with pytest.raises(ConfigError) as caught:
        config.check_secrets("config.toml")
    assert str(caught.value) == "config.toml: source.token: the environment variable NOT_THERE is not set or empty"
    monkeypatch.setenv("NOT_THERE", "t0ken")
    config.check_secrets("config.toml")
    assert "t0ken" not in repr(config)


def test_the_secrets_of_sinks_are_checked_too(read, monkeypatch):
    """All failures are in one message."""
    monkeypatch.delenv("NOT_THERE", raising=False)
    config = read("""
        [source]
        token = { env = "NOT_THERE" }
        [sinks.crm]
        kind = "webhook"
        url = "https://crm.example.com/hooks"
        secret = { env = "NOT_THERE" }
    """)
    with pytest.raises(ConfigError) as caught:
        config.check_secrets()
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["source.token", "sinks.crm.secret"]


def test_what_no_message_may_show_is_known(read, monkeypatch):
    """Secrets, and of the URLs of webhooks what is long enough to be one."""
    monkeypatch.setenv("SPACE_INVOICES_TOKEN", "t0ken")
    monkeypatch.setenv("CRM", "s3cret")
    config = read("""
        [sinks.crm]
        kind = "webhook"
        url = "https://crm.example.com/hooks/T0B0xyzzy?key=plugh-plugh"
        secret = { env = "CRM" }
        [sinks.short]
        kind = "webhook"
        url = "https://short.example.com/hooks"
    """)
    assert list(config.hidden()) == ["t0ken", "s3cret", "/hooks/T0B0xyzzy", "key=plugh-plugh"]


def test_the_file_is_looked_for_in_order(tmp_path, monkeypatch):
    """The one named, the environment's, the one here."""
    monkeypatch.chdir(tmp_path)
    Path("config.toml").touch()
    environ = {"POLLER_CONFIG": "/b", "SPACE_INVOICES_TOKEN": "t"}
    assert find(Path("/a"), environ) == Path("/a")
    assert find(None, environ) == Path("/b")
    assert find(None, {"POLLER_CONFIG": "", "SPACE_INVOICES_TOKEN": "t"}) == Path("config.toml")


@pytest.mark.skipif(Path("/etc/poller/config.toml").exists(), reason="this machine has a configuration")
def test_without_a_file_the_token_is_enough(tmp_path, monkeypatch):
    """Without it too, the message says what to do."""
    monkeypatch.chdir(tmp_path)
    assert find(None, {"SPACE_INVOICES_TOKEN": "t"}) is None
    with pytest.raises(ConfigError, match=r"set SPACE_INVOICES_TOKEN, or write config\.toml"):
        find(None, {"SPACE_INVOICES_TOKEN": " "})


def test_the_example_is_valid_as_it_stands():
    """And says nothing but defaults."""
    assert load(EXAMPLE) == load(None)


def test_every_commented_key_of_the_example_is_valid_too(read):
    """Uncommented, each line is a key with its default; sinks, routes and what belongs to them are examples."""
    lines = [re.sub(r"^# (?=[a-z_]+ = |\[)", "", line) for line in EXAMPLE.read_text().splitlines()]
    config = read("\n".join(lines))
    defaults = load(None)
    assert config.source == defaults.source.model_copy(
        update={"organizations": ("66f1a2c4d3b7e80012a4c901",), "budget": 10.0}
    )
    assert config.state == defaults.state
    assert len(config.sinks) > 1
    assert config.queues() == ("deposits", "archive")
    assert len(config.test) == 3


def _keys(table):
    for name, field in table.model_fields.items():
        yield field.alias or name
        for inner in tables(field.annotation):
            yield from _keys(inner)


def test_the_example_mentions_every_key():
    """Of every table, those of all kinds of sinks included."""
    text = EXAMPLE.read_text()
    keys = {key for table in (Config, *kinds().values()) for key in _keys(table)}
    missing = {key for key in keys if not re.search(rf"(^|[\s{{#.\[]){key}( = |\]|\.)", text, re.MULTILINE)}
    assert not missing


def test_the_example_mentions_every_resource_and_kind():
    """By name."""
    text = EXAMPLE.read_text()
    assert [name for name in RESOURCES if name not in text] == []
    assert [kind for kind in kinds() if f'kind = "{kind}"' not in text] == []


def test_the_example_is_plain_toml():
    """Without the project's reader too."""
    assert set(tomllib.loads(EXAMPLE.read_text())) == {"source", "resources", "sinks", "state"}
