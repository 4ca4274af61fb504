"""The actions of Space Invoices v1 as documented: clients, mails of documents, PDFs."""

import json
from datetime import UTC, datetime
from itertools import count
from urllib.parse import unquote

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

from poller.simulator import http, routes

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

    def __init__(self, token=TOKEN):
        super().__init__()
        self.token = token
        self.clients, self.mails = [], []
        self._numbers = count(1)

    def authorize(self, call):
        if call.headers.get("authorization") != self.token:
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
            raise _unknown(document)
        return {"number": "2025-00017"}

    def create_client(self, call, org):
        self._organization(org)
        fields = {
            "name": required(),
            "custom": optional(dict),
            "taxSubject": optional(bool),
            "isEndCustomer": optional(bool),
            **dict.fromkeys(_TEXTS, optional()),
        }
        return ok(self._add(org, {"custom": {}, **take_json(call, fields)}))

    def _add(self, org, client):
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        made = {**client, "id": f"{next(self._numbers):024x}", "organizationId": org, "createdAt": now}
        self.clients.append({**made, "updatedAt": now, "_isDeleted": False})
        return self.clients[-1]

    def _all(self, _org):
        return self.clients

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
        found = [one for one in self._all(org) if all(one.get(key) == value for key, value in where.items())]
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
        number = self._document(document)["number"]
        if complaint := one_of(*LANGUAGES, None)(take_query(call, ("l",)).get("l")):
            raise Wrong(422, f"l {complaint}")
        headers = (
            ("Content-Type", "application/pdf"),
            ("Content-Disposition", f'attachment; filename="{number}.pdf"'),
        )
        return Answer(200, self._pdf(document), headers)

    def _pdf(self, _document):
        return PDF

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


class Polled(SpaceInvoices):
    """The same over a simulated account that is polled, too: what an action makes, the next poll finds.

    ``requests`` and ``faults`` are of actions and their looks only.
    """

    def __init__(self, account):
        super().__init__(account.token)
        self.account = account

    def answer(self, call):
        if call.method == "POST" or call.path.endswith("/pdf") or _is_look(call):
            return super().answer(call)
        params = tuple((name, value) for name, values in call.query.items() for value in values)
        said = routes.answer(self.account, http.Request(call.method, unquote(call.path), params, call.headers))
        return Answer(said.status, said.body, said.headers)

    def _organization(self, org):
        if org not in self.account.organizations:
            super()._organization(org)

    def _document(self, document):
        found = self.account.get("documents", document)
        if found is None or found["_isDeleted"]:
            raise _unknown(document)
        return found

    def _add(self, org, client):
        return self.account.get("clients", self.account.insert(org, "clients", client))

    def _all(self, org):
        return list(self.account.live(org, "clients").values())

    def _pdf(self, document):
        found = self._document(document)
        return b"%%PDF-1.7\n%% %b\n%%%%EOF" % json.dumps([found["number"], found["totalPaid"]]).encode()


def _is_look(call):
    """A poll asks by time or by id."""
    return call.path.endswith("/clients") and "name" in json.loads(call.query.get("filter", ["{}"])[0]).get("where", {})


def _unknown(document):
    return Wrong(404, f'Unknown "Document" id "{document}".', code="MODEL_NOT_FOUND")


def _json_list(text):
    try:
        return None if isinstance(json.loads(text), list) else "is no list"
    except ValueError:
        return "is no JSON"
