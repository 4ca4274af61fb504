"""The actions of Space Invoices v1 as documented: clients, mails of documents, PDFs."""

import json
from datetime import UTC, datetime
from itertools import count

from systems.server import (
    Answer,
    StrictServer,
    Wrong,
    matching,
    no_body,
    ok,
    one_of,
    optional,
    required,
    take_form,
    take_json,
    take_query,
)

TOKEN = "si-token-8acf0f1e2d"
ORG = "66f1a2c4d3b7e80012a4c901"
DOCUMENT = "67a0b35be4f5a60013b7d00c"
LANGUAGES = ("en", "sl", "de", "it", "es", "fr", "cz")
PDF = b"%PDF-1.7\n" + bytes(range(256)) + b"\n%%EOF"

_ADDRESSES = matching(r"[^@\s,]+@[^@\s,]+(, ?[^@\s,]+@[^@\s,]+)*")
_TEXTS = (
    *("address", "address2", "city", "zip", "state", "country", "countryAlpha2Code", "taxNumber", "companyNumber"),
    *("IBAN", "bank", "SWIFT", "website", "email", "phone", "contact", "note", "type"),
)


class SpaceInvoices(StrictServer):
    """One organization with one document; ``mails`` are those that were sent."""

    base_path = "/v1"

    def __init__(self):
        super().__init__()
        self.clients, self.mails = [], []
        self._numbers = count(1)

    def authorize(self, call):
        if call.headers.get("authorization") != TOKEN:
            raise Wrong(401, "Invalid Access Token", code="INVALID_TOKEN")

    def refused(self, wrong):
        error = {"statusCode": wrong.status, "name": "Error", "message": str(wrong)}
        if "code" in wrong.more:
            error["code"] = wrong.more["code"]
        return ok({"error": error}, wrong.status)

    def _organization(self, org):
        if org != ORG:
            raise Wrong(401, "Authorization Required", code="AUTHORIZATION_REQUIRED")

    def _document(self, document):
        if document != DOCUMENT:
            raise Wrong(404, f'Unknown "Document" id "{document}".', code="MODEL_NOT_FOUND")

    def create_client(self, call, org):
        self._organization(org)
        fields = {
            "name": required(),
            "custom": optional(dict),
            "taxSubject": optional(bool),
            "isEndCustomer": optional(bool),
            **dict.fromkeys(_TEXTS, optional()),
        }
        said = take_json(call, fields)
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        made = {"custom": {}, **said, "id": f"{next(self._numbers):024x}", "organizationId": org, "createdAt": now}
        self.clients.append({**made, "updatedAt": now, "_isDeleted": False})
        return ok(self.clients[-1])

    def list_clients(self, call, org):
        no_body(call)
        self._organization(org)
        said = take_query(call, ("filter",))
        sent = json.loads(said.get("filter", "{}"))
        where = sent.get("where", {})
        if set(sent) - {"where", "order", "limit", "deleted", "fields"} or set(where) - {"name", "id", "email"}:
            raise Wrong(400, "a filter that is not documented")
        if not 1 <= sent.get("limit", 100) <= 100:
            raise Wrong(400, "limit")
        found = [one for one in self.clients if all(one.get(key) == value for key, value in where.items())]
        return ok(found[::-1][: sent.get("limit", 100)])

    def send_document(self, call, document):
        self._document(document)
        if complaint := one_of(*LANGUAGES, None)(take_query(call, ("l",)).get("l")):
            raise Wrong(422, f"l {complaint}")
        booleans = dict.fromkeys(
            ("sendCopy", "associateEmail", "sendEslogAttachment"), optional(check=one_of("true", "false"))
        )
        texts = {"subject": optional(), "message": optional(), "excludedAttachmentIds": optional(check=_json_list)}
        self.mails.append(take_form(call, {"recipients": required(check=_ADDRESSES), **texts, **booleans}))
        return ok({"success": True})

    def pdf(self, call, document):
        no_body(call)
        self._document(document)
        if complaint := one_of(*LANGUAGES, None)(take_query(call, ("l",)).get("l")):
            raise Wrong(422, f"l {complaint}")
        headers = (
            ("Content-Type", "application/pdf"),
            ("Content-Disposition", 'attachment; filename="2025-00017.pdf"'),
        )
        return Answer(200, PDF, headers)

    def authorized(self, call):
        no_body(call)
        return ok({"id": "66f1a1b0d3b7e80012a4c8fe"})

    routes = (
        ("GET", "/Accounts/authorized", authorized),
        ("GET", "/Organizations/{org}/clients", list_clients),
        ("POST", "/Organizations/{org}/clients", create_client),
        ("POST", "/Documents/{document}/send", send_document),
        ("GET", "/Documents/{document}/pdf", pdf),
    )


def _json_list(text):
    try:
        return None if isinstance(json.loads(text), list) else "is no list"
    except ValueError:
        return "is no JSON"
