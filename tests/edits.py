"""Edits of a configuration, and two ways for them to come into force: a restart, or a reload of what runs.

A ``World`` is an account of two organizations with some records of each resource, and the state of a poller that
follows it. Between the old configuration and the new one the account changes, and nobody polls.
"""

import json
import time
from pathlib import Path
from typing import Any, NamedTuple

from click.testing import CliRunner
from process import RESOURCES, eventually

from poller.agenda import Agenda
from poller.assembly import assemble
from poller.cli import main
from poller.config import load
from poller.generation import Generation
from poller.once import once
from poller.reload import renewed
from poller.service import wall_ms
from poller.simulator import Account, Simulator
from poller.stores import Standing, reading

TOKEN, OTHER_TOKEN = "EDITS_TOKEN", "EDITS_OTHER_TOKEN"
USED = ("clients", "items", "taxes", "price_lists", "prices")
BORN_MS = 1_770_818_400_000


class Edit(NamedTuple):
    """What a configuration says beside the usual; ``sinks`` replace the usual ones, and ``extra`` is TOML as it is.

    A sink is a file, in an order after a colon, but those that are down, which are webhooks.

    ``on`` are the resources that are followed; ``server`` is "other" for another account at another address,
    "twin" for one with the same organizations, and "swapped" for another account at the same address.
    """

    on: tuple[str, ...] = ("clients", "items")
    source: dict[str, Any] = {}  # noqa: RUF012 - nobody changes it
    resources: dict[str, Any] = {}  # noqa: RUF012
    sinks: tuple[str, ...] = ("main", "other", "down")
    extra: str = ""
    state: str = ""
    server: str = ""
    organizations: int | None = None


def account(seed: int, token: str) -> Account:
    """An account whose organizations have the same ids wherever the seed is the same; its time goes on by itself."""
    made = Account(lambda: BORN_MS, token=token, organizations=2, seed=seed)
    made.clock = wall_ms
    return made


class World:
    """Accounts, a folder, and what is known of the records in them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.account = account(1, "t" * 64)
        self.others = {"other": account(2, "o" * 64), "twin": account(1, "t" * 64), "swapped": account(3, "s" * 64)}
        self.servers = {"": Simulator(self.account)}
        self.servers |= {name: Simulator(self.others[name]) for name in ("other", "twin")}
        self.ids: dict[tuple[str, str], list[str]] = {}
        for server in self.servers.values():
            server.__enter__()
        for one in (self.account, *self.others.values()):
            self._populate(one)

    def close(self) -> None:
        for server in self.servers.values():
            server.__exit__(None, None, None)

    def _populate(self, of: Account) -> None:
        for org in of.organizations:
            for resource in USED:
                lists = self.ids.get((org, "price_lists"), [""])
                parent = lists[-1] if resource == "prices" else ""
                ids = of.bulk_create(org, resource, 3, parent=parent)
                if of is self.account or of is not self.others["twin"]:
                    self.ids[org, resource] = ids
                elif resource == "price_lists":
                    self.ids[org, "twin lists"] = ids

    def known(self, name: str = "known") -> None:
        """What is polled under the old configuration: the third record of each listing."""
        self._rename(self.account, 2, name)

    def meanwhile(self, edit: Edit) -> None:
        """What nobody polls: the first record is another, the second deleted, and there is a new one."""
        self._rename(self.account, 0, "meanwhile")
        for org in self.account.organizations:
            for resource in USED:
                self.account.soft_delete(org, resource, self.ids[org, resource][1])
                parent = self.ids[org, "price_lists"][2] if resource == "prices" else ""
                self.account.create(org, resource, parent=parent)
        if edit.server == "swapped":
            self.servers[""].account = self.others["swapped"]

    def afterwards(self, edit: Edit) -> None:
        """What is polled under the new one."""
        self._rename(self.others.get(edit.server, self.account), 2, "afterwards")

    def _rename(self, of: Account, place: int, name: str) -> None:
        for org in of.organizations:
            for resource in USED:
                live = sorted(of.live(org, resource))
                record = self.ids[org, resource][place] if of is self.account else live[place]
                of.update(org, resource, record, {"name": name})

    def write(self, edit: Edit, name: str) -> Path:
        """Write the configuration of an edit to a file of this name."""
        path = self.folder / name
        url = self.servers[edit.server if edit.server in self.servers else ""].url
        token = OTHER_TOKEN if edit.server in ("other", "swapped") else TOKEN
        orgs = {} if edit.organizations is None else {"organizations": self.account.organizations[: edit.organizations]}
        source = {"base_url": url, "every": "100ms", "rate": 100, "overlap": "5s"} | orgs | edit.source
        rows = {resource: False for resource in RESOURCES if resource not in edit.on}
        rows |= {resource: {} for resource in edit.on} | edit.resources
        lines = [f'[source]\ntoken = {{ env = "{token}" }}', *_keys(source), "", "[resources]", *_keys(rows), ""]
        lines += [self._sink(sink) for sink in edit.sinks]
        lines += [f'[state]\npath = "{self.folder / "poller.db"}"', edit.state, edit.extra]
        path.write_text("\n".join(lines))
        return path

    def _sink(self, name: str) -> str:
        name, _, order = name.partition(":")
        if name.startswith("down") and not order:  # nobody listens there
            return f'[sinks.{name}]\nkind = "webhook"\nurl = "http://127.0.0.1:9/hook"\n'
        order = f'order = "{order}"\n' if order else ""
        return f'[sinks.{name}]\nkind = "file"\npath = "{self.folder / name}.jsonl"\n{order}'

    def plan(self, old: Path, new: Path) -> dict[str, Any]:
        """What ``poller plan`` answers."""
        done = CliRunner().invoke(main, ["--config", str(old), "plan", str(new), "--json"])
        assert done.exit_code == 0, done.output
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with reading.View(self.folder / "poller.db") as view:
            return view._connection.execute(sql, values).fetchall()


def _keys(table: dict[str, Any]) -> list[str]:
    return [f"{key} = {_toml(value)}" for key, value in table.items()]


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(_keys(value)) + " }"
    return json.dumps(value)


class Restarts:
    """Each configuration is carried out by a process of its own, which ends: here, a round of everything."""

    def __init__(self, world: World) -> None:
        self._world = world

    def begin(self, path: Path) -> None:
        self._path = path
        self.poll()

    def poll(self) -> None:
        once(load(self._path), full=False, accept_loss=False)

    def swap(self, path: Path, edit: Edit) -> None:
        self._world.meanwhile(edit)
        self.begin(path)

    def end(self) -> None:
        pass


class Reloads:
    """The configuration is replaced while it runs."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._agenda = Agenda(4)
        self._agenda.begin()
        self._at: Generation | None = None

    def begin(self, path: Path) -> None:
        if self._at is not None:
            self._take(path)
        else:
            config = load(path)
            self._at = Generation(config, assemble(config), self._agenda)
        self._at.begin()
        self.poll()

    def _take(self, path: Path) -> None:
        config, service = renewed(lambda: load(path), self._at.config, self._at.service)
        self._at.end(10, 10)
        self._at = Generation(config, service, self._agenda)

    def poll(self) -> None:
        """Wait until each stream that can be polled was polled from now on, and all that can be sent was."""
        for _ in range(2):  # a poll that is under way now may have missed it
            now_ms = wall_ms()
            eventually(lambda: all((standing.polled_ms or 0) > now_ms for standing in self._polled()))  # noqa: B023
        sinks = {name for name in self._at.config.sinks if not name.startswith("down")}
        eventually(lambda: not any(self._at.service.store.load().pending.get(sink) for sink in sinks))

    def _polled(self) -> list[Standing]:
        store, service = self._at.service.store, self._at.service
        orgs = {organization.id for organization in service.source.organizations()}
        found = [store.standing(stream) for stream in service.streams(orgs)]
        assert found
        return found

    def swap(self, path: Path, edit: Edit) -> None:
        before = self._at
        config, service = renewed(lambda: load(path), before.config, before.service)
        before.end(10, 10)
        self._world.meanwhile(edit)
        self._at = Generation(config, service, self._agenda)
        time.sleep(0.01)
        self._at.begin()
        self.poll()

    def end(self) -> None:
        if self._at is not None:
            self._agenda.end()
            self._at.end(1, 1)
            self._at.service.store.close()
