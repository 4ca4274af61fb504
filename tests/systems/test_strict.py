"""The strict servers refuse what is not documented: else a test against them would prove nothing."""

import json
from urllib.parse import urlencode

import httpx
import pytest
from systems import contextual, coupontools, spaceinvoices
from systems.contextual import ContextualAI
from systems.coupontools import Coupontools
from systems.spaceinvoices import DOCUMENT, ORG, SpaceInvoices

CT = {"X-Client-Id": coupontools.CLIENT_ID, "X-Client-Secret": coupontools.CLIENT_SECRET}
CA = {"Authorization": f"Bearer {contextual.API_KEY}"}
SI = {"Authorization": spaceinvoices.TOKEN}
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def servers():
    with Coupontools() as first, ContextualAI() as second, SpaceInvoices() as third:
        second.datastores["d"] = {"id": "d", "name": "d"}
        yield {"ct": first, "ca": second, "si": third}


def ask(server, method, path, headers, content=b""):
    return httpx.request(method, server.url + path, headers=headers, content=content, trust_env=False)


def body(**fields):
    return json.dumps(fields).encode()


CLIENTS = f"/Organizations/{ORG}/clients"
MAIL = f"/Documents/{DOCUMENT}/send"

GOOD = [
    ("ct", "POST", "/v3/send/email", CT | JSON, body(campaign="cam_9", email="a@b.si")),
    ("ca", "POST", "/datastores", CA | JSON, body(name="x")),
    ("ca", "GET", "/datastores?limit=5", CA, b""),
    ("si", "POST", CLIENTS, SI | JSON, body(name="x")),
    ("si", "POST", MAIL + "?l=sl", SI | FORM, urlencode({"recipients": "a@b.si"}).encode()),
    ("si", "GET", f"/Documents/{DOCUMENT}/pdf", SI, b""),
]


@pytest.mark.parametrize(("name", "method", "path", "headers", "content"), GOOD)
def test_what_is_documented_is_done(servers, name, method, path, headers, content):
    """So that the refusals below are for what is wrong with them."""
    answer = ask(servers[name], method, path, headers, content)
    assert answer.status_code == 200
    assert b"failed" not in answer.content


BAD = {
    "a wrong method": ("ca", "POST", "/datastores/d/metadata", CA | JSON, body(), 405),
    "a wrong path": ("ca", "GET", "/datastore", CA, b"", 404),
    "no key": ("ca", "GET", "/datastores", {}, b"", 401),
    "a wrong key": ("ca", "GET", "/datastores", {"Authorization": "Bearer x"}, b"", 401),
    "a key without Bearer": ("ca", "GET", "/datastores", {"Authorization": contextual.API_KEY}, b"", 401),
    "a token with Bearer": ("si", "POST", CLIENTS, {"Authorization": f"Bearer {spaceinvoices.TOKEN}"}, b"", 401),
    "an unknown field": ("ca", "POST", "/datastores", CA | JSON, body(name="x", nam="y"), 422),
    "a missing field": ("ca", "POST", "/datastores", CA | JSON, body(), 422),
    "a wrong type": ("ca", "POST", "/datastores", CA | JSON, body(name=5), 422),
    "a boolean for a text": ("si", "POST", CLIENTS, SI | JSON, body(name=True), 422),
    "a wrong content type": ("ca", "POST", "/datastores", CA | FORM, b"name=x", 415),
    "no content type": ("ca", "POST", "/datastores", CA, body(name="x"), 415),
    "broken JSON": ("ca", "POST", "/datastores", CA | JSON, b"{", 400),
    "a body where none is": ("ca", "GET", "/datastores", CA | JSON, body(), 422),
    "an unknown parameter": ("ca", "GET", "/datastores?page=2", CA, b"", 422),
    "a repeated parameter": ("ca", "GET", "/datastores?limit=2&limit=3", CA, b"", 422),
    "a limit beyond": ("ca", "GET", "/datastores/d/documents?limit=1001", CA, b"", 422),
    "an upload as JSON": ("ca", "POST", "/datastores/d/documents", CA | JSON, body(file="x"), 415),
    "a mail as JSON": ("si", "POST", MAIL, SI | JSON, body(recipients="a@b.si"), 415),
    "a list of recipients": (
        "si",
        "POST",
        MAIL,
        SI | FORM,
        urlencode({"recipients": '["a@b.si"]'}).encode() + b"&x=",
        422,
    ),
    "an unknown language": ("si", "POST", MAIL + "?l=xx", SI | FORM, urlencode({"recipients": "a@b.si"}).encode(), 422),
    "an unknown property": ("si", "POST", CLIENTS, SI | JSON, body(name="x", crmId="1"), 422),
    "another's organization": ("si", "POST", f"/Organizations/{'f' * 24}/clients", SI | JSON, body(name="x"), 401),
    "another document": ("si", "GET", f"/Documents/{'f' * 24}/pdf", SI, b"", 404),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_not_documented_is_refused(servers, what):
    """And is complained about."""
    name, method, path, headers, content, status = BAD[what]
    complaints = len(servers[name].complaints)
    assert ask(servers[name], method, path, headers, content).status_code == status
    assert len(servers[name].complaints) == complaints + 1


ENVELOPES = {
    "no secret": ({"X-Client-Id": coupontools.CLIENT_ID}, body(campaign="cam_9", email="a@b.si"), 1000),
    "a missing field": (CT, body(campaign="cam_9"), 200),
    "an unknown field": (CT, body(campaign="cam_9", email="a@b.si", first_name="A"), 301),
    "a text for a boolean": (CT, body(campaign="cam_9", email="a@b.si", check_unique="true"), 301),
    "an unknown campaign": (CT, body(campaign="cam_0", email="a@b.si"), 502),
}


@pytest.mark.parametrize("what", ENVELOPES)
@pytest.mark.parametrize("status", [200, None])
def test_an_envelope_tells_the_failure(what, status):
    """With 200, or with the status that its text speaks of: which one is not documented."""
    headers, content, code = ENVELOPES[what]
    with Coupontools(envelope_status=status) as server:
        answer = ask(server, "POST", "/v3/send/email", headers | JSON, content)
    assert answer.status_code == (status or (401 if code == 1000 else 422))
    assert answer.json()["status"]["status"] == "failed"
    assert answer.json()["status"]["errors"]["error_code"] == code
    assert server.mails == []


def upload(server, filename="a.pdf", **fields):
    files = {"file": (filename, b"%PDF", "application/pdf")}
    return httpx.post(server.url + "/datastores/d/documents", headers=CA, files=files, data=fields, trust_env=False)


def test_an_upload_is_as_documented(servers):
    """A file of a known kind, and metadata as a JSON text."""
    good = json.dumps({"custom_metadata": {"a": 1}})
    assert upload(servers["ca"], metadata=good).status_code == 201
    for filename, fields in [
        ("a.json", {}),
        ("a.pdf", {"metadata": "x"}),
        ("a.pdf", {"metadata": json.dumps({"custom": {}})}),
        ("a.pdf", {"metadata": json.dumps({"custom_metadata": {"a": {}}})}),
        ("a.pdf", {"metadata": json.dumps({"custom_metadata": {f"f{n}": n for n in range(16)}})}),
        ("a.pdf", {"meta": good}),
    ]:
        assert upload(servers["ca"], filename, **fields).status_code == 422
