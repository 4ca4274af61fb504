"""Every shipped action, ready to be done: what is said of it, what has to be there, and what is to be seen after it.

``effects`` reads the state of the strict server: what it gives after the action was done once is ``once``, and after a
second time ``twice``, so that a repeat shows.
"""

from collections.abc import Callable
from typing import NamedTuple

from systems.contextual import ContextualAI
from systems.coupontools import Coupontools
from systems.spaceinvoices import DOCUMENT, SpaceInvoices

SERVERS = {"coupontools": Coupontools, "contextual-ai": ContextualAI, "space-invoices": SpaceInvoices}

STORE, DOC, AGENT = "ds-1", "doc-1", "agent-1"
PAGE = "<!doctype html><title>Račun</title>"


def _nothing(server):
    """Nothing has to be there."""


def _furnish(server):
    """A datastore with two documents, one that no agent uses, and an agent."""
    for name in (STORE, "ds-2"):
        server.datastores[name] = {"id": name, "name": f"Name of {name}", "created_at": "2025-01-01T00:00:00Z"}
    for name in (DOC, "doc-2"):
        server.documents[name] = {
            "id": name,
            "name": f"{name}.pdf",
            "status": "completed",
            "created_at": "2025-01-01T00:00:00Z",
            "updated_at": "2025-01-01T00:00:00Z",
            "custom_metadata": {},
            "datastore_id": STORE,
        }
    server.agents[AGENT] = {
        "id": AGENT,
        "name": "Clerk",
        "description": "",
        "datastore_ids": ["ds-2"],
        "system_prompt": "Be brief.",
    }


def _registered(server):
    server.directories["dir_7"].append({"id": "reg_1", "email": "someone@example.com"})


class Scene(NamedTuple):
    do: str
    given: dict
    effects: Callable
    once: object
    twice: object
    ready: Callable = _nothing


def _reads(do, given):
    return Scene(do, given, lambda server: (len(server.documents), len(server.agents)), (2, 1), (2, 1), _furnish)


_SCENES = (
    Scene(
        "coupontools.send_coupon_by_email",
        {
            "campaign": "cam_9",
            "email": "${data._documentClient.email}",
            "subject": "Hvala, ${data._documentClient.name}",
        },
        lambda server: len(server.mails),
        1,
        1,
    ),
    Scene(
        "coupontools.send_coupon_by_sms",
        {"campaign": "cam_9", "phone": "+38640555123", "body": "Thanks for ${data.number}"},
        lambda server: len(server.texts),
        1,
        2,
    ),
    Scene(
        "coupontools.create_single_use_session",
        {"campaign": "cam_9", "email": "${data._documentClient.email}", "expiry_date": "2027-01-31:23:59:59"},
        lambda server: len(server.sessions),
        1,
        1,
    ),
    Scene(
        "coupontools.create_subaccount",
        {"email": "shop@example.com", "status": "trial", "country": "SI", "company_name": "Orbit"},
        lambda server: len(server.subaccounts),
        1,
        1,
    ),
    Scene(
        "coupontools.create_directory_user",
        {"directory_id": "dir_7", "email": "Maja@example.com", "first_name": "Maja", "custom_1": "${data.number}"},
        lambda server: len(server.directories["dir_7"]),
        1,
        2,
    ),
    Scene(
        "coupontools.change_status_directory_user",
        {"directory_id": "dir_7", "user_id": "reg_1", "block": "${data.paidInFull == `false`}"},
        lambda server: [user.get("block") for user in server.directories["dir_7"]],
        [True],
        [True],
        _registered,
    ),
    Scene(
        "contextual-ai.create_datastore",
        {"name": "Invoices of ${event.organization}", "configuration": {"chunking": {"max_chunk_length_tokens": 512}}},
        lambda server: len(server.datastores),
        1,
        2,
    ),
    _reads("contextual-ai.list_datastores", {"agent_id": AGENT, "limit": 10}),
    _reads("contextual-ai.get_datastore_metadata", {"datastore_id": STORE}),
    Scene(
        "contextual-ai.reset_datastore", {"datastore_id": STORE}, lambda server: len(server.documents), 0, 0, _furnish
    ),
    Scene(
        "contextual-ai.delete_datastore",
        {"datastore_id": STORE},
        lambda server: list(server.datastores),
        ["ds-2"],
        ["ds-2"],
        _furnish,
    ),
    _reads(
        "contextual-ai.list_documents",
        {"datastore_id": STORE, "document_name_prefix": "doc", "ingestion_job_status": ["completed", "failed"]},
    ),
    _reads("contextual-ai.get_document_metadata", {"datastore_id": STORE, "document_id": DOC}),
    Scene(
        "contextual-ai.delete_document",
        {"datastore_id": STORE, "document_id": DOC},
        lambda server: list(server.documents),
        ["doc-2"],
        ["doc-2"],
        _furnish,
    ),
    _reads("contextual-ai.list_agents", {"limit": 10}),
    Scene(
        "contextual-ai.create_agent",
        {
            "name": "Billing",
            "datastore_ids": [STORE],
            "system_prompt": "Cite numbers.",
            "suggested_queries": ["Who owes?"],
        },
        lambda server: len(server.agents),
        2,
        3,
        _furnish,
    ),
    Scene(
        "contextual-ai.reset_agent",
        {"agent_id": AGENT},
        lambda server: server.agents[AGENT].get("system_prompt"),
        None,
        None,
        _furnish,
    ),
    Scene("contextual-ai.delete_agent", {"agent_id": AGENT}, lambda server: len(server.agents), 0, 0, _furnish),
    _reads("contextual-ai.get_agent_metadata", {"agent_id": AGENT}),
    Scene(
        "contextual-ai.ingest_document",
        {
            "datastore_id": STORE,
            "file": PAGE,
            "filename": "si-${data.id}-1.html",
            "custom_metadata": {
                "number": "${data.number}",
                "total": "${data.totalWithTax}",
                "paid": "${data.paidInFull}",
            },
        },
        lambda server: len(server.documents),
        3,
        4,
        _furnish,
    ),
    Scene(
        "contextual-ai.set_document_metadata",
        {"datastore_id": STORE, "document_id": DOC, "custom_metadata": {"due": "${data.totalDue}"}},
        lambda server: server.documents[DOC]["custom_metadata"],
        {"due": 349.0},
        {"due": 349.0},
        _furnish,
    ),
    Scene(
        "space-invoices.create_client",
        {"name": "${data._documentClient.name}", "custom": {"crmId": "C-1"}, "taxSubject": True},
        lambda server: len(server.clients),
        1,
        2,
    ),
    Scene(
        "space-invoices.send_document_by_email",
        {"id": "${data.id}", "recipients": "a@example.com, b@example.com", "subject": "Račun & co", "sendCopy": True},
        lambda server: len(server.mails),
        1,
        2,
    ),
    Scene("space-invoices.get_document_pdf", {"id": DOCUMENT, "l": "sl"}, lambda server: len(server.mails), 0, 0),
)

SCENES = {scene.do: scene for scene in _SCENES}
