"""docs/webhooks.md: its examples work, its tables are true."""

import json
import re
import shutil
import subprocess
import textwrap
import time
from pathlib import Path

import pytest
from standardwebhooks import WebhookVerificationError

from poller import signing
from poller.config import load
from poller.envelope import Message, array
from poller.guard import refusal
from poller.model import Delivered, Delivery, Gone, Later, Refused
from poller.retry import outcome

TEXT = (Path(__file__).parent.parent / "docs" / "webhooks.md").read_text()
BODY = '{"id":"evt_a","data":{"name":"Žiga","total":10.10}}'.encode()
ONE = Message("evt_a", "", BODY)
WORDS = {Delivered: "yes", Later: "later", Refused: "no", Gone: "gone"}


def blocks(language):
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", TEXT, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(code) for _, code in found]


def rows(header):
    """The cells of the table that begins with ``header``."""
    lines = TEXT[TEXT.index(f"| {header} |") :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def signed(secrets, age_s, message=ONE):
    """The headers of a request that is signed by all of them."""
    sent_s = int(time.time()) - age_s
    value = signing.signature([signing.key(secret) for secret in secrets], message.id, sent_s, message.body)
    return {"webhook-id": message.id, "webhook-timestamp": str(sent_s), "webhook-signature": value}


HMAC, OTHER, PAIR, PAIR_2 = signing.new_secret(), signing.new_secret(), signing.new_pair(), signing.new_pair()
DAMAGED = BODY.replace(b"10.10", b"10.1")
CASES = [  # whose signatures, how old, which body, and whether it is good by HMAC, and by PAIR
    ([HMAC], 0, BODY, True, False),
    ([OTHER], 0, BODY, False, False),
    ([OTHER, HMAC], 0, BODY, True, False),
    ([PAIR_2.secret, PAIR.secret, HMAC], 0, BODY, True, True),
    ([HMAC, PAIR.secret], 0, DAMAGED, False, False),
    ([HMAC, PAIR.secret], 1000, BODY, False, False),
]


def test_there_are_as_many_examples_as_are_tested():
    """One by the library, one by hand, one for ed25519; for batches one by the library, in Python only."""
    assert (len(blocks("python")), len(blocks("js"))) == (4, 3)


@pytest.mark.parametrize(("secrets", "age_s", "body", "good", "_"), CASES)
def test_the_python_by_library_verifies(monkeypatch, secrets, age_s, body, good, _):
    """The event itself comes back."""
    headers = signed(secrets, age_s)
    monkeypatch.setenv("CRM_SECRET", HMAC)
    names = {}
    exec(blocks("python")[0], names)
    if good:
        assert names["event"](headers, body) == json.loads(body)
    else:
        with pytest.raises(WebhookVerificationError):
            names["event"](headers, body)


@pytest.mark.parametrize(("secrets", "age_s", "body", "good", "good_ed25519"), CASES)
def test_the_python_by_hand_verifies(secrets, age_s, body, good, good_ed25519):
    """Both kinds."""
    headers = signed(secrets, age_s)
    for code, key, wanted in [(blocks("python")[1], HMAC, good), (blocks("python")[2], PAIR.public, good_ed25519)]:
        names = {}
        exec(code, names)
        assert names["verified"](key, headers, body) is wanted


@pytest.mark.parametrize(
    ("body", "events"), [(BODY, 1), (b"[" + BODY + b"," + BODY + b"]", 2), (b"[" + BODY + b"]", 1)]
)
def test_the_python_for_batches_gives_all_events(monkeypatch, body, events):
    """Of either form, and none that is damaged."""
    names, message = {}, Message("batch_a", "", body)
    exec(blocks("python")[3], names)
    monkeypatch.setenv("CRM_SECRET", HMAC)
    assert names["events"](signed([HMAC], 0, message), body) == [json.loads(BODY)] * events
    with pytest.raises(WebhookVerificationError):
        names["events"](signed([HMAC], 0, message), body.replace(b"10.10", b"10.1"))


def test_the_example_of_a_batch_has_the_id_of_its_events():
    """And says of what type it is."""
    [example] = [text for text in blocks("text") if "webhook-id" in text]
    ids = re.findall(r'"id":"(evt_[0-9a-f]{32})"', example)
    message = array([Delivery("crm", 1, 1, name, "", 0, 0, b"{}") for name in ids])
    assert len(ids) == 2
    assert f"webhook-id: {message.id}\n" in example
    assert f"content-type: {message.content_type}\n" in example


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
@pytest.mark.parametrize(("place", "key"), [(1, HMAC), (2, PAIR.public)], ids=["symmetric", "a pair"])
def test_the_javascript_by_hand_verifies(place, key):
    """As the Python does."""
    cases = json.dumps([[signed(secrets, age_s), body.decode()] for secrets, age_s, body, *_ in CASES])
    program = f"""{blocks("js")[place]}
    const cases = {cases};
    console.log(JSON.stringify(cases.map(([headers, body]) => verified({key!r}, headers, Buffer.from(body)))));
    """
    said = subprocess.run(["node", "-e", program], capture_output=True, text=True, check=True).stdout
    assert json.loads(said) == [case[place + 2] for case in CASES]


def _row_of(status, table):
    for cell, *rest in table:
        if str(status) in cell.split(", "):
            return rest
    return next((rest for cell, *rest in table if cell in (f"{status // 100}xx", "anything else")), None)


def _is_true(status):
    taken, happens = _row_of(status, rows("status"))
    said = outcome(status, {"retry-after": "7"}, 0)
    return taken == WORDS[type(said)] and ("Retry-After" in happens) == (getattr(said, "after_s", None) is not None)


def test_every_status_is_taken_as_the_table_says():
    """By the table that decides; and Retry-After counts where it is said to."""
    assert [status for status in (*range(100, 600), 999) if not _is_true(status)] == []


def _address(text):
    """An address of a range as it is written: ``10.x``, ``fe80::/10``."""
    first = text.partition("/")[0].replace("x", "1")
    return first if ":" in first else ".".join([*first.split("."), "1", "1", "1"][:4])


def test_every_address_is_treated_as_the_table_says():
    """Never, or where private ones are permitted; and none of them without."""
    number = re.compile(r"(?<![\w.])(?:\d+(?:\.(?:\d+|x))+|[0-9a-f]*::[0-9a-f:]*|[0-9a-f]+:[0-9a-f:]+)")
    said = {_address(text): rule.startswith("never") for cell, rule in rows("address") for text in number.findall(cell)}
    assert len(said) >= 17
    assert [address for address in said if refusal(address, private=False, loopback=False) is None] == []
    assert {address: bool(refusal(address, private=True, loopback=True)) for address in said} == said


@pytest.mark.parametrize("code", blocks("toml"))
def test_the_settings_are_good(tmp_path, code):
    """Those that are lines of a sink stand in one."""
    sink = '[sinks.crm]\nkind = "webhook"\nurl = "https://crm.example.com"\n'
    (tmp_path / "config.toml").write_text(code if code.startswith("[") else sink + code)
    assert load(tmp_path / "config.toml").sinks["crm"].kind == "webhook"
