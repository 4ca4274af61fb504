"""A process that was forked with its libraries imported is as one that Python starts, but for its name."""

import json

import pytest
from process import Site

FOUND = """
import faulthandler, json, os, signal, sys
print(json.dumps({
    "arguments": sys.argv,
    "folder": os.getcwd(),
    "environment": {name: value for name, value in os.environ.items() if name != "LC_CTYPE"},
    "path": sys.path[:2],
    "Python is told": [sys.warnoptions, faulthandler.is_enabled(), sys.flags.safe_path],
    "signals": {number.name: str(signal.getsignal(number)) for number in signal.Signals},
    "files": sorted(os.listdir("/proc/self/fd")),
    "input": sys.stdin.read(),
    "our modules": [name for name in sys.modules if name.partition(".")[0] == "poller"],
}))
raise SystemExit(7)
"""
WAIT = "import time\ntime.sleep(60)\n"


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path, "http://127.0.0.1:9")


def test_it_finds_what_any_process_finds(site):
    """Arguments, folder, environment, signals and files, and nothing of poller."""
    forked = site.run("status", patch=FOUND)
    site.anew = True
    anew = site.run("status", patch=FOUND)
    assert (forked.code, forked.err) == (anew.code, anew.err) == (7, "")
    found = json.loads(forked.out)
    assert found == json.loads(anew.out)
    assert found["our modules"] == []
    assert found["arguments"][-1] == "status"


@pytest.mark.parametrize("anew", [False, True])
def test_it_ends_as_it_is_told(site, anew):
    """By itself, or by a signal, which its code names."""
    site.anew = anew
    with site.start(patch=WAIT) as asleep:
        assert not asleep.ended()
        asleep.kill()
        assert asleep.wait().code == -9
    assert site.run("--version").out.startswith("poller ")
    assert site.run("no-such-command").code == 2
