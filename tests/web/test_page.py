"""The status page in a real browser, of a real poller that polls a simulated account."""

import http.server
import threading
import time
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect
from process import HASTE, TOKEN, Site, file, lines, only, webhook
from receiver import Receiver, answer
from web.browser import SMALL, chromium, overflow, violations

from poller.simulator.account import Account
from poller.simulator.server import Simulator

HTTP_TOKEN = "a-token-of-some-length-0123456789"
ACTING = '[http]\nlisten = "127.0.0.1:0"\nactions = true\ntoken = { env = "POLLER_HTTP_TOKEN" }\n'
SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(2)>"
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 360, "height": 740}


class World:
    """A poller at work: its account of two organizations, in the second of which deletions are held, and its page."""

    def __init__(self, account, site, poller):
        self.account, self.site, self.poller = account, site, poller
        self.org, self.held = account.organizations
        self.url = f"http://{poller.log('http.listening')[0]['address']}/"
        self.port = urlsplit(self.url).port

    def change(self, name):
        return self.account.create(self.org, "clients", {"name": name})


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Two sinks, one of which refused an event for good; a name that would like to be a script."""
    folder = tmp_path_factory.mktemp("page")
    account = Account(token=TOKEN, organizations=2, seed=1)
    org, held = account.organizations
    ids = account.bulk_create(held, "clients", 30)
    with Simulator(account) as api, Receiver(answer(422)) as receiver:
        tables = only("clients", "documents") + file("archive", folder / "events.jsonl") + webhook("crm", receiver.url)
        patch = HASTE + "retry.EVENT_WAITS_S = (0.0,)\n"
        site = Site(folder, api.url, tables + ACTING, patch=patch, count_every=1, every="300ms")
        site.env["POLLER_HTTP_TOKEN"] = HTTP_TOKEN
        with site.start() as poller:
            poller.until(lambda: site.baselined(4), timeout_s=60)
            world = World(account, site, poller)
            record = world.change(SCRIPT)
            poller.until(lambda: site.query("SELECT 1 FROM delivery WHERE state = 'parked'"))
            account.update(org, "clients", record, {"email": "new@example.com"})
            for one in ids[:20]:
                account.hard_delete(held, "clients", one)
            poller.until(lambda: site.query("SELECT 1 FROM stream WHERE held_ms IS NOT NULL"), timeout_s=60)
            poller.until(lambda: site.query("SELECT 1 FROM event WHERE trigger = 'client.updated'"), timeout_s=60)
            yield world


@pytest.fixture
def visit(browser, world):
    """Open the page, with what the browser says of it: errors are failures."""
    contexts, said = [], []

    def visit(url=None, *, wait=True, **options):
        context = browser.new_context(**({"viewport": WIDE} | options))
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: said.append(f"dialog: {dialog.message}"))
        page.said = said
        page.goto(url or world.url)
        if wait:
            page.wait_for_selector("#last tbody tr")
        return page

    yield visit
    for context in contexts:
        context.close()
    assert said == []


def test_a_change_appears_by_itself(visit, world, figures):
    """Within five seconds of its event, without a reload; the best of three, since the machine may be busy."""
    page = visit()
    page.evaluate("window.here = true")
    waits_s = []
    for number in range(3):
        name = f"Live Client {number}"
        world.change(name)
        world.poller.until(
            lambda name=name: any(name in str(event) for event in lines(world.site.folder / "events.jsonl"))
        )
        began_s = time.monotonic()
        expect(page.locator("#last tbody tr").first).to_contain_text(name, timeout=30_000)
        waits_s.append(time.monotonic() - began_s)
        if waits_s[-1] < 5:
            break
    assert page.evaluate("window.here")
    figures("shown after", f"{min(waits_s):.1f} s")
    assert min(waits_s) < 5


def test_it_says_first_what_needs_a_person(visit):
    """In words, in the title of the window, and at the top."""
    page = visit()
    expect(page.locator("#verdict-text")).to_have_text("2 things need a person")
    assert page.title().startswith("(2) ")
    notices = page.locator("#notices h3").all_text_contents()
    assert [notice.split(" ")[0] for notice in notices[:2]] == ["Deletions", "Dead"]


def test_a_name_that_is_a_script_is_shown_as_text(visit):
    """And runs nothing, with scripts and without."""
    page = visit()
    expect(page.locator("#last bdi", has_text="alert(1)").first).to_have_text(SCRIPT)
    assert page.locator("script").count() == 1
    assert page.locator("img").count() == 1
    plain = visit(wait=False, java_script_enabled=False)
    expect(plain.locator("main.plain")).to_contain_text(SCRIPT)
    assert plain.locator("main.plain :is(script, img)").count() == 0


def test_without_scripts_it_says_what_is_the_case(visit):
    """As it was when it was asked for."""
    page = visit(wait=False, java_script_enabled=False)
    expect(page.locator("main.plain")).to_contain_text("Deletions held in")
    expect(page.locator("main.plain")).to_contain_text("archive: ok")


def test_what_changed_is_shown(visit):
    """The paths of an update."""
    page = visit()
    expect(page.locator("#last tr", has_text="client.updated").locator(".changed")).to_have_text("email")


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_it_fits(visit, width):
    """Nothing is wider than the screen, and nothing that can be hit is smaller than a finger's tip."""
    page = visit(viewport={"width": width, "height": 740}, has_touch=width == 360)
    for details in page.locator("details:not([open]) > summary").all():
        details.click()
    assert overflow(page) == 0
    assert page.evaluate(SMALL) == []
    page.locator("#notices button").first.click()
    assert overflow(page) == 0
    assert page.evaluate(SMALL) == []


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_use_it(visit, scheme, viewport):
    """No violation of WCAG 2.2 A or AA that axe-core finds: on the page, signing in, and being asked."""
    page = visit(color_scheme=scheme, viewport=viewport)
    page.locator("details.figures summary").click()
    assert violations(page) == []
    page.locator("#sign").click()
    assert violations(page, "#sign-dialog") == []
    page.keyboard.press("Escape")
    page.locator("#notices button", has_text="Reject").click()
    assert violations(page, "#sure-dialog") == []


def test_without_scripts_everybody_can_read_it(browser, world):
    """The page as the server wrote it."""
    page = browser.new_page(color_scheme="dark", viewport=NARROW)
    page.route("**/app.js", lambda route: route.fulfill(body="", content_type="text/javascript"))
    page.goto(world.url)
    page.evaluate("document.querySelector('noscript').outerHTML = document.querySelector('noscript').textContent")
    page.wait_for_selector("main.plain")
    assert violations(page) == []
    assert overflow(page) == 0
    page.close()


def test_what_is_wrong_would_be_found(visit):
    """By the judge of the tests above."""
    page = visit()
    page.evaluate("document.querySelector('#version').style.color = '#eee'")
    page.evaluate("document.querySelector('#search').closest('label').querySelector('span').remove()")
    page.evaluate("document.querySelector('#search').removeAttribute('placeholder')")
    assert {found.split(":")[0] for found in violations(page)} >= {"color-contrast", "label"}


def test_the_keyboard_stays_where_it_is(visit, world):
    """However often the page is updated meanwhile."""
    page = visit()
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    button = page.locator("#streams button:visible").nth(2)
    button.focus()
    world.change("Meanwhile")
    expect(page.locator("#last")).to_contain_text("Meanwhile", timeout=30_000)
    expect(button).to_be_focused()
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none"


def test_streams_are_searched_for(visit, world):
    """By a part of their name."""
    page = visit()
    page.get_by_role("searchbox").fill(f"{world.org}/docu")
    expect(page.locator("#streams tbody tr")).to_have_count(1, timeout=20_000)
    expect(page.locator("#streams-shown")).to_contain_text("1 stream matches")
    page.get_by_role("searchbox").fill("")
    expect(page.locator("#streams tbody tr")).to_have_count(4, timeout=20_000)


def test_the_plot_looks_back_as_far_as_it_is_asked(visit):
    """And says in words what it draws; the table has its numbers."""
    page = visit()
    page.get_by_role("radio", name="Hour").check(force=True)
    expect(page.locator("#figures")).to_contain_text("in the last hour", timeout=20_000)
    assert "created" in page.locator("#events-plot svg").get_attribute("aria-label")
    page.locator("details.figures summary").click()
    assert page.locator("#events-table tbody tr").count() > 0
    expect(page.locator("#sinks li", has_text="archive").locator("svg")).to_be_visible()


def test_motion_and_print(visit):
    """Nothing moves for who does not want it, and paper has no buttons."""
    page = visit(reduced_motion="reduce")
    assert page.evaluate("getComputedStyle(document.querySelector('.dot')).animationName") == "none"
    page.emulate_media(media="print")
    assert page.locator("button:visible").count() == 0


def test_a_host_that_was_made_to_lead_here_is_refused(visit, world):
    """A page of its own could read all, else."""
    page = visit(f"http://evil.example:{world.port}/", wait=False)
    assert "not served here" in page.content()
    assert page.evaluate("fetch('/status.json').then(answer => answer.status)") == 421
    page.said.clear()


@contextmanager
def another_site(world, host):
    """A page elsewhere that has the poller do what it should not, in every way that a browser knows."""
    body = f"""<!doctype html><title>evil</title><body><script>
      const target = '{world.url}actions/approve';
      const body = JSON.stringify({{name: '{world.held}/clients'}});
      const settings = {{method: 'POST', body, mode: 'no-cors', credentials: 'include'}};
      Promise.allSettled([
        fetch(target, settings),
        fetch(target, {{...settings, headers: {{'Content-Type': 'text/plain'}}}}),
        fetch(target, {{...settings, mode: 'cors', headers: {{'X-Poller-Proof': 'x'}}}}),
        fetch('{world.url}status.json', {{credentials: 'include'}}).then(answer => answer.text()),
      ]).then(all => {{ window.results = all.map(one => one.status + ' ' + (one.value?.type ?? typeof one.value)); }});
      navigator.sendBeacon(target, body);
    </script><form method="post" target="inner" enctype="text/plain" action="{world.url}actions/approve">
      <input name='{{"name":"{world.held}/clients","sink":"' value='"}}'></form>
      <iframe name="inner"></iframe><iframe src="{world.url}"></iframe></body>""".encode()

    class Evil(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Evil) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://{host}:{server.server_port}/"
        server.shutdown()


@pytest.mark.parametrize("host", ["evil.example", "localhost", "127.0.0.1"])
def test_another_site_can_have_nothing_done(visit, world, host):
    """Though its visitor signed in here; on the same host, where the cookie goes along, neither."""
    page = visit()
    sign_in(page)
    with another_site(world, host) as url:
        answers = []
        page.on("response", lambda answer: answers.append((answer.request.method, answer.status, answer.url)))
        page.goto(url)
        page.wait_for_function("window.results")
        page.evaluate("document.forms[0].submit()")
        page.wait_for_timeout(500)
        results = page.evaluate("window.results")
        inner = [frame for frame in page.frames if frame.url.startswith(world.url)]
    posts = [status for method, status, url in answers if method == "POST" and url.startswith(world.url)]
    assert posts
    assert set(posts) == {403}
    assert results[2:] == ["rejected undefined", "rejected undefined"]
    assert all("main" not in frame.content() for frame in inner)
    assert world.site.query("SELECT decision FROM stream WHERE held_ms IS NOT NULL") == [(None,)]
    page.said.clear()


def sign_in(page, token=HTTP_TOKEN):
    page.locator("#sign").click()
    page.locator("#token").fill(token)
    page.keyboard.press("Enter")
    expect(page.locator("#sign")).to_have_text("Sign out", timeout=20_000)


def test_a_wrong_token_is_said(visit):
    """And another can be tried."""
    page = visit()
    page.locator("#sign").click()
    page.locator("#token").fill("wrong")
    page.keyboard.press("Enter")
    expect(page.locator("#sign-error")).to_contain_text("not the token")
    page.keyboard.press("Escape")
    sign_in(page)
    page.locator("#sign").click()
    expect(page.locator("#sign")).to_have_text("Sign in", timeout=20_000)
    page.said.clear()  # the browser tells of the 401


def test_a_stream_is_paused_and_resumed(visit, world):
    """By its buttons."""
    page = visit()
    sign_in(page)
    row = page.locator("#streams tbody tr", has_text="documents").first
    row.get_by_role("button", name="Pause").click()
    expect(row.locator(".pill")).to_have_text("paused", timeout=20_000)
    expect(page.locator("#toast")).to_contain_text("is paused")
    row.get_by_role("button", name="Resume").click()
    expect(row.locator(".pill")).to_have_text("following", timeout=20_000)


def test_dead_letters_are_sent_again(visit, world):
    """And are gone from the page when they arrived."""
    page = visit()
    sign_in(page)
    page.locator("#dead tbody tr").first.get_by_role("button", name="Retry").click()
    expect(page.locator("#toast")).to_contain_text("1 delivery will be sent again")
    expect(page.locator("#dead-shown")).to_have_text("None.", timeout=30_000)


def test_held_deletions_are_approved_by_the_keyboard_alone(visit, world):
    """From the first Tab to the events in the file."""
    page = visit()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    press_until(page, "document.activeElement.textContent === 'Approve'")
    page.keyboard.press("Enter")
    expect(page.locator("#sure-dialog")).to_be_visible()
    expect(page.locator("#sure-title")).to_contain_text(f"Approve: Deletions held in {world.held}/clients")
    press_until(page, "document.activeElement.id === 'sure-yes'")
    page.keyboard.press("Enter")
    expect(page.locator("#sign-dialog")).to_be_visible()
    expect(page.locator("#token")).to_be_focused()
    page.keyboard.type(HTTP_TOKEN)
    page.keyboard.press("Enter")
    expect(page.locator("#toast")).to_contain_text("approve: carried out", timeout=20_000)
    expect(page.locator("#notices", has_text="Deletions held")).to_have_count(0, timeout=30_000)
    deleted = [one for one in lines(world.site.folder / "events.jsonl") if one["type"].endswith("client.deleted")]
    assert len(deleted) == 20


def press_until(page, condition):
    """Press Tab until something is focused."""
    for _ in range(40):
        if page.evaluate(condition):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"never reached: {condition}")


def test_it_says_when_it_lost_contact(visit, world):
    """And shows by itself when it is back; the last test, for it ends the poller."""
    port = world.port
    page = visit()
    world.poller.stop()
    expect(page.locator("#contact-text")).to_contain_text("Lost contact", timeout=30_000)
    assert overflow(page) == 0
    text = world.site.config.read_text()
    world.site.config.write_text(text.replace('listen = "127.0.0.1:0"', f'listen = "127.0.0.1:{port}"'))
    with world.site.start():
        expect(page.locator("#contact-text")).to_have_text("Live", timeout=60_000)
    page.said.clear()
