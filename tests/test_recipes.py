"""docs/recipes.md: each configuration loads, and each of its routes does what is said of it."""

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from systems.server import after

from poller.actions.answer import UNKNOWN
from poller.config import load

TEXT = (Path(__file__).parent.parent / "docs" / "recipes.md").read_text()
SECTIONS = re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:]
BLOCK = re.compile(r"^```toml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EMAIL = "billing@orbit-logistics.example"


class Recipe(NamedTuple):
    """A recipe, with the first block of its section it is complete."""

    title: str
    text: str
    frame: str
    block: str

    @property
    def routes(self):
        return tomllib.loads(self.block)["route"]

    @property
    def complete(self):
        return f"{self.frame}\n{self.block}"


def recipes(section):
    frame, *_ = BLOCK.findall(section)
    for part in re.split(r"^### ", section, flags=re.MULTILINE)[1:]:
        [block] = BLOCK.findall(part)
        yield Recipe(part.partition("\n")[0], part, frame, block)


RECIPES = {recipe.title: recipe for section in SECTIONS for recipe in recipes(section)}


# What happens, what is to be seen then, and that it is this


def welcome(world):
    world.create("clients")
    world.create("clients", {"email": None})
    world.create("clients", {"email": "second@example.com"})


def large_payment(world):
    small = world.create("payments", {"amount": 499.99})
    world.create("payments", {"amount": 500})
    world.round()
    world.account.update(world.org, "payments", small, {"amount": 700})
    world.round()
    world.account.update(world.org, "payments", small, {"amount": 800})


def receipt(world):
    invoices = [world.create("documents", {"totalWithTax": total}) for total in (499.99, 500)]
    world.round()
    for invoice in invoices:
        world.account.update(world.org, "documents", invoice, {"paidInFull": True})
        world.account.update(world.org, "documents", world.create("documents", {"type": "estimate"}), {"note": "x"})


def receipts(world):
    sessions = [f"https://c.example/u/{session['code']}" for session in world.coupontools.sessions]
    return len(sessions), [
        (mail["recipients"], mail["message"].partition(": ")[0], mail["message"].partition(": ")[2] in sessions)
        for mail in world.invoices.mails
    ]


def shipped(world):
    for phone in ("+38640555303", "+386 40 555 303", None):
        order = world.create("orders", {"fulfilled": False, "_shippingAddress": {"phone": phone}})
        world.round()
        world.account.update(world.org, "orders", order, {"fulfilled": True})


def partner(world):
    world.create("clients")
    world.create("clients", {"isEndCustomer": True, "email": "eva@example.com"})


def members(world):
    world.create("clients")
    world.create("clients", {"isEndCustomer": True, "email": "eva@example.com", "contact": "Eva"})
    world.round()
    [user] = world.coupontools.directories["dir_7"]
    client = world.create("clients", {"custom": {"directoryUser": user["id"], "blocked": False}})
    world.round()
    world.account.update(world.org, "clients", client, {"custom": {"directoryUser": user["id"], "blocked": True}})
    world.round()
    world.account.update(world.org, "clients", client, {"name": "Another"})


def come_again(world):
    world.create("orders")
    world.create("orders", {"paid": False})
    world.round()
    world.pass_s(14 * 86_400 - 3600)
    world.round()
    assert world.coupontools.mails == []
    world.pass_s(3601)


def buyer(world):
    world.create("orders", {"invoiceId": None})
    world.create("orders")


def clients(world):
    return [
        (client["name"], client["custom"]["origin"], "order" in client["custom"])
        for client in world.account.live(world.org, "clients").values()
    ]


def invoices(world):
    store(world, "0f1e")
    first = world.create("documents", {"number": "1"})
    draft = world.create("documents", {"number": "2", "draft": True})
    gone = world.create("documents", {"number": "3"})
    world.create("documents", {"number": "4", "type": "estimate"})
    world.round()
    world.account.update(world.org, "documents", first, {"totalPaid": 300.0, "totalDue": 249.0})
    world.account.update(world.org, "documents", draft, {"draft": False})
    world.account.soft_delete(world.org, "documents", gone)
    world.round()
    world.account.update(world.org, "documents", draft, {"note": "Changed", "totalPaid": 1.0})


def uploads(world):
    """What is in the datastores, by the number that it is known by, and what is due of it."""
    kept = world.contextual.documents.values()
    assert len({one["name"] for one in kept}) == len(kept)
    return sorted(
        (one["custom_metadata"]["number"], one["custom_metadata"]["due"], world.contextual.uploads[one["id"]].data)
        for one in kept
    )


def catalogue(world):
    store(world, "2d3c")
    kept = world.create("items", {"name": "Pallet"})
    gone = world.create("items", {"name": "Box"})
    world.round()
    world.account.update(world.org, "items", kept, {"price": 46.5})
    world.account.soft_delete(world.org, "items", gone)


def pages(world):
    kept = [world.contextual.uploads[one].data.decode() for one in world.contextual.documents]
    return [re.findall(r"<h1>(.*) \(STO-PAL-M\)</h1>|<p>Price: (.*?) EUR", page) for page in kept]


def assistant(world):
    world.create("units", {"name": "Cold Chain"})


def agents(world):
    names = {one["id"]: one["name"].partition(" (")[0] for one in world.contextual.datastores.values()}
    return [
        (one["name"].partition(" (")[0], [names[store] for store in one["datastore_ids"]])
        for one in world.contextual.agents.values()
    ], len(names)


def estimates(world):
    store(world, "4b5a")
    store(world, "6879")
    for org in world.account.organizations:
        world.account.create(org, "documents", {"type": "estimate"})
    world.account.create(world.org, "documents")


def stores(world):
    return sorted((one["datastore_id"], one["name"].partition("-")[0]) for one in world.contextual.documents.values())


def store(world, name):
    world.contextual.datastores[name] = {"id": name, "name": name, "created_at": "2025-01-01T00:00:00Z"}


def _pdf(number, paid):
    return f'%PDF-1.7\n% ["{number}", {paid}]\n%%EOF'.encode()


class Scenario(NamedTuple):
    happen: Callable
    seen: Callable
    wanted: object


SCENARIOS = {
    "A coupon for each new client": Scenario(
        welcome,
        lambda world: sorted(world.coupontools.mails),
        [("cam_9", EMAIL), ("cam_9", "second@example.com")],
    ),
    "A single-use coupon for a large payment": Scenario(
        large_payment,
        lambda world: [session["customvalcode"] for session in world.coupontools.sessions],
        ["bk-20250212-0091"] * 2,
    ),
    "The receipt, with a coupon in it": Scenario(
        receipt, receipts, (1, [(EMAIL, "Invoice 2025-00017 is paid. This is for you", True)])
    ),
    "A text message when an order is sent": Scenario(
        shipped, lambda world: world.coupontools.texts, [("cam_9", "+38640555303")]
    ),
    "An account for each business client": Scenario(
        partner, lambda world: [one["email"] for one in world.coupontools.subaccounts], [EMAIL]
    ),
    "Members of a directory": Scenario(
        members,
        lambda world: [(one["email"], one["block"]) for one in world.coupontools.directories["dir_7"]],
        [("eva@example.com", True)],
    ),
    "Come again": Scenario(come_again, lambda world: world.coupontools.mails, [("cam_9", "eva.kos@example.com")]),
    "Buyers become clients": Scenario(buyer, clients, [("Eva Kos", "poller", True)]),
    "All invoices in a datastore, as they are now": Scenario(
        invoices, uploads, [("1", 249.0, _pdf("1", 200.0)), ("2", 349.0, _pdf("2", 1.0))]
    ),
    "The catalogue, as pages": Scenario(catalogue, pages, [[("Pallet", ""), ("", "46.5")]]),
    "An assistant for each business unit": Scenario(
        assistant, agents, ([("Accounts of Cold Chain", ["Invoices of Cold Chain"])], 1)
    ),
    "Each organization's estimates in a datastore of its own": Scenario(
        estimates, stores, [("4b5a", "estimate"), ("6879", "estimate")]
    ),
}
EACH = pytest.mark.parametrize("title", SCENARIOS)


def adopt(world, text):
    """Configure it, with the account's organizations for those of the page."""
    for number, name in enumerate(sorted(set(re.findall(r"66f1a2c4d3b7e80012a4c90\d", text)))):
        if number:
            world.account.add_organization("Another")
        text = text.replace(name, world.account.organizations[number])
    world.adopt(text)


def played(world, title):
    """Play a recipe's scenario from its first sight on; the last round."""
    adopt(world, RECIPES[title].complete)
    assert world.round().well
    SCENARIOS[title].happen(world)
    return world.round()


def test_every_recipe_is_played():
    """And has a name for each route, and says what a repeat and a crash do."""
    assert set(RECIPES) == set(SCENARIOS)
    names = [route.get("name") for recipe in RECIPES.values() for route in recipe.routes]
    assert None not in names
    assert len(names) == len(set(names))
    for recipe in RECIPES.values():
        after_block = recipe.text.rpartition("```\n")[2]
        assert after_block.strip().startswith("*Twice:* ")
        assert "\n*After a crash*" in after_block


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.partition("\n")[0])
def test_a_section_is_a_complete_configuration(world, section):
    """It loads as it stands there, its first round is well, and so is one with some of everything."""
    text = "\n".join(BLOCK.findall(section))
    assert len(load_text(world, text).queues()) == sum(len(recipe.routes) for recipe in recipes(section))
    adopt(world, text)
    assert world.round().well
    for name in ("0f1e", "2d3c"):
        store(world, name)
    for resource in ("clients", "documents", "items", "orders", "payments", "units"):
        world.create(resource)
    world.round()
    assert {state for state in world.states() if state != "delivered"} <= {"pending"}  # what is delayed
    assert surprises(world) == []


def surprises(world):
    """Complaints of the servers, but for an old version that is deleted where there is none."""
    return [complaint for complaint in world.complaints if "/none: 404 document not found" not in complaint]


def load_text(world, text):
    path = world.folder / "as-it-stands.toml"
    path.write_text(text)
    return load(path)


@EACH
def test_a_recipe_does_what_it_says(world, title):
    """Each of its routes, and nothing but that."""
    assert played(world, title).well
    scenario = SCENARIOS[title]
    assert scenario.seen(world) == scenario.wanted
    assert surprises(world) == []
    routes = {route["name"] for route in RECIPES[title].routes}
    assert set(world.states("route, state")) == {(name, "delivered") for name in routes}
    assert world.steps() == []


class Losing:
    """In place of what may go wrong: every other answer to an action is lost, from the first or the second on."""

    def __init__(self, first):
        self.first, self.asked = first, 0

    def __bool__(self):
        return True

    def popleft(self):
        self.asked += 1
        return after(500) if self.asked % 2 == self.first % 2 else lambda _server, _call, do: do()


@EACH
@pytest.mark.parametrize("first", [1, 2])
def test_answers_that_are_lost_do_no_harm(world, title, first):
    """The same is to be seen in the end, or it is parked for the operator to look."""
    losing = Losing(first)
    for server in world.servers.values():
        server.faults = losing
    played(world, title)
    assert losing.asked >= 1
    assert SCENARIOS[title].seen(world) == SCENARIOS[title].wanted
    for state, error in world.states("state, error"):
        assert state == "delivered" or error.endswith(UNKNOWN)


def test_a_flood_of_new_clients_waits_for_a_word(world):
    """50 within the hour get their coupon, the next ones when it is approved."""
    adopt(world, RECIPES["A coupon for each new client"].complete)
    world.round()
    world.account.bulk_create(world.org, "clients", [{"email": f"c{number}@example.com"} for number in range(53)])
    world.round()
    assert len(world.coupontools.mails) == 50
    assert world.command("approve", "welcome").stdout == "3 deliveries will be sent\n"
    assert world.round().well
    assert len(world.coupontools.mails) == 53


def test_invoices_that_are_there_already_are_uploaded(world):
    """At the first sight, and nothing is deleted then."""
    store(world, "0f1e")
    world.create("documents")
    adopt(world, RECIPES["All invoices in a datastore, as they are now"].complete)
    assert world.round().well
    assert [one["name"][:3] for one in world.contextual.documents.values()] == ["si-"]
    assert [call.method for call in world.contextual.requests] == ["POST"]
