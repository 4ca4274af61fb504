"""What a sweep need not look at: the same is concluded of any page, beside any marks, whether or not it does so."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from poller.diff import Finding, digest
from poller.meter import Meter
from poller.model import Mark, Page, State, Stream
from poller.plan import Plan, Target, Watch
from poller.running import Poll, Tools
from poller.sources import SourceError, Sweep, pages
from poller.sources.keyset import ById
from poller.sources.resources import RESOURCES
from poller.stores import Pass, Progress, Step
from poller.stores.sqlite import SqliteStore
from poller.sweep import sweep

STREAM = Stream("o", "clients")
NOW_MS = 1_790_000_000_000
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # what is synced there takes no time
IDS = ("a", "b", "c", "d", "e", "ž", "\U00010400")


def body(one, version, *, deleted=False):
    """A record as the API shows it."""
    fields = {"id": one, "updatedAt": f"2026-02-0{version}T00:00:00.000Z", "total": version}
    return json.dumps(fields | ({"_isDeleted": True} if deleted else {}), ensure_ascii=False).encode()


class Listing:
    """A source that shows these pages, and by id nothing; ``told`` whether a listing hears what is known."""

    name = "spaceinvoices"

    def __init__(self, shown, *, told):
        self._shown, self._told = shown, told

    def list(self, _stream, query, _parent=""):
        listing = ById(query if self._told else Sweep(query.after, query.bodies))
        for pieces in [*self._shown, []]:
            page = pages.read(b"[" + b",".join(pieces) + b"]", bodies=True, known=listing.known)
            listing.advance(page)
            yield page._replace(began_ms=NOW_MS)

    def fetch(self, _stream, _ids, _parent=""):
        return Page()

    def count(self, _stream, _parent=""):
        return 0


class Kept(SqliteStore):
    """A store that notes all that is committed to it."""

    def __init__(self, path):
        super().__init__(path, "spaceinvoices")
        self.steps = []

    def commit(self, stream, step, now_ms):
        self.steps.append((step, now_ms))
        return super().commit(stream, step, now_ms)


def remembered(marks):
    """What is remembered, as findings; of what is live, or was, with its body."""
    for one, (state, version, gone, parent) in marks.items():
        text = body(one, version, deleted=gone and state == State.DELETED)
        mark = Mark(one, None, digest(text), state, parent)
        yield Finding(None, mark, text if state != State.DELETED else None)


def concluded(marks, shown, *, told):
    """All that a full sweep commits and counts, and what it ends with."""
    watch = Watch(RESOURCES[STREAM.resource], 60.0, 3600.0, 300.0)
    with TemporaryDirectory(dir=MEMORY) as folder:
        store = Kept(Path(folder) / "poller.db")
        meter = Meter()
        plan = Plan({STREAM.resource: watch}, sinks=(Target("a"),))
        tools = Tools(Listing(shown, told=told), store, plan, lambda: NOW_MS, meter=meter)
        try:
            live = sum(state == State.LIVE for state, *_ in marks.values())
            progress = Progress(baselined_ms=1, watermarks={"": NOW_MS}, live=live)
            store.commit(STREAM, Step(progress, list(remembered(marks))), 1)
            end = ""
            try:
                sweep(Poll(tools, STREAM), Pass.FULL)
            except SourceError as error:
                end = str(error)
            counted = {row.name: series for row, series in meter.counters()}
            return end, store.steps, store.marks_between(STREAM, "", None), counted
        finally:
            store.close()


versions = st.integers(1, 2)
any_marks = st.dictionaries(
    st.sampled_from(IDS), st.tuples(st.sampled_from(State), versions, st.booleans(), st.sampled_from(["", "", "p"]))
)
whole = st.builds(body, st.sampled_from(IDS), versions, deleted=st.booleans())
in_order = st.lists(whole, unique_by=lambda text: json.loads(text)["id"]).map(
    lambda texts: sorted(texts, key=lambda text: json.loads(text)["id"])
)
odd = st.sampled_from([b"{}", b"null", b'{"id":"f","x":NaN}', b'{"id":"a","total":1}'])


@given(any_marks, in_order | st.lists(whole | odd), st.integers(0, 7))
def test_what_is_known_by_its_digest_is_concluded_as_if_it_was_read(marks, texts, cut):
    """Findings, what is missing, progress, quarantine, counts, and how a listing out of order ends."""
    shown = [texts[:cut], texts[cut:]] if 0 < cut < len(texts) else [texts]
    assert concluded(marks, shown, told=True) == concluded(marks, shown, told=False)


@given(any_marks)
def test_nothing_of_a_page_that_is_as_remembered_is_read(marks):
    """Nor are its marks, beside their digests."""
    live = {one: (State.LIVE, version, False, "") for one, (_, version, _, _) in marks.items()}
    texts = [body(one, version) for one, (_, version, _, _) in sorted(live.items(), key=lambda item: item[0])]
    end, steps, _, counted = concluded(live, [texts], told=True)
    assert (end, [step.findings for step, _ in steps[1:]]) == ("", [[] for _ in steps[1:]])
    assert sum(counted["records_seen"].values()) == sum(counted["records_unchanged"].values()) == len(texts)
