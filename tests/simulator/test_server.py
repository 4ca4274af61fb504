import json
import re
import subprocess
import sys
import time

import httpx
from worlds import simulator_world

from poller.simulator import Account


def test_log():
    """The log keeps every request with what its filter said."""
    with simulator_world() as world:
        org = world.organizations[0]
        world.http.get(f"/Organizations/{org}/clients", params={"filter": '{"limit":3}'})
        world.http.get(f"/Organizations/{org}/clients/count", params={"where": '{"name":"A"}'})
        listed, counted = world.simulator.requests
    assert listed == ("GET", f"/v1/Organizations/{org}/clients", {"limit": 3}, None)
    assert (counted.path, counted.where) == (f"/v1/Organizations/{org}/clients/count", {"name": "A"})


def test_hook():
    """The account can be changed between two pages."""
    with simulator_world() as world:
        org = world.organizations[0]
        world.simulator.on_request = lambda _request: world.create(org, "clients")
        counts = [world.http.get(f"/Organizations/{org}/clients/count").json()["count"] for _ in range(3)]
    assert counts == [1, 2, 3]


def test_page_cap():
    """The cap of a page can be lowered."""
    with simulator_world(page_cap=2) as world:
        org = world.organizations[0]
        world.bulk_create(org, "clients", 5)
        asked = {"filter": '{"limit":100}'}
        assert len(world.http.get(f"/Organizations/{org}/clients", params=asked).json()) == 2
        world.simulator.page_cap = 4
        assert len(world.http.get(f"/Organizations/{org}/clients", params=asked).json()) == 4


def test_date_is_the_clocks():
    """The date of an answer is the account's own time."""
    with simulator_world(Account(lambda: 1_750_000_000_999)) as world:
        answer = world.http.get("/Accounts/authorized", headers={"Authorization": world.token})
    assert answer.headers["Date"] == "Sun, 15 Jun 2025 15:06:40 GMT"


def test_keep_alive():
    """One connection serves many requests, quickly."""
    with simulator_world() as world:
        began = time.monotonic()
        for _ in range(50):
            world.http.get("/Accounts/authorized")
        assert time.monotonic() - began < 1.5  # delayed acknowledgements would make it 2 s


def test_forbidden_organization():
    """An organization of somebody else is a 401."""
    with simulator_world() as world:
        org = world.organizations[0]
        record_id = world.create(org, "clients")
        world.account.forbid(org)
        for path in (f"/Organizations/{org}/clients", f"/Organizations/{org}", f"/Clients/{record_id}"):
            assert world.http.get(path).status_code == 401
        world.account.allow(org)
        assert world.http.get(f"/Clients/{record_id}").status_code == 200


def test_bad_body():
    """A body that is no JSON object is a 400."""
    with simulator_world() as world:
        path = f"/Organizations/{world.organizations[0]}/clients"
        assert world.http.post(path, content=b"{").status_code == 400
        assert world.http.post(path, content=b"[]").status_code == 400


def test_a_page_of_many_is_quick():
    """A page of a large listing does not cost a look at all of it."""
    with simulator_world() as world:
        org = world.organizations[0]
        ids = world.bulk_create(org, "categories", 30_000)
        asked = {"where": {"id": {"gt": ids[15_000]}}, "order": ["id ASC"], "limit": 100, "deleted": True}
        began = time.monotonic()
        for _ in range(20):
            answer = world.http.get(f"/Organizations/{org}/categories", params={"filter": json.dumps(asked)})
        assert time.monotonic() - began < 2  # 20 full looks would take longer
        assert answer.headers["x-total-count"] == "14999"
        assert len(answer.json()) == 100


def test_standalone():
    """By itself it prints its address and token, and changes records."""
    command = [sys.executable, "-m", "poller.simulator", "--records", "2", "--rate", "200", "--seed", "3"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            url = re.fullmatch(r"url (\S+)\n", process.stdout.readline())[1]
            token = re.fullmatch(r"token (\S+)\n", process.stdout.readline())[1]
            with httpx.Client(base_url=url, headers={"Authorization": token}) as http:
                owner = http.get("/Accounts/authorized").json()["id"]
                organizations = http.get(f"/Accounts/{owner}/organizations").json()
                path = f"/Organizations/{organizations[0]['id']}/clients"
                asked = {"filter": '{"order":"updatedAt DESC","deleted":true}'}
                before = http.get(path, params=asked).text
                deadline = time.monotonic() + 10
                while http.get(path, params=asked).text == before:
                    assert time.monotonic() < deadline
                    time.sleep(0.02)
        finally:
            process.terminate()
    assert len(organizations) == 2
