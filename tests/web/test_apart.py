"""What is shown is read beside the store: whoever looks waits for no commit, and no commit waits for who looks."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from process import RESOURCES, TOKEN, Site, only

from poller.assembly import assemble
from poller.config import load
from poller.daemon import Daemon
from poller.web.inside import Asked

ORGANIZATIONS = 2_000
SHOWN = {
    "status": lambda inside: json.dumps(inside.status(Asked())),
    "a search": lambda inside: json.dumps(inside.status(Asked("org01234"))),
    "metrics": lambda inside: inside.metrics("").body.decode(),
    "readiness": lambda inside: f"streams {inside.ready()}",
    "health": lambda inside: f"streams {inside.health()}",
}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    """20,000 streams, and nothing under way."""
    config = load(
        Site(tmp_path_factory.mktemp("many"), "http://127.0.0.1:9/v1", only(*RESOURCES), budget="10/s").config
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POLLER_TEST_TOKEN", TOKEN)
        service = assemble(config)
    with closing(service):
        with service.store._writing():
            service.store._connection.executemany(
                "INSERT INTO stream (org, resource, baselined_ms, polled_ms, live) VALUES (?, ?, 1, 1, 100)",
                [(f"org{number:05}", name) for number in range(ORGANIZATIONS) for name in RESOURCES],
            )
        yield Daemon(config, service)


@pytest.mark.parametrize("show", SHOWN.values(), ids=SHOWN)
def test_what_is_shown_never_waits_for_the_store(daemon, show):
    """Another thread is in the middle of a commit all the time, and has the connection to itself."""
    store = daemon._store
    with ThreadPoolExecutor(1) as pool, store._writing():
        store._connection.execute("UPDATE stream SET live = live + 1 WHERE org = 'org00000'")
        shown = pool.submit(show, daemon._inside()).result(60)
    assert "streams" in shown


def test_what_asks_the_store_would_wait(daemon):
    """So the test above can fail."""
    with ThreadPoolExecutor(1) as pool, daemon._store._writing(), pytest.raises(TimeoutError):
        pool.submit(daemon._store.address).result(0.2)
