"""A real browser: Debian's Chromium, driven by Playwright."""

import os
from contextlib import contextmanager
from pathlib import Path

import axe_playwright_python
import pytest
from playwright.sync_api import sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP evil.example 127.0.0.1",
]
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa", "best-practice"]


@contextmanager
def chromium():
    """The browser; without one the tests are skipped, but not in continuous integration."""
    if not CHROMIUM.exists():
        told = f"{CHROMIUM} is missing: apt-get install chromium"
        assert not os.environ.get("CI"), told
        pytest.skip(told)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


def violations(page, within="html"):
    """What axe-core finds wrong with a page, or a part of it, in a line each."""
    page.evaluate(AXE)
    options = {"runOnly": {"type": "tag", "values": TAGS}, "resultTypes": ["violations"]}
    found = page.evaluate("([within, options]) => axe.run(within, options)", [within, options])
    return [f"{one['id']}: {node['html'][:200]}" for one in found["violations"] for node in one["nodes"]]


def overflow(page):
    """By how much a page is wider than its window."""
    return page.evaluate("document.documentElement.scrollWidth - innerWidth")


SMALL = """() => [...document.querySelectorAll('a, button, input, summary, select')]
  .map(node => node.type === 'radio' ? node.parentElement : node)
  .filter(node => node.checkVisibility() && !node.matches('.skip'))
  .map(node => [node.textContent.trim() || node.id, node.getBoundingClientRect()])
  .filter(([, box]) => box.width < 24 || box.height < 24)
  .map(([name, box]) => `${name} ${box.width}x${box.height}`)"""
"""What can be hit, and is smaller than 24 pixels either way."""
