"""A simulated account, the three systems, and a poller between them: in this process, or as one of its own."""

import json
from contextlib import ExitStack

from click.testing import CliRunner
from process import HASTE, SECRET, Site, only
from systems import contextual, coupontools, spaceinvoices
from systems.contextual import ContextualAI
from systems.coupontools import Coupontools
from systems.scenes import SERVERS
from systems.spaceinvoices import Polled

from poller import assembly, breaker, cli, retry, service
from poller.config import load
from poller.once import once
from poller.simulator import Account

ENV = {
    "COUPONTOOLS_ID": coupontools.CLIENT_ID,
    "COUPONTOOLS_SECRET": coupontools.CLIENT_SECRET,
    "CONTEXTUAL_API_KEY": contextual.API_KEY,
    "POLLER_TEST_TOKEN": spaceinvoices.TOKEN,
    "POLLER_TEST_SECRET": SECRET,
    "SPACE_INVOICES_TOKEN": spaceinvoices.TOKEN,
}

_CONNECTIONS = """
[connections.coupontools]
base_url = "{coupontools}"
client_id = {{ env = "COUPONTOOLS_ID" }}
client_secret = {{ env = "COUPONTOOLS_SECRET" }}
rate = 1000
timeout = "{timeout}"

[connections.contextual-ai]
base_url = "{contextual}"
api_key = {{ env = "CONTEXTUAL_API_KEY" }}
rate = 1000
timeout = "{timeout}"
"""


def toml(value):
    """A value as it stands in TOML, in one line."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {toml(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def table(key, /, **keys):
    """A table of an array: ``route``, ``route.step``, ``route.case``; ``with_`` stands for ``with``."""
    return f"[[{key}]]\n" + "".join(f"{name.rstrip('_')} = {toml(value)}\n" for name, value in keys.items())


def route(on, do="", given=None, **keys):
    """A route that does an action, or whatever its keys say."""
    action = {"do": do, "with_": given or {}} if do else {}
    return table("route", on=[on] if isinstance(on, str) else on, **keys, **action)


class World:
    """The servers are up within the block; ``configure`` writes the poller's configuration, and may do so again.

    ``round`` polls and delivers once in this process, and ``command`` carries out one of the command line.
    """

    def __init__(self, folder):
        self.account = Account(token=spaceinvoices.TOKEN, organizations=1, seed=1)
        self.org = self.account.organizations[0]
        self.coupontools, self.contextual, self.invoices = Coupontools(), ContextualAI(), Polled(self.account)
        self.servers = dict(zip(SERVERS, (self.coupontools, self.contextual, self.invoices), strict=True))
        self.folder = folder
        self._late_ms = 0
        self._sources = []
        self._stack = ExitStack()

    def __enter__(self):
        for server in self.servers.values():
            self._stack.enter_context(server)
        return self

    def __exit__(self, *_):
        self._stack.close()

    def hasten(self, monkeypatch):
        """Let no retry wait in this process, its clock go forward by ``pass_s``, and no connection outlive a round."""
        now_ms, source = service.wall_ms, assembly.source
        monkeypatch.setattr(
            assembly, "source", lambda *given: self._sources.append(source(*given)) or self._sources[-1]
        )
        for name, value in ENV.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(retry, "SINK_WAITS_S", (0.0,))
        monkeypatch.setattr(retry, "EVENT_WAITS_S", (0.0,) * 4)
        monkeypatch.setattr(breaker, "SHORTEST_WAIT_S", 0.0)
        for module in ("service", "once", "cli.queue"):
            monkeypatch.setattr(f"poller.{module}.wall_ms", lambda: now_ms() + self._late_ms)

    def pass_s(self, seconds):
        self._late_ms += int(seconds * 1000)

    def configure(self, tables, *resources, timeout="10s", patch=HASTE, **source):
        """Write the configuration: these tables, and a connection to each system."""
        urls = {"coupontools": self.coupontools.url, "contextual": self.contextual.url, "timeout": timeout}
        text = only(*resources) + _CONNECTIONS.format(**urls) + tables
        self.site = Site(self.folder, self.invoices.url, text, patch=patch, **source)
        self.site.env |= ENV
        return self.site

    def adopt(self, text):
        """Write a configuration that is complete but for the addresses of these servers and the place of the state."""
        urls = {"coupontools": self.coupontools.url, "contextual-ai": self.contextual.url}
        for name, url in urls.items():
            text = text.replace(f"[connections.{name}]\n", f'[connections.{name}]\nbase_url = "{url}"\nrate = 1000\n')
        text = text.replace("[source]\n", f'[source]\nbase_url = "{self.invoices.url}"\nrate = 100\n')
        self.site = Site(self.folder, self.invoices.url, patch=HASTE)
        self.site.env |= ENV
        self.site.config.write_text(f'{text}\n[state]\npath = "{self.site.database}"\n')
        return self.site

    def round(self, *, full=False):
        """Poll everything, deliver what is due."""
        try:
            return once(load(self.site.config), full=full, accept_loss=False)
        finally:
            for client in [client for made in self._sources for client in made._clients]:
                client.close()
            self._sources.clear()

    def command(self, *arguments):
        return CliRunner().invoke(cli.main, ["--config", str(self.site.config), *arguments])

    def states(self, columns="state"):
        """The deliveries, in the order of their events: one column each, or several."""
        found = self.site.query(f"SELECT {columns} FROM delivery ORDER BY sequence, sink, route")
        return [row[0] if len(row) == 1 else row for row in found]

    def steps(self):
        """The results of steps that are kept."""
        return [json.loads(kept) for (kept,) in self.site.query("SELECT results FROM step")]

    @property
    def complaints(self):
        """What the servers found to be other than documented."""
        return [complaint for server in self.servers.values() for complaint in server.complaints]

    def create(self, resource, fields=None):
        """A new record, with a parent where its resource has one; its id."""
        parent = self.account.create(self.org, "price_lists") if resource == "prices" else ""
        return self.account.create(self.org, resource, fields, parent=parent)
