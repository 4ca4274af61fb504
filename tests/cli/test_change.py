"""``poller plan`` and ``poller reload`` as commands; what a plan says is checked in ``test_plan_agrees``."""

import json

import pytest
from process import STDOUT, Site, file, only

from poller.simulator import Simulator

CLIENTS = only("clients")


@pytest.fixture
def site(tmp_path, account):
    with Simulator(account) as api:
        yield Site(tmp_path, api.url, CLIENTS + STDOUT)


def changed(site, old, new):
    """A configuration beside that of the site, with a part of it replaced."""
    text = site.config.read_text()
    assert old in text
    path = site.folder / "new.toml"
    path.write_text(text.replace(old, new, 1))
    return path


def plan(site, path):
    done = site.run("plan", str(path), "--json")
    assert done.code == 0, done.err
    return json.loads(done.out)


def test_it_reads_and_writes_nothing(site, account):
    """The state stays as it is, no file is made, and nothing is asked of the API; for people it is a page."""
    assert site.run("once").code == 0
    before, files = site.dump(), sorted(site.folder.iterdir())
    new = changed(site, "items = false\n", "")
    new.write_text(new.read_text() + file("audit", site.folder / "made" / "events.jsonl"))
    done = site.run("plan", str(new))
    assert (done.code, done.err) == (0, "")
    assert "No event fires by this change alone." in done.out
    org = account.organizations[0]
    assert f"added      {org}/items begins in silence" in done.out
    assert "added      audit" in done.out
    assert site.dump() == before
    assert {path for path in site.folder.iterdir() if not path.name.startswith("run-")} - {*files} == {new}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[resources]", "[resources", "is not TOML"),
        ("overlap", "overlapp", "source.overlapp"),
        ('env = "POLLER_TEST_TOKEN"', 'env = "NOT_THERE"', "source.token: the environment variable NOT_THERE"),
    ],
)
def test_a_bad_file_is_told(site, old, new, words):
    """With exit code 78, as a start would."""
    done = site.run("plan", str(changed(site, old, new)))
    assert (done.code, words in done.err, done.out) == (78, True, "")
    assert site.run("plan", str(site.folder / "missing.toml")).code == 78


def test_before_the_first_start(site):
    """There is no state yet: nothing is known of any organization."""
    found = plan(site, changed(site, "items = false\n", ""))
    assert (found["streams"], found["fires"]) == ([], [])


def test_beside_a_present_configuration_that_cannot_be_used(site):
    """The state that it names is looked at all the same."""
    assert site.run("once").code == 0
    new = changed(site, "items = false\n", "")
    site.config.write_text(site.config.read_text().replace("overlap", "overlapp"))
    assert {row["stream"].split("/")[1] for row in plan(site, new)["streams"]} == {"items"}


def test_a_running_poller_is_asked_what_is_in_force(site, account):
    """So that a file that was changed in its place can be compared; and once it is in force, nothing changes."""
    org = account.organizations[0]
    with site.start() as poller:
        poller.until(lambda: site.baselined(1))
        site.config.write_text(site.config.read_text().replace("items = false\n", ""))
        found = plan(site, site.config)
        assert [(row["stream"], row["what"]) for row in found["streams"]] == [(f"{org}/items", "added")]
        assert site.run("reload").code == 0
        poller.until(lambda: site.baselined(2))
        assert site.run("plan", str(site.config)).out == "Nothing changes.\n"
        assert poller.stop().code == 0


def test_status_follows_the_configuration_in_force(site, account):
    """And not a file that was changed since."""
    with site.start() as poller:
        poller.until(lambda: site.baselined(1))
        site.config.write_text(site.config.read_text().replace("clients", "taxes").replace("taxes = false", "", 1))
        (row,) = site.status()["streams"]
        assert (row["state"], site.status()["reloaded"]) == ("following", None)
        assert poller.stop().code == 0
