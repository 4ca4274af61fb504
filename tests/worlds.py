"""Two worlds to test against: the simulator, and a stock LoopBack 3 server with the same routes.

Both look alike: organizations to list, records to write behind the API's back, and the API itself over HTTP.
"""

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import httpx
import pytest

from poller.simulator import Account, Simulator
from poller.simulator.resources import RESOURCES, example

LOOPBACK = Path(__file__).parent / "loopback"
TOKEN = "t" * 64


class World(Protocol):
    """An account that the poller can follow, and that a test can change.

    ``create`` and ``bulk_create`` write realistic records with ``fields`` over them; a price needs its
    price list as ``parent``. ``put`` plants a record as it is.
    """

    url: str
    token: str
    http: httpx.Client

    @property
    def organizations(self) -> list[str]: ...
    def add_organization(self, name: str = "Another") -> str: ...
    def create(self, org: str, resource: str, fields: Mapping[str, Any] | None = None, parent: str = "") -> str: ...
    def bulk_create(
        self, org: str, resource: str, many: int | Sequence[Mapping[str, Any]], parent: str = ""
    ) -> list[str]: ...
    def put(self, org: str, resource: str, record: Mapping[str, Any], parent: str = "") -> None: ...
    def update(self, org: str, resource: str, record_id: str, fields: Mapping[str, Any]) -> None: ...
    def touch(self, org: str, resource: str, record_id: str) -> None: ...
    def soft_delete(self, org: str, resource: str, record_id: str) -> int: ...
    def hard_delete(self, org: str, resource: str, record_id: str) -> None: ...
    def restore(self, org: str, resource: str, record_id: str) -> None: ...
    def live(self, org: str, resource: str) -> dict[str, dict[str, Any]]: ...


class SimulatorWorld:
    """The simulator; ``account`` and ``simulator`` give all that it can do."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.account = simulator.account
        self.url = simulator.url
        self.token = simulator.account.token
        self.http = httpx.Client(base_url=self.url, headers={"Authorization": self.token})

    @property
    def organizations(self) -> list[str]:
        return self.account.organizations

    def add_organization(self, name: str = "Another") -> str:
        return self.account.add_organization(name)

    def create(self, org: str, resource: str, fields=None, parent: str = "") -> str:
        return self.account.create(org, resource, fields, parent=parent)

    def bulk_create(self, org: str, resource: str, many, parent: str = "") -> list[str]:
        return self.account.bulk_create(org, resource, many, parent=parent)

    def put(self, org: str, resource: str, record, parent: str = "") -> None:
        self.account.put_raw(org, resource, record["id"], json.dumps(record).encode(), parent=parent)

    def update(self, org: str, resource: str, record_id: str, fields) -> None:
        self.account.update(org, resource, record_id, fields)

    def touch(self, org: str, resource: str, record_id: str) -> None:
        self.account.touch(org, resource, record_id)

    def soft_delete(self, org: str, resource: str, record_id: str) -> int:
        return self.account.soft_delete(org, resource, record_id)

    def hard_delete(self, org: str, resource: str, record_id: str) -> None:
        self.account.hard_delete(org, resource, record_id)

    def restore(self, org: str, resource: str, record_id: str) -> None:
        self.account.restore(org, resource, record_id)

    def live(self, org: str, resource: str) -> dict[str, dict[str, Any]]:
        return self.account.live(org, resource)


class LoopbackWorld:
    """Stock LoopBack 3 on a memory connector: its filter engine, our own soft deletion and stamps."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/v1"
        self.token = TOKEN
        self.http = httpx.Client(base_url=self.url, headers={"Authorization": self.token}, timeout=30)
        self._tests = httpx.Client(base_url=f"http://127.0.0.1:{port}/_test", timeout=60)

    @property
    def organizations(self) -> list[str]:
        owner = self.http.get("/Accounts/authorized").json()["id"]
        return [row["id"] for row in self.http.get(f"/Accounts/{owner}/organizations").json()]

    def add_organization(self, name: str = "Another") -> str:
        return self._act("organization", name=name)

    def create(self, org: str, resource: str, fields=None, parent: str = "") -> str:
        row = example(resource) | dict(fields or {}) | _above(org, parent)
        return self._act("create", model=RESOURCES[resource].model, row=row)

    def bulk_create(self, org: str, resource: str, many, parent: str = "") -> list[str]:
        rows = [{}] * many if isinstance(many, int) else many
        # The connector is written to directly: the example's stamps must not come along.
        plain = {k: v for k, v in example(resource).items() if k not in ("createdAt", "updatedAt")}
        loaded = [plain | dict(fields) | _above(org, parent) for fields in rows]
        return self._act("load", model=RESOURCES[resource].model, rows=loaded)

    def put(self, org: str, resource: str, record, parent: str = "") -> None:
        self._act("put", model=RESOURCES[resource].model, row=dict(record) | _above(org, parent))

    def update(self, _org: str, resource: str, record_id: str, fields) -> None:
        self._act("update", model=RESOURCES[resource].model, id=record_id, fields=dict(fields))

    def touch(self, _org: str, resource: str, record_id: str) -> None:
        self._act("touch", model=RESOURCES[resource].model, id=record_id)

    def soft_delete(self, _org: str, resource: str, record_id: str) -> int:
        return self._act("softDelete", model=RESOURCES[resource].model, id=record_id)

    def hard_delete(self, _org: str, resource: str, record_id: str) -> None:
        self._act("hardDelete", model=RESOURCES[resource].model, id=record_id)

    def restore(self, _org: str, resource: str, record_id: str) -> None:
        self._act("restore", model=RESOURCES[resource].model, id=record_id)

    def live(self, org: str, resource: str) -> dict[str, dict[str, Any]]:
        if resource != "prices":
            return self._walk(f"/Organizations/{org}/{RESOURCES[resource].path}")
        found = {}
        for parent in self.live(org, "price_lists"):
            found |= self._walk(f"/PriceLists/{parent}/prices")
        return found

    def _walk(self, path: str) -> dict[str, dict[str, Any]]:
        found, last = {}, ""
        while True:
            asked = {"where": {"id": {"gt": last}}, "order": ["id ASC"], "limit": 100}
            page = self.http.get(path, params={"filter": json.dumps(asked)}).raise_for_status().json()
            if not page:
                return found
            found |= {row["id"]: row for row in page}
            last = page[-1]["id"]

    def _act(self, act: str, /, **body: Any) -> Any:
        return self._tests.post(f"/{act}", json=body).raise_for_status().json().get("answer")

    def close(self) -> None:
        self._act("shutdown")
        self._tests.close()
        self.http.close()


def _above(org: str, parent: str) -> dict[str, str]:
    return {"organizationId": org} | ({"priceListId": parent} if parent else {})


@contextmanager
def simulator_world(account: Account | None = None, **settings: Any) -> Iterator[SimulatorWorld]:
    """A simulator with two organizations, or with ``account``; ``settings`` are the simulator's."""
    account = account or Account(token=TOKEN, organizations=2)
    with Simulator(account, **settings) as simulator:
        world = SimulatorWorld(simulator)
        with world.http:
            yield world


@contextmanager
def loopback_world() -> Iterator[LoopbackWorld]:
    """A LoopBack server of its own with two organizations; skips the test where it cannot run."""
    node = _installed()
    command = [node, str(LOOPBACK / "server.js"), "0", TOKEN]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            word, port = server.stdout.readline().split() or ("", "0")
            assert word == "listening", "the LoopBack server did not start"
            world = LoopbackWorld(int(port))
            yield world
            world.close()
        finally:
            server.terminate()


def _installed() -> str:
    """The path of node, with the packages installed once."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("node and npm are not installed: no LoopBack server to compare with")
    if not (LOOPBACK / "node_modules" / "loopback").exists():
        done = subprocess.run(
            [npm, "ci", "--no-audit", "--no-fund"], cwd=LOOPBACK, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            pytest.skip(f"npm ci failed: {done.stderr.strip()[-200:]}")
    return node
