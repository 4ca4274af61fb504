"""For every shipped action a trigger, what is said of it, and what it leaves at its system."""

from collections.abc import Callable
from typing import NamedTuple

from systems.scenes import AGENT, DOC, PAGE, SCENES, STORE
from systems.world import route, table

from poller.actions import find, systems
from poller.sources.spaceinvoices import RESOURCES

TRIGGERS = {
    f"{row.singular}.{kind}": row.name for row in RESOURCES.values() for kind in ("created", "updated", "deleted")
}


class Row(NamedTuple):
    """An action as a route does it: on what, with what; ``seen`` is what it leaves at its system: ``wanted``.

    ``told`` is what a second step tells the datastore of the first one's result.
    """

    on: str
    given: dict
    seen: Callable
    wanted: object
    told: str = ""


def _told(on, given, told, wanted):
    return Row(on, given, lambda world: world.contextual.documents[DOC]["custom_metadata"]["told"], wanted, told)


EMAIL = "billing@orbit-logistics.example"

ROWS = {
    "coupontools.send_coupon_by_email": Row(
        "client.created",
        {"campaign": "cam_9", "email": "${data.email}", "firstname": "${data.contact}"},
        lambda world: world.coupontools.mails,
        [("cam_9", EMAIL)],
    ),
    "coupontools.send_coupon_by_sms": Row(
        "order.updated",
        {"campaign": "cam_9", "phone": "+38640555303", "body": "Order ${data.number} is on its way."},
        lambda world: world.coupontools.texts,
        [("cam_9", "+38640555303")],
    ),
    "coupontools.create_single_use_session": Row(
        "payment.created",
        {"campaign": "cam_10", "customvalcode": "${data.transactionId}"},
        lambda world: [(one["campaign"], one["customvalcode"]) for one in world.coupontools.sessions],
        [("cam_10", "bk-20250212-0091")],
    ),
    "coupontools.create_subaccount": Row(
        "unit.created",
        {"email": "${data.email}", "company_name": "${data.name}", "country": "${data.countryAlpha2Code}"},
        lambda world: [(one["email"], one["company_name"], one["country"]) for one in world.coupontools.subaccounts],
        [("cold@lunar-freight.example", "Lunar Freight Cold Chain", "SI")],
    ),
    "coupontools.create_directory_user": Row(
        "client.updated",
        {"directory_id": "dir_7", "email": "${data.email}", "city": "${data.city}"},
        lambda world: [(one["email"], one["city"]) for one in world.coupontools.directories["dir_7"]],
        [(EMAIL, "Ljubljana")],
    ),
    "coupontools.change_status_directory_user": Row(
        "client.deleted",
        {"directory_id": "dir_7", "user_id": "reg_1", "block": True},
        lambda world: [one.get("block") for one in world.coupontools.directories["dir_7"]],
        [True],
    ),
    "contextual-ai.create_datastore": Row(
        "category.created",
        {"name": "${data.alias} of ${event.organization}"},
        lambda world: [one["name"].partition(" of ")[0] for one in world.contextual.datastores.values()],
        ["storage-income"],
    ),
    "contextual-ai.list_datastores": _told("tax.created", {"limit": 2}, "${steps.it.datastores[].id | [0]}", STORE),
    "contextual-ai.get_datastore_metadata": _told(
        "tax.updated", {"datastore_id": STORE}, "${steps.it.name}", f"Name of {STORE}"
    ),
    "contextual-ai.reset_datastore": Row(
        "category.updated", {"datastore_id": STORE}, lambda world: list(world.contextual.documents), []
    ),
    "contextual-ai.delete_datastore": Row(
        "category.deleted", {"datastore_id": STORE}, lambda world: list(world.contextual.datastores), ["ds-2"]
    ),
    "contextual-ai.list_documents": _told(
        "recurrence.created",
        {"datastore_id": STORE, "document_name_prefix": "doc-2"},
        "${steps.it.documents[0].name}",
        "doc-2.pdf",
    ),
    "contextual-ai.get_document_metadata": _told(
        "recurrence.updated", {"datastore_id": STORE, "document_id": DOC}, "${steps.it.status}", "completed"
    ),
    "contextual-ai.delete_document": Row(
        "document.deleted",
        {"datastore_id": STORE, "document_id": DOC},
        lambda world: list(world.contextual.documents),
        ["doc-2"],
    ),
    "contextual-ai.list_agents": _told("item.created", {"limit": 1}, "${steps.it.agents[0].name}", "Clerk"),
    "contextual-ai.create_agent": Row(
        "unit.updated",
        {"name": "${data.name}", "datastore_ids": [STORE]},
        lambda world: [one["name"] for one in world.contextual.agents.values()],
        ["Clerk", "Another name"],
    ),
    "contextual-ai.reset_agent": Row(
        "item.updated",
        {"agent_id": AGENT},
        lambda world: world.contextual.agents[AGENT].get("system_prompt"),
        None,
    ),
    "contextual-ai.delete_agent": Row(
        "unit.deleted", {"agent_id": AGENT}, lambda world: list(world.contextual.agents), []
    ),
    "contextual-ai.get_agent_metadata": _told(
        "price.created", {"agent_id": AGENT}, "${steps.it.agent_usages.query}", 3
    ),
    "contextual-ai.ingest_document": Row(
        "item.deleted",
        {"datastore_id": STORE, "file": PAGE, "filename": "si-${data.SKU}.html"},
        lambda world: [one["name"] for one in world.contextual.documents.values()],
        ["doc-1.pdf", "doc-2.pdf", "si-STO-PAL-M.html"],
    ),
    "contextual-ai.set_document_metadata": Row(
        "payment.deleted",
        {"datastore_id": STORE, "document_id": DOC, "custom_metadata": {"lost": "${data.amount}"}},
        lambda world: world.contextual.documents[DOC]["custom_metadata"],
        {"lost": 200.0},
    ),
    "space-invoices.create_client": Row(
        "order.created",
        {"name": "${data._billingAddress.name}", "email": "${data._billingAddress.email}"},
        lambda world: [one["email"] for one in world.account.live(world.org, "clients").values()],
        ["eva.kos@example.com"],
    ),
    "space-invoices.send_document_by_email": Row(
        "document.updated",
        {"id": "${data.id}", "recipients": "${data._documentClient.email}", "subject": "Račun ${data.number}"},
        lambda world: [(one["recipients"], one["subject"]) for one in world.invoices.mails],
        [(EMAIL, "Račun 2025-00017")],
    ),
    "space-invoices.get_document_pdf": Row(
        "document.created",
        {"id": "${data.id}", "l": "sl"},
        lambda world: world.contextual.documents[DOC]["custom_metadata"]["told"],
        "file",
        "${type(steps.it)}",
    ),
}
FIELDS = {"item": ("price", 43.5), "category": ("description", "Another"), "order": ("fulfilled", True)}
"""What an update changes where that is no name."""


def action_of(do):
    return find(do, systems())[1]


def routed(do, name="it"):
    """A route of one step, or of two that tell of the first one's result."""
    row = ROWS[do]
    if not row.told:
        allowed = {"allow_destructive": True} if action_of(do).destructive else {}
        return route(row.on, do, row.given, name=name, **allowed)
    told = {"datastore_id": STORE, "document_id": DOC, "custom_metadata": {"told": row.told}}
    steps = [("it", do, row.given), ("tell", "contextual-ai.set_document_metadata", told)]
    made = [table("route.step", id=step, do=action, with_=given) for step, action, given in steps]
    return route(row.on, name=name) + "".join(made)


def before(world, trigger):
    """A record that is there before the change, where it takes one."""
    return None if trigger.endswith(".created") else world.create(TRIGGERS[trigger])


def happen(world, trigger, record=None):
    """Change the account so that this is triggered."""
    resource, (singular, _, kind) = TRIGGERS[trigger], trigger.partition(".")
    if kind == "created":
        world.create(resource)
    elif kind == "updated":
        field, value = FIELDS.get(singular, ("name", "Another name"))
        world.account.update(world.org, resource, record, {field: value})
    else:
        world.account.soft_delete(world.org, resource, record)


def furnish(world, *actions):
    """Have ready at the systems what these actions need there."""
    for do in dict.fromkeys(actions):
        scene = SCENES[do]
        scene.ready(world.servers[do.partition(".")[0]])


OWN = """
[connections.space-invoices]
base_url = "{url}"
token = {{ env = "SPACE_INVOICES_TOKEN" }}
timeout = "1s"
"""
"""A connection to the account of its own, in place of the source's."""
