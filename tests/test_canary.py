"""No secret is ever told on: known ones are looked for in all that the processes write, say, keep and answer."""

import ssl

import pytest
import trustme
from canaries import SECRETS, TOKEN, bodies_in, forms, leaked
from haul import CRASHES, TROUBLE, Haul, crashes, first_rounds, last_rounds, life, make_site, mistakes, picky
from process import HASTE, Site, only
from proxy import Proxy
from receiver import Receiver

from poller.simulator import Account, Simulator


def certified():
    """TLS by an authority that nobody has heard of."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture(scope="module")
def haul(tmp_path_factory):
    """Everything, once."""
    account, found = Account(token=TOKEN, organizations=1, seed=1), Haul()
    with (
        Simulator(account) as api,
        Receiver(*TROUBLE, always=picky) as receiver,
        Receiver(tls=certified()) as other,
        Proxy(password=SECRETS["proxy password"]) as proxy,
    ):
        site = make_site(tmp_path_factory.mktemp("canary"), api, receiver, other, proxy)
        first_rounds(found, site)
        life(found, site, account, api)
        last_rounds(found, site, api)
        mistakes(found, site)
        crashes(found, site, account)
    return found


def told(found):
    """What was found where, in words."""
    return {name: sorted(names) for name, names in found.items() if names}


def test_no_secret_is_in_anything_that_came_out(haul):
    """Logs, tracebacks, answers, the database, the backup: not as it is, and in no other form."""
    assert told({name: leaked(data) for name, data in haul.items()}) == {}


def test_no_record_is_in_anything_but_sinks_and_the_state(haul):
    """No log, no error and no status holds what the fields of a record say."""
    assert told({name: bodies_in(data) for name, data in haul.items() if name not in haul.private}) == {}


def test_the_state_is_for_its_owner_alone(haul):
    """Files 0600 and the folder 0700, though the umask would let everybody in."""
    files = ("poller.db", "poller.db-wal", "poller.db-shm", "poller.db.lock", "poller.db.sock", "backup.db")
    assert haul.modes == {"state/": 0o700} | dict.fromkeys(files, 0o600)


def test_records_came_out_where_they_should(haul):
    """So what was looked for was there to be found."""
    for name in ("the daemon (out)", "the file of a sink", "the rows of the state", "the receiver (out)"):
        assert bodies_in(haul[name]), name


WORDS = (
    "status 307: redirected to elsewhere.example",
    "status 500",
    "status 400",
    "status 401",
    "status 422",
    "status 429",
    "not proper HTTP",
    "the connection was closed without an answer",
    "the deadline of ",
    "connection refused",
    "its certificate is not accepted",
    "it wants another user or password",
    "the API answered 401",
    "the API answered 422",
    "record.quarantined",
    "Fatal Python error: Aborted",
)


@pytest.mark.parametrize("words", WORDS)
def test_all_of_the_trouble_was_met(haul, words):
    """The log tells it; so the ways were gone on which too much might have been told."""
    assert words in haul["the daemon (err)"].decode()


@pytest.mark.parametrize("name", CRASHES)
def test_a_defect_is_told_with_its_traceback(haul, name):
    """As one line of the log; and what it says of secrets is hidden in there."""
    err = haul[f"a crash {name} (err)"].decode()
    assert '"exception": "Traceback (most recent call last):' in err
    assert "RuntimeError: cannot" in err
    assert all(line.startswith("{") for line in err.splitlines())


@pytest.mark.parametrize("form", sorted({*forms(SECRETS["proxy password"]), *forms(SECRETS["secret"])}))
def test_every_form_of_a_secret_is_found(form):
    """Wherever it stands, and cut short too."""
    assert leaked(b"before " + form + b" after")
    assert leaked(b"before " + form[:20])


LEAKS = {
    "logs the URL": "print(self._url, file=sys.stderr)",
    "gives the URL as a reason": "return Later(self._url)",
    "writes the token down": "Path('poller.db.lock').write_bytes(b64encode(os.environ['POLLER_TEST_TOKEN'].encode()))",
}
LEAKING = """
import os, sys
from base64 import b64encode
from pathlib import Path
from poller.model import Later
from poller.sinks.webhook import Webhook
post = Webhook._post
def leak(self, *arguments):
    {}
    return post(self, *arguments)
Webhook._post = leak
"""


@pytest.mark.parametrize("leak", LEAKS.values(), ids=LEAKS)
def test_a_build_that_leaks_is_caught(tmp_path, leak):
    """The same look at a build with a small mistake finds it."""
    account, found = Account(token=TOKEN, organizations=1, seed=1), Haul()
    with Simulator(account) as api, Receiver() as receiver:
        sink = f'[sinks.hook]\nkind = "webhook"\nurl = "{receiver.url}/{SECRETS["path"]}"\n'
        site = Site(tmp_path, api.url, only("clients") + sink, patch=HASTE + LEAKING.format(leak))
        site.env |= {"POLLER_TEST_TOKEN": TOKEN}
        found.run(site, "once")
        account.create(account.organizations[0], "clients")
        with found.start(site) as poller:
            poller.until(lambda: site.query("SELECT 1 FROM delivery WHERE state = 'delivered' OR error <> ''"))
            poller.kill()
        found.keep("the daemon (err)", poller.err)
        for path in site.folder.glob("poller.db*"):
            found.keep(path.name, path.read_bytes() if path.is_file() else b"")
    assert told({name: leaked(data) for name, data in found.items()}) != {}
