"""What the API answers to each route."""

import json
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from poller.simulator.account import Account
from poller.simulator.filters import BadFilter, parameter, project, read
from poller.simulator.http import Answer, Request, failure, ok
from poller.simulator.resources import RESOURCES, Fields

PAGE_CAP = 100
"""The most records that a page of the API holds."""

_ID = r"(?P<id>[^/]+)"
_BY_PATH = {row.path.lower(): row for row in RESOURCES.values() if row.name != "prices"}
_BY_ROUTE = {row.route.lower(): row for row in RESOURCES.values()}


def answer(account: Account, request: Request, page_cap: int = PAGE_CAP) -> Answer:
    """The API's proper answer to a request."""
    refused = _unauthorized(account, request)
    if refused is not None:
        return refused
    for pattern, act in _ROUTES:
        found = pattern.fullmatch(f"{request.method} {request.path.rstrip('/')}")
        if found is not None:
            return _tried(act, _Call(account, request, found.groupdict(), page_cap))
    return _no_route(request)


class _Call(NamedTuple):
    """A request on its way to its route, with the named parts of its path."""

    account: Account
    request: Request
    parts: Mapping[str, str]
    page_cap: int


_Act = Callable[[_Call], Answer]


def _tried(act: _Act, call: _Call) -> Answer:
    try:
        return act(call)
    except BadFilter as error:
        return failure(error.status, str(error))
    except LookupError:  # gone between two looks
        return _no_parent(call.parts["id"])


def _unauthorized(account: Account, request: Request) -> Answer | None:
    params = dict(request.params)
    token = params.get("access_token") or request.headers.get("x-access-token") or request.headers.get("authorization")
    if not token:
        return failure(401, "Authorization Required", "AUTHORIZATION_REQUIRED")
    if token != account.token:
        return failure(401, "Invalid Access Token", "INVALID_TOKEN")
    return None


def _no_route(request: Request) -> Answer:
    return failure(404, f"There is no method to handle {request.method} {request.path}")


def _no_parent(record_id: str) -> Answer:
    return failure(404, f"could not find a model with id {record_id}", "MODEL_NOT_FOUND")


def _authorized(call: _Call) -> Answer:
    return ok(call.account.profile)


def _sub_accounts(_call: _Call) -> Answer:
    return ok([])


def _organizations(call: _Call) -> Answer:
    if call.parts["id"] != call.account.profile["id"]:
        return failure(401, "Authorization Required", "AUTHORIZATION_REQUIRED")
    return _shown(call, _Listing("", "organizations"))


def _organization(call: _Call) -> Answer:
    refused = _barred(call.account, call.parts["id"])
    return refused or ok(call.account.organization(call.parts["id"]))


def _barred(account: Account, org: str) -> Answer | None:
    if org in account.forbidden:
        return failure(401, "Authorization Required", "AUTHORIZATION_REQUIRED")
    return None if org in account.organizations else _no_parent(org)


class _Listing(NamedTuple):
    """Which listing: an organization's, a price list's, or the part where ``also`` holds."""

    org: str
    resource: str
    parent: str = ""
    also: Fields | None = None


def _shown(call: _Call, listing: _Listing) -> Answer:
    """The listing's count, a new record in it, or a page of it, as the request has it."""
    if call.parts.get("count"):
        return _counted(call, listing)
    if call.request.method == "POST":
        return _posted(call, listing)
    sent = parameter(call.request.params, "filter") or {}
    if listing.also:
        sent = sent | {"where": {"and": [listing.also, sent.get("where") or {}]}}
    found = call.account.find(listing.org, listing.resource, read(sent, call.page_cap), parent=listing.parent)
    return Answer(200, b"[" + b",".join(found.bodies) + b"]").header("x-total-count", str(found.total))


def _counted(call: _Call, listing: _Listing) -> Answer:
    where = parameter(call.request.params, "where") or {}
    where = {"and": [listing.also, where]} if listing.also else where
    return ok({"count": call.account.count(listing.org, listing.resource, where, parent=listing.parent)})


def _posted(call: _Call, listing: _Listing) -> Answer:
    row, fields = RESOURCES[listing.resource], _fields(call.request) | (listing.also or {})
    missing = [name for name in row.required if fields.get(name) in (None, "")]
    if missing:
        details = {"context": row.model, "codes": {name: ["presence"] for name in missing}}
        message = f"The `{row.model}` instance is not valid. Details: `{missing[0]}` can't be blank."
        return failure(422, message, None, name="ValidationError", details=details)
    record_id = call.account.insert(listing.org, row.name, fields, parent=listing.parent)
    return ok(call.account.get(row.name, record_id))


def _list(call: _Call) -> Answer:
    row = _BY_PATH.get(call.parts["path"].lower())
    if row is None or (call.request.method == "POST" and not row.writes):
        return _no_route(call.request)
    refused = _barred(call.account, call.parts["id"])
    return refused or _shown(call, _Listing(call.parts["id"], row.name))


def _prices(call: _Call) -> Answer:
    org = _owner(call, "price_lists")
    if org is None:
        return _no_parent(call.parts["id"])
    return _barred(call.account, org) or _shown(call, _Listing(org, "prices", call.parts["id"]))


def _document_payments(call: _Call) -> Answer:
    org = _owner(call, "documents")
    if org is None:
        return _no_parent(call.parts["id"])
    own = {"documentId": call.parts["id"]}
    return _barred(call.account, org) or _shown(call, _Listing(org, "payments", also=own))


def _owner(call: _Call, resource: str) -> str | None:
    """The organization of the live record that the path names."""
    shown = call.account.get(resource, call.parts["id"])
    gone = shown is None or shown.get("_isDeleted")
    return None if gone else call.account.owner(resource, call.parts["id"])


def _fields(request: Request) -> Fields:
    try:
        body = json.loads(request.body or b"{}")
    except ValueError as error:
        raise BadFilter(400, "Unexpected token in JSON") from error
    if not isinstance(body, dict):
        raise BadFilter(400, "The body is not an object")
    return body


def _one(call: _Call) -> Answer:
    row, method, record_id = _BY_ROUTE.get(call.parts["route"].lower()), call.request.method, call.parts["id"]
    if row is None or not (row.gets if method == "GET" else row.writes):
        return _no_route(call.request)
    org = _owner(call, row.name)
    if org is not None and org in call.account.forbidden:
        return failure(401, "Authorization Required", "AUTHORIZATION_REQUIRED")
    if method == "DELETE":
        return ok({"count": call.account.soft_delete(org or "", row.name, record_id)})
    if org is None:
        return failure(404, f'Unknown "{row.model}" id "{record_id}".', "MODEL_NOT_FOUND")
    if method != "GET":
        call.account.update(org, row.name, record_id, _fields(call.request))
    shown = call.account.get(row.name, record_id) or {}
    fields = (parameter(call.request.params, "filter") or {}).get("fields")
    return ok(project(shown, fields) if fields else shown)


def _route(pattern: str, act: _Act) -> tuple[re.Pattern[str], _Act]:
    return re.compile(pattern.replace("ID", _ID), re.IGNORECASE), act


_ROUTES = (
    _route("GET /v1/accounts/authorized", _authorized),
    _route("GET /v1/accounts", _sub_accounts),
    _route("GET /v1/accounts/ID/organizations(?P<count>/count)?", _organizations),
    _route("GET /v1/organizations/ID", _organization),
    _route("(GET|POST) /v1/organizations/ID/(?P<path>[a-z]+)", _list),
    _route("GET /v1/organizations/ID/(?P<path>[a-z]+)(?P<count>/count)", _list),
    _route("(GET|POST) /v1/pricelists/ID/prices", _prices),
    _route("GET /v1/pricelists/ID/prices(?P<count>/count)", _prices),
    _route("(GET|POST) /v1/documents/ID/payments", _document_payments),
    _route("GET /v1/documents/ID/payments(?P<count>/count)", _document_payments),
    _route("(GET|PATCH|PUT|DELETE) /v1/(?P<route>[a-z]+)/ID", _one),
)
