"""What a sweep need not look at: the same is concluded of any pages, beside any marks, whether or not it does so."""

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


def joined(pieces):
    return b"[" + b",".join(pieces) + b"]"


class Listing:
    """A source that lists the pages in ``shown``; ``told`` whether it hears what is known, and of which pages.

    ``same`` counts those that it did not show again.
    """

    name = "spaceinvoices"

    def __init__(self, *, told):
        self.shown, self.same, self._told = [], 0, told

    def list(self, _stream, query, _parent=""):
        listing = ById(query if self._told else Sweep(query.after, query.bodies))
        for pieces in [*self.shown, []]:
            text = joined(pieces)
            tag, before = digest(text).hex(), listing.tagged()
            same = before if before and before.tag == tag else None
            page = Page() if same else pages.read(text, bodies=listing.bodies, known=listing.known)
            page = page._replace(began_ms=NOW_MS, tag=tag, same=same)
            self.same += same is not None
            listing.advance(page)
            yield page

    def fetch(self, _stream, ids, _parent=""):
        whole = pages.read(joined(piece for pieces in self.shown for piece in pieces), bodies=True)
        found = [record for record in whole.records if record.id in ids]
        return Page(tuple(record.id for record in found), tuple(found))

    def count(self, _stream, _parent=""):
        return 0


class Kept(SqliteStore):
    """A store that notes all that is committed to it, but for what only spares work."""

    def __init__(self, path):
        super().__init__(path, "spaceinvoices")
        self.steps = []

    def commit(self, stream, step, now_ms):
        self.steps.append(step._replace(pages=()))
        return super().commit(stream, step, now_ms)


def remembered(marks):
    """What is remembered, as findings; of what is live, or was, with its body."""
    for one, (state, version, gone, parent) in marks.items():
        text = body(one, version, deleted=gone and state == State.DELETED)
        mark = Mark(one, None, digest(text), state, parent)
        yield Finding(None, mark, text if state != State.DELETED else None)


def concluded(marks, sweeps, *, told):
    """All that these sweeps, one after the other, commit and count, and what they end with; pages not shown again."""
    watch = Watch(RESOURCES[STREAM.resource], 60.0, 3600.0, 300.0)
    source, meter, ends = Listing(told=told), Meter(), []
    with TemporaryDirectory(dir=MEMORY) as folder:
        store = Kept(Path(folder) / "poller.db")
        plan = Plan({STREAM.resource: watch}, sinks=(Target("a"),))
        tools = Tools(source, store, plan, lambda: NOW_MS, meter=meter)
        try:
            live = sum(state == State.LIVE for state, *_ in marks.values())
            progress = Progress(baselined_ms=1, watermarks={"": NOW_MS}, live=live)
            store.commit(STREAM, Step(progress, list(remembered(marks))), 1)
            for kind, source.shown in sweeps:
                try:
                    ends.append(sweep(Poll(tools, STREAM), kind))
                except SourceError as error:
                    ends.append(str(error))
            counted = {row.name: series for row, series in meter.counters()}
            return (ends, store.steps, store.marks_between(STREAM, "", None), counted), source.same
        finally:
            store.close()


versions = st.integers(1, 2)
any_marks = st.dictionaries(
    st.sampled_from(IDS), st.tuples(st.sampled_from(State), versions, st.booleans(), st.sampled_from(["", "", "p"]))
)
kinds = st.sampled_from([Pass.FULL, Pass.IDS])
whole = st.builds(body, st.sampled_from(IDS), versions, deleted=st.booleans())
in_order = st.lists(whole, unique_by=lambda text: json.loads(text)["id"]).map(
    lambda texts: sorted(texts, key=lambda text: json.loads(text)["id"])
)
odd = st.sampled_from([b"{}", b"null", b'{"id":"f","x":NaN}', b'{"id":"a","total":1}'])


@st.composite
def any_pages(draw):
    """Pages in order, or not, or of odd records."""
    texts, cut = draw(in_order | st.lists(whole | odd)), draw(st.integers(0, 7))
    return [texts[:cut], texts[cut:]] if 0 < cut < len(texts) else [texts]


@given(any_marks, kinds, any_pages())
def test_what_is_known_by_its_digest_is_concluded_as_if_it_was_read(marks, kind, shown):
    """Findings, what is missing, progress, quarantine, counts, and how a listing out of order ends."""
    sweeps = [(kind, shown)]
    assert concluded(marks, sweeps, told=True)[0] == concluded(marks, sweeps, told=False)[0]


@given(any_marks, st.lists(any_pages(), min_size=2, max_size=2), st.lists(st.tuples(kinds, st.integers(0, 1))))
def test_what_is_known_by_its_tag_is_concluded_as_if_it_was_shown(marks, either, sweeps):
    """However often sweeps of both kinds follow each other, and show the same or not."""
    sweeps = [(kind, either[which]) for kind, which in sweeps]
    assert concluded(marks, sweeps, told=True)[0] == concluded(marks, sweeps, told=False)[0]


def test_a_page_of_a_sweep_that_proves_no_absence_is_shown_again():
    """What it does not show may be missing, and nobody has said so yet."""
    marks = dict.fromkeys("abc", (State.LIVE, 1, False, ""))
    first, last = body("a", 1), [body("c", 1)]
    sweeps = [(Pass.FULL, [[first, b"{}"], last]), (Pass.FULL, [[first], last])]
    (_, steps, after, _), _ = concluded(marks, sweeps, told=True)
    assert after["b"].state == State.DELETED
    assert [finding.mark.state for step in steps[1:] for finding in step.findings] == [State.MISSING, State.DELETED]


@given(st.dictionaries(st.sampled_from(IDS), versions, min_size=1))
def test_nothing_of_a_page_that_is_as_remembered_is_read(known):
    """Nor is it shown again, once it was as remembered; its records count as seen and unchanged."""
    marks = {one: (State.LIVE, version, False, "") for one, version in known.items()}
    shown = [[body(*item) for item in sorted(known.items())]]
    (ends, steps, _, counted), same = concluded(marks, [(Pass.FULL, shown)] * 3, told=True)
    assert (ends, same) == ([None] * 3, 2)
    assert not any(step.findings for step in steps[1:])
    for name in ("records_seen", "records_unchanged"):
        assert sum(counted[name].values()) == 3 * len(known)
