"""All that comes out of poller in a life with every kind of secret and every kind of trouble, by where it came out."""

import json
import socket
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from signal import SIGABRT

from canaries import BODY, LATER_BODY, SECRETS, TOKEN
from process import HASTE, Site, eventually, only
from receiver import answer, close, hang, noise, redirect, reset

from poller.control import socket_path
from poller.simulator import faults

SETUP = """
import os
os.umask(0)
from poller.sources import spaceinvoices
spaceinvoices.BACKOFF_S = 0.01
"""

REFUSED = "to be refused"
ANSWER = {"headers": [("X-Echo", SECRETS["answer"])], "body": SECRETS["answer"].encode()}
LOCATION = f"https://elsewhere.example/{SECRETS['location path']}?key={SECRETS['location query']}"
TROUBLE = [
    redirect(LOCATION, 307),
    answer(500, **ANSWER),
    answer(400, **ANSWER),
    answer(429, [("Retry-After", "0"), *ANSWER["headers"]], ANSWER["body"]),
    answer(401, **ANSWER),
    noise(f"HTTP/1.1 {SECRETS['answer']}\r\n\r\n".encode()),
    reset(),
    *[close()] * 9,  # eight threads may meet one on a kept connection, and ask again at once: the ninth is told
    hang(),
]


def picky(wire):
    """Say yes, but for one record."""
    return answer(422 if REFUSED.encode() in wire.record.body else 200, **ANSWER)(wire)


SINKS = """
[sinks.hook]
kind = "webhook"
url = "{hook}/{path}?key={query}"
timeout = "1s"
secrets = [{{ env = "CANARY_SECRET" }}, {{ file = "{folder}/older", not_after = 2099-01-01T00:00:00Z }}]
[sinks.plain]
kind = "webhook"
url = "{closed}/{path}?key={query}"
secret = {{ credential = "plain" }}
[sinks.keyed]
kind = "webhook"
url = "https://127.0.0.1:{other}/{path}?key={query}"
secret = {{ env = "CANARY_ED25519" }}
[sinks.proxied]
kind = "webhook"
url = "http://hooks.example:{port}/{path}?key={query}"
allow_http = true
timeout = "1s"
secret = {{ env = "CANARY_ED25519" }}
proxy = {{ url = "{proxy}", user = "poller", password = {{ env = "CANARY_PASSWORD" }} }}
[sinks.locked]
kind = "webhook"
url = "https://hooks.example/{path}?key={query}"
secret = {{ env = "CANARY_SECRET" }}
proxy = {{ url = "{proxy}", user = "poller", password = {{ env = "CANARY_WRONG" }} }}
[sinks.file]
kind = "file"
path = "{folder}/events.jsonl"
[sinks.stdout]
kind = "stdout"
"""

OWN = """
[sinks.hook]
kind = "webhook"
url = "{url}{path}"
secret = {{ env = "CANARY_SECRET" }}
"""


class Haul(dict):
    """What came out, as bytes by where. ``private`` names what is for sinks or is the state; ``modes`` are of files."""

    def __init__(self):
        self.private, self.modes = set(), {}

    def keep(self, name, data, *, private=False):
        self[name] = data if isinstance(data, bytes) else data.encode(errors="surrogateescape")
        if private:
            self.private.add(name)

    def run(self, site, *arguments, private=False, **options):
        """Carry out a command at the most talkative level, and keep both of its outputs."""
        done = site.run("--log-level", "debug", *arguments, **options)
        name = f"{len(self)}: poller {' '.join(arguments)}"
        self.keep(f"{name} (out)", done.out, private=private)
        self.keep(f"{name} (err)", done.err)
        return done

    def start(self, site, **options):
        return site.start("--log-level", "debug", "run", **options)


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def make_site(folder, api, receiver, other, proxy):
    """Make a site with every kind of secret; its state is in a folder that poller makes.

    ``other`` has a certificate that nobody vouches for.
    """
    credentials = folder / "credentials"
    credentials.mkdir()
    for path, name in ((folder / "older", "older secret"), (credentials / "plain", "plain secret")):
        path.touch(mode=0o600)
        path.write_text(SECRETS[name])
    sinks = SINKS.format(
        hook=receiver.url,
        port=receiver.port,
        other=other.port,
        closed=f"http://127.0.0.1:{closed_port()}",
        proxy=proxy.url,
        folder=folder,
        path=SECRETS["path"],
        query=SECRETS["query"],
    )
    site = Site(folder, api.url, only("clients") + sinks, patch=SETUP + HASTE)
    site.database = folder / "state" / "poller.db"
    site.config.write_text(site.config.read_text().replace(f"{folder}/poller.db", f"{site.database}"))
    site.env |= {
        "POLLER_TEST_TOKEN": TOKEN,
        "CANARY_SECRET": SECRETS["secret"],
        "CANARY_ED25519": SECRETS["ed25519 secret"],
        "CANARY_PASSWORD": SECRETS["proxy password"],
        "CANARY_WRONG": SECRETS["wrong password"],
        "CREDENTIALS_DIRECTORY": str(credentials),
    }
    return site


def first_rounds(haul, site):
    """A check, a first round, a dry one."""
    assert haul.run(site, "check").code == 0
    assert haul.run(site, "once").code == 0
    assert haul.run(site, "once", "--dry-run", "--sweep", private=True).code == 0


def life(haul, site, account, api):
    """The daemon in all kinds of trouble; commands meanwhile; its files as they are just then; an end by a defect."""
    [org] = account.organizations
    site.anew = True  # with a command line of its own
    with haul.start(site) as poller:
        site.anew = False
        poller.up()
        clients = [account.create(org, "clients", {"name": BODY}) for _ in range(8)]
        poller.until(lambda: len(poller.events()) == 8)
        account.update(org, "clients", clients[0], {"name": LATER_BODY})
        account.soft_delete(org, "clients", clients[1])
        account.create(org, "clients", {"name": BODY, "note": REFUSED})
        poller.until(lambda: poller.log("delivery.parked"), 60)
        for fault in (faults.truncated, faults.html, *echoes()):
            _fail(haul, site, poller, api, fault)
        api.faults.next(faults.planted(json.dumps({"id": {"name": BODY}}).encode()), path="clients", times=9)
        poller.until(lambda: poller.log("record.quarantined"), 60)
        _commands(haul, site, poller)
        _files(haul, site)
        poller.until(lambda: "the deadline of " in poller.err, 60)  # the last of the receiver's trouble
        poller.signal(SIGABRT)
        done = poller.wait()
    haul.keep("the daemon (out)", done.out, private=True)
    haul.keep("the daemon (err)", done.err)
    haul.keep("the file of a sink", (site.folder / "events.jsonl").read_bytes(), private=True)


def echoes():
    """What the API may say of a token that it does not take: that it is this one, over and over."""
    yield faults.status(401, f"could not find a token {TOKEN}", "INVALID_TOKEN")
    yield faults.status(422, f"{TOKEN}\x1b[2J" * 10_000)


def _fail(haul, site, poller, api, fault):
    """Let polls meet a fault until one failed, and go on."""

    def failed():
        return len(poller.log("stream.failed")) + len(poller.log("stream.suspended"))

    before = failed()
    api.faults.next(fault, path="clients", times=4)
    poller.until(lambda: failed() > before, 60)
    api.faults.clear()
    stream = f"{api.account.organizations[0]}/clients"
    resume = json.dumps({"command": "pause_stream", "stream": stream, "paused": False})
    haul.keep(f"the socket on {resume}", _ask(site.database, resume))


def _commands(haul, site, poller):
    haul.keep("the command line", Path(f"/proc/{poller.pid}/cmdline").read_bytes())
    for words in ("status", "status --json", "sinks", "sinks --json", "events", "dead list", "dead list --json"):
        assert haul.run(site, *words.split()).code == 0
    haul.run(site, "events", "--json", private=True)
    haul.run(site, "dead", "show", poller.events()[0]["id"], private=True)
    for words in ("replay --dry-run", "retry", "pause hook", "resume hook", "pause nothing", "approve nothing"):
        haul.run(site, *words.split())
    assert haul.run(site, "verify").code == 0
    backup = site.folder / "backup.db"
    assert haul.run(site, "backup", str(backup)).code == 0
    haul.keep("the backup", backup.read_bytes(), private=True)
    haul.keep("the rows of the backup", rows(backup), private=True)
    haul.modes["backup.db"] = stat.S_IMODE(backup.stat().st_mode)
    for line in ('{"command": "ping"}', '{"command": "no"}', "nonsense", '{"command": "again", "x": 1}'):
        haul.keep(f"the socket on {line}", _ask(site.database, line))


def _ask(database, line):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(socket_path(database)))
        connection.sendall(line.encode() + b"\n")
        return connection.recv(1 << 20)


def _files(haul, site):
    """All files of the state while it is in use, and every row of every table."""
    haul.modes["state/"] = stat.S_IMODE(site.database.parent.stat().st_mode)
    for path in site.database.parent.iterdir():
        haul.modes[path.name] = stat.S_IMODE(path.stat().st_mode)
        if path.is_file():
            haul.keep(f"the file {path.name}", path.read_bytes(), private=path.suffix != ".lock")
    haul.keep("the rows of the state", rows(site.database), private=True)


def rows(path):
    """Every value of every row of every table, as it is stored."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = [row for name in tables for row in connection.execute(f'SELECT * FROM "{name}"')]
    return b"\n".join(value if isinstance(value, bytes) else str(value).encode() for row in found for value in row)


def last_rounds(haul, site, api):
    """A token that is not taken any more, by a server that repeats it; then a receiver of one's own."""
    api.faults.always(next(echoes()))
    assert haul.run(site, "check").code == 1
    assert haul.run(site, "once").code == 1
    api.faults.clear()
    site.env |= {"POLLER_LISTEN_SECRET": SECRETS["secret"]}
    config = site.config.read_text()
    with site.start("listen", "--port", "0") as listener:
        listener.until(lambda: "Listening on" in listener.err)
        url = listener.err.partition("Listening on ")[2].split()[0]
        site.config.write_text(config.partition("[sinks")[0] + OWN.format(url=url, path=SECRETS["path"]))
        assert haul.run(site, "replay", "--sink", "hook").code == 0
        haul.run(site, "once")
        eventually(lambda: listener.out)
        haul.keep("the receiver (out)", listener.out, private=True)
        haul.keep("the receiver (err)", listener.err)
    site.config.write_text(config)


INLINE, BARE = SECRETS["inline"], SECRETS["inline token"]
MISTAKES = [
    f'[source]\ntoken = "{BARE}"',
    f'[source]\ntoken = {{ env = "{BARE}" }}',
    f'[source]\ntoken = {{ file = "{BARE}" }}',
    f'[source]\ntoken = {{ credential = "{BARE}" }}',
    f'[source]\ntoken = {{ value = "{BARE}" }}',
    f'[source]\nbase_url = "https://me:{BARE}@api.example/v1"',
    f'[source]\nbase_url = "https://api.example/v1?access_token={BARE}"',
    f'[source]\nbase_url = "ftp://api.example/{BARE}"',
    *(
        f'[sinks.a]\nkind = "webhook"\nurl = "https://a.example"\n{line}'
        for line in (
            f'secret = "{INLINE}"',
            f'secret = {{ env = "{INLINE}" }}',
            f'secret = {{ file = "{INLINE}" }}',
            f'secrets = ["{INLINE}"]',
            f'secrets = [{{ env = "X", not_after = "{INLINE}" }}]',
            f'secret_ = "{INLINE}"',
            f"secret = {INLINE}",
            f'kind = "{INLINE}"',
            f'proxy = "http://me:{BARE}@proxy.example"',
            f'proxy = {{ url = "http://proxy.example", password = "{BARE}" }}',
        )
    ),
    *(
        f'[sinks.a]\nkind = "webhook"\nurl = {url}'
        for url in (
            f'"http://a.example/{BARE}"',
            f'"https://me:{BARE}@a.example/x"',
            f'"https://a.example/{BARE}#{BARE}"',
            f'"https://10.0.0.1/{BARE}"',
            f'"https://a.example:port/{BARE}"',
            f'["https://a.example/{BARE}"]',
            f'"https://a.example/{BARE}',
        )
    ),
]
"""Configurations with a secret where none belongs."""


CHECK_EACH = """
import sys
from poller.cli import main
for path in sys.argv[1:]:
    try:
        main(["--log-level", "debug", "--config", path, "check"], prog_name="poller")
    except SystemExit as end:
        assert end.code == 78, path
"""


def mistakes(haul, site):
    """Each is refused with a message; so are secrets that cannot be used."""
    paths = [site.folder / f"wrong-{number}.toml" for number in range(len(MISTAKES))]
    for path, wrong in zip(paths, MISTAKES, strict=True):
        path.write_text(wrong)
    command = [sys.executable, "-c", CHECK_EACH, *map(str, paths)]
    done = subprocess.run(command, env=site.env, cwd=site.folder, capture_output=True, check=False)
    haul.keep("mistakes (out)", done.stdout)
    haul.keep("mistakes (err)", done.stderr)
    assert done.returncode == 0, done.stderr
    (site.folder / "older").chmod(0o644)
    assert haul.run(site, "check").code == 78
    (site.folder / "older").chmod(0o600)
    good = site.env["CANARY_ED25519"]
    for bad in (f"{good}AAAA", "whpk_" + good[5:], "whsk_" + SECRETS["plain secret"]):
        site.env["CANARY_ED25519"] = bad
        assert haul.run(site, "check").code == 78
    site.env["CANARY_ED25519"] = good


CRASHES = {
    "in a sink": """
from poller.sinks.webhook import Webhook
def crash(self, *_):
    try:
        raise KeyError(self._url)
    except KeyError as error:
        raise RuntimeError(f"cannot {self._url}, {self._keys!r}, {self._link!r}") from error
Webhook._post = crash
""",
    "in the source": """
from poller.sources.spaceinvoices import SpaceInvoices
def crash(self, url, *_):
    raise RuntimeError(f"cannot {self._headers} to {url}")
SpaceInvoices._try = crash
""",
    "in a thread": """
from urllib.parse import urlsplit
from poller import generation
def crash(queue, stop):
    url = getattr(queue.sink, "_url", "")
    raise RuntimeError(f"cannot {url}: {urlsplit(url).path} {urlsplit(url).query}")
generation.drain = crash
""",
    "at the start": """
import os
from poller.cli import run
def crash(config, **options):
    raise RuntimeError(f"cannot {config!r} with {os.environ['POLLER_TEST_TOKEN']}, {os.environ['CANARY_PASSWORD']!r}")
run.assemble = crash
""",
    "in a command": """
import os
from poller.stores.sqlite import SqliteStore
def crash(self, *arguments):
    raise RuntimeError(f"cannot do it with {os.environ['POLLER_TEST_TOKEN']}")
SqliteStore.pause = crash
""",
}
"""Defects whose messages hold what they should not."""


def crashes(haul, site, account):
    """Each is told with its traceback."""
    for name, crash in CRASHES.items():
        account.create(account.organizations[0], "clients", {"name": BODY})
        with haul.start(site, patch=site.patch + crash) as poller:
            if name == "in a command":
                poller.up()
                assert haul.run(site, "pause", "hook").code == 1
            eventually(lambda: "RuntimeError" in poller.err)
            poller.kill()
        haul.keep(f"a crash {name} (out)", poller.out, private=True)
        haul.keep(f"a crash {name} (err)", poller.err)
