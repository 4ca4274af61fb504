"""The page of a poller that follows very many streams."""

import time
from contextlib import closing

import pytest
from playwright.sync_api import expect
from process import RESOURCES
from web.browser import chromium, overflow, violations

from poller.listening import HttpTable
from poller.report import Running
from poller.stores.sqlite import SqliteStore
from poller.web import Endpoint, Inside, Status

ORGANIZATIONS = 2000


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    """20,000 streams, of which one of every hundredth organization fails."""
    path = tmp_path_factory.mktemp("many") / "poller.db"
    now_ms = time.time_ns() // 1_000_000
    with closing(SqliteStore(path, "it")) as store:
        with store._writing():
            store._connection.executemany(
                "INSERT INTO stream (org, resource, baselined_ms, polled_ms, next_poll_ms, live, failures, error) "
                "VALUES (?, ?, 1, ?, ?, 100, ?, ?)",
                [
                    (f"org{number:05}", name, now_ms, now_ms + 3_600_000, failing, "the API answered 503" * failing)
                    for number in range(ORGANIZATIONS)
                    for name in RESOURCES
                    for failing in [int(number % 100 == 0 and name == "items")]
                ],
            )
        status = Status(path, lambda: RESOURCES, lambda: Running(1, ""), lambda: now_ms)
        inside = Inside(health=str, ready=str, status=status)
        with closing(Endpoint(HttpTable(listen="127.0.0.1:0"), inside)) as endpoint:
            yield endpoint


@pytest.fixture(scope="module")
def page(endpoint):
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 360, "height": 740})
        page.goto(endpoint.url)
        page.wait_for_selector("#streams tbody tr", timeout=60_000)
        yield page


def test_only_those_in_trouble_are_drawn(page, figures):
    """And summed up by resource; the browser has little to do."""
    assert page.locator("#streams tbody tr").count() == ORGANIZATIONS // 100
    expect(page.locator("#streams-shown")).to_have_text("Those in trouble, 20 of 20,000; search for others.")
    assert page.locator("#resources tbody tr").count() == len(RESOURCES)
    expect(page.locator("#notices")).to_contain_text("20 streams failing")
    nodes = page.evaluate("document.querySelectorAll('*').length")
    figures("elements on the page", nodes)
    assert nodes < 5000


def test_the_page_does_not_freeze(page, figures):
    """Updating it takes a moment only; the best of five, since the machine may be busy."""
    took_ms = page.evaluate("""async () => {
        const { show } = await import('/view.js');
        const state = await (await fetch('/status.json')).json();
        const took = [];
        for (let turn = 0; turn < 5; turn++) {
          const began = performance.now();
          show(state);
          took.push(performance.now() - began);
        }
        return Math.min(...took);
    }""")
    figures("an update took", f"{took_ms:.1f} ms")
    assert took_ms < 200


def test_one_of_many_is_found(page):
    """By a part of its name."""
    page.get_by_role("searchbox").fill("org01234/tax")
    expect(page.locator("#streams tbody tr")).to_have_count(1, timeout=30_000)
    page.get_by_role("searchbox").fill("nothing like it")
    expect(page.locator("#streams-shown")).to_have_text("0 streams match “nothing like it”.", timeout=30_000)
    page.get_by_role("searchbox").fill("org")
    expect(page.locator("#streams-shown")).to_contain_text("after the first 200 are not shown", timeout=30_000)


def test_it_fits_and_everybody_can_use_it(page):
    """With the table of resources too."""
    assert overflow(page) == 0
    assert violations(page) == []
