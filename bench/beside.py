"""Peers on the same work, from the same simulator, one after the other; the entry of ``make bench-peers``.

Each begins with nothing, runs again when nothing changed, and once more when one record in a hundred did. What each
then holds is compared with what was done to the records.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from figures import Figure, Table, Target, machine, most, say
from publish import publish

PEERS = Path(__file__).parent / "peers"
DOCS = Path(__file__).parent.parent / "docs"
VENVS = Path(__file__).parent.parent / ".venv-peers"
POLLER_COMMAND = (str(VENVS / "poller/bin/python"), "-m", "poller")
SHOWN = ("dlt", "duckdb", "singer-sdk", "target-jsonl")
POLLER = """
[source]
token = {{ file = "{folder}/token" }}
base_url = "{url}"
organizations = ["{org}"]
rate = 100
[resources]
{others}
[state]
path = "{folder}/poller.db"
[sinks.events]
kind = "file"
path = "{folder}/events.jsonl"
"""
OTHERS = ("documents", "items", "payments", "recurrences", "taxes", "units", "categories", "prices", "orders")
CHANGED = "changed"
"""The note of what was created or updated."""

DELETIONS = ("deleted softly", "deleted hard")

Truth = Mapping[str, Sequence[str]]
"""Ids by what was done to the records."""


@dataclass(frozen=True)
class Spent:
    """What a run took, all its processes together; they were there at once, so their peaks add up."""

    cpu_s: float
    wall_s: float
    peak_mb: float


@dataclass(frozen=True)
class Peer:
    """One way to follow the records: ``run`` looks once, ``missed`` says which changes it does not show."""

    name: str
    run: Callable[[], Spent]
    missed: Callable[[Truth], Truth]


def _pipe(*commands: Sequence[str], output: Path | None = None, folder: Path, **variables: str) -> Spent:
    """Run processes, each reading what the one before it says, to their ends."""
    began_s, processes, before = time.perf_counter(), [], subprocess.DEVNULL
    with (output or Path(os.devnull)).open("wb") as last, (folder / "log").open("ab") as log:
        for place, command in enumerate(commands):
            out = last if place == len(commands) - 1 else subprocess.PIPE
            process = subprocess.Popen(command, stdin=before, stdout=out, stderr=log, env={**os.environ, **variables})
            if before is not subprocess.DEVNULL:
                before.close()
            before = process.stdout
            processes.append(process)
        usages = []
        for process in processes:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            usages.append(usage)
    if any(process.returncode for process in processes):
        raise AssertionError(f"{commands} failed: {(folder / 'log').read_text()[-2000:]}")
    cpu_s = sum(usage.ru_utime + usage.ru_stime for usage in usages)
    return Spent(cpu_s, time.perf_counter() - began_s, sum(usage.ru_maxrss for usage in usages) / 1024)


# poller


def _poller(folder: Path, upstream: Mapping[str, str], *, full: bool) -> Peer:
    folder.mkdir()
    (folder / "token").touch(mode=0o600)
    (folder / "token").write_text(upstream["token"])
    others = "\n".join(f"{name} = false" for name in OTHERS)
    config = folder / "config.toml"
    config.write_text(POLLER.format(folder=folder, url=upstream["url"], org=upstream["org"], others=others))
    command = [*POLLER_COMMAND, "--config", str(config), "once", *(["--sweep"] if full else [])]
    name = "poller once --sweep" if full else "poller once"
    return Peer(name, partial(_pipe, command, folder=folder), partial(_untold, folder / "events.jsonl"))


_KINDS = {"created": "created", "updated": "updated", "deleted softly": "deleted", "deleted hard": "deleted"}


def _untold(events: Path, truth: Truth) -> Truth:
    """The changes without an event; an event without a change, or a second one, is a mistake of poller's."""
    lines = events.read_bytes().splitlines() if events.exists() else []
    rows = [json.loads(line) for line in lines]
    told = sorted((row["type"].rpartition(".")[2], row["subject"].rpartition("/")[2]) for row in rows)
    done = {(_KINDS[kind], one) for kind, ids in truth.items() for one in ids}
    if len(set(told)) < len(told) or not done.issuperset(told):
        raise AssertionError("poller told what was not done, or twice what was")
    return {kind: [one for one in ids if (_KINDS[kind], one) not in told] for kind, ids in truth.items()}


# dlt


def _dlt(folder: Path, upstream: Mapping[str, str], mode: str) -> Peer:
    folder.mkdir()
    command = [str(VENVS / "dlt/bin/python"), str(PEERS / "dlt_peer.py"), mode, str(folder)]
    run = partial(_pipe, command, folder=folder, UPSTREAM=json.dumps(upstream))
    return Peer(f"dlt, {mode}", run, partial(_not_held, [*command, "show"]))


def _not_held(show: Sequence[str], truth: Truth) -> Truth:
    """The changes that a table of what is there does not show."""
    there = dict(json.loads(subprocess.run(show, check=True, capture_output=True).stdout))
    saved = {one for one, note in there.items() if note == CHANGED}
    return _without(truth, saved=saved, left=set(there))


# Singer


def _singer(folder: Path, upstream: Mapping[str, str]) -> Peer:
    folder.mkdir()
    (folder / "lines").mkdir()
    (folder / "tap.json").write_text(json.dumps(upstream))
    (folder / "target.json").write_text(json.dumps({"destination_path": str(folder / "lines")}))
    return Peer("Singer tap, target-jsonl", partial(_tap, folder), partial(_not_written, folder / "lines"))


def _tap(folder: Path) -> Spent:
    """Go on from the state that the target said last; what it wrote before is put away."""
    state, said = folder / "state.json", folder / "said"
    for lines in (folder / "lines").iterdir():
        lines.unlink()
    tap = [str(VENVS / "tap/bin/python"), str(PEERS / "tap.py"), "--config", str(folder / "tap.json")]
    tap += ["--state", str(state)] if state.exists() else []
    target = [str(VENVS / "target/bin/target-jsonl"), "--config", str(folder / "target.json")]
    spent = _pipe(tap, target, output=said, folder=folder)
    states = said.read_text().splitlines()
    if states:
        state.write_text(states[-1])
    return spent


def _not_written(lines: Path, truth: Truth) -> Truth:
    """The changes that the lines of the last run do not show."""
    rows = [json.loads(line) for file in lines.iterdir() for line in file.read_text().splitlines()]
    last = {row["id"]: row for row in rows}
    saved = {one for one, row in last.items() if row.get("note") == CHANGED}
    gone = {one for one, row in last.items() if row.get("_isDeleted")}
    deleted = {one for kind in DELETIONS for one in truth[kind]}
    return _without(truth, saved=saved, left=deleted - gone)


# All of them


def _without(truth: Truth, *, saved: AbstractSet[str], left: AbstractSet[str]) -> Truth:
    """The changes missed by who has these records with their new contents, and has these left that may be deleted."""
    return {
        kind: [one for one in ids if (one in left if kind in DELETIONS else one not in saved)]
        for kind, ids in truth.items()
    }


@contextmanager
def _upstream(records: int) -> Iterator[tuple[Mapping[str, str], Callable[[], Truth]]]:
    """The simulator in a process of its own: where it is, and what changes a hundredth of its records."""
    command = [sys.executable, str(PEERS / "upstream.py"), str(records)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        if process.stdin is None or process.stdout is None:
            raise AssertionError("it has both")
        into, out = process.stdin, process.stdout

        def change() -> Truth:
            into.write("\n")
            into.flush()
            changed: Truth = json.loads(out.readline())
            return changed

        try:
            yield json.loads(out.readline()), change
        finally:
            process.terminate()


QUICK_S, QUICK_RUNS = 2.0, 7

BASELINE, UNCHANGED, ONE_PERCENT = "from nothing", "nothing changed", "1 % changed"


def compare(records: int) -> list[Table]:
    """Tables of what each took for each round, of what it missed, and of poller beside the others."""
    with TemporaryDirectory(prefix="poller-bench-") as name, _upstream(records) as (upstream, change):
        folder = Path(name)
        full, soon = (_poller(folder / part, upstream, full=part == "full") for part in ("full", "soon"))
        others = [_dlt(folder / mode, upstream, mode) for mode in ("scd2", "merge")]
        others.append(_singer(folder / "singer", upstream))
        peers = [full, soon, *others]
        rounds = {BASELINE: _round(peers)}
        rounds[UNCHANGED] = _unchanged(peers)
        truth = change()
        rounds[ONE_PERCENT] = _round(peers)
        missed = {peer.name: peer.missed(truth) for peer in peers}
        subprocess.run(_sweeping(folder / "soon"), check=True, capture_output=True)
        missed["poller once, after its next sweep"] = soon.missed(truth)
    took = [
        Table(f"Peers: {title} ({records:,} records)", list(map(_took, *zip(*spent.items(), strict=True))))
        for title, spent in rounds.items()
    ]
    return [*took, _missed(missed, truth), _beside(rounds)]


def _round(peers: Sequence[Peer]) -> dict[str, list[Spent]]:
    return {peer.name: [peer.run()] for peer in peers}


def _unchanged(peers: Sequence[Peer]) -> dict[str, list[Spent]]:
    """By turns, and those that are soon done several times: of less than a second one run says little."""
    spent = _round(peers)
    for _ in range(QUICK_RUNS - 1):
        for peer in peers:
            if spent[peer.name][0].wall_s < QUICK_S:
                spent[peer.name].append(peer.run())
    return spent


def _sweeping(folder: Path) -> list[str]:
    return [*POLLER_COMMAND, "--config", str(folder / "config.toml"), "once", "--sweep"]


def _took(name: str, spent: Sequence[Spent]) -> Figure:
    cpu_s, wall_s, peak_mb = (list(values) for values in zip(*map(astuple, spent), strict=True))
    return Figure(name, {"CPU, s": cpu_s, "time, s": wall_s, "peak, MB": peak_mb})


def _missed(missed: Mapping[str, Truth], truth: Truth) -> Table:
    """Numbers of changes; those of poller are to be none, of the incremental one after its sweep."""
    figures = [Figure("made", _counts(truth))]
    for name, changes in missed.items():
        targets = (most(0),) if name.startswith("poller") and name != "poller once" else ()
        figures.append(Figure(name, _counts(changes), targets))
    return Table("Missed changes", figures)


def _counts(changes: Truth) -> dict[str, list[float]]:
    counts = {kind: [float(len(ids))] for kind, ids in changes.items()}
    return counts | {"in all": [sum(count for (count,) in counts.values())]}


def _beside(rounds: Mapping[str, Mapping[str, Sequence[Spent]]]) -> Table:
    full, soon = "poller once --sweep", "poller once"
    scd2, merge, singer = "dlt, scd2", "dlt, merge", "Singer tap, target-jsonl"
    base, idle, changed = (
        {name: _median(spent) for name, spent in rounds[each].items()} for each in (BASELINE, UNCHANGED, ONE_PERCENT)
    )
    cheaper = min(base[scd2].cpu_s, base[merge].cpu_s)
    return Table(
        "Beside peers: poller's share",
        [
            _share("from nothing: CPU, of the cheaper dlt", base[full].cpu_s / cheaper, most(1 / 5)),
            _share("nothing changed: CPU of a full sweep, of dlt with scd2", idle[full].cpu_s / idle[scd2].cpu_s),
            _share(
                "1 % changed: CPU of a full sweep, of dlt with scd2",
                changed[full].cpu_s / changed[scd2].cpu_s,
                most(1 / 8),
            ),
            _share(
                "nothing changed: time of poller once, of the tap", idle[soon].wall_s / idle[singer].wall_s, most(1)
            ),
            _share(
                "1 % changed: time of poller once, of the tap", changed[soon].wall_s / changed[singer].wall_s, most(1)
            ),
        ],
    )


def _median(spent: Sequence[Spent]) -> Spent:
    return Spent(*map(median, zip(*map(astuple, spent), strict=True)))


def _share(name: str, share: float, *targets: Target) -> Figure:
    return Figure(name, {"share": [share]}, targets)


def _versions() -> dict[str, str]:
    lines = [line for file in PEERS.glob("requirements-*.txt") for line in file.read_text().splitlines()]
    pinned = dict(line.split("==", 1) for line in lines if "==" in line)
    return {name: pinned[name] for name in SHOWN}


def main(argv: list[str] | None = None) -> None:
    """Print one table after the other."""
    parser = argparse.ArgumentParser(prog="make bench-peers ARGS=...", description=__doc__)
    parser.add_argument("--records", type=int, default=100_000, help="records to begin with (default: %(default)s)")
    parser.add_argument("--docs", action="store_true", help="write the tables into docs/performance.md")
    parser.add_argument("--json", type=Path, help="write all figures to this file too")
    asked = parser.parse_args(argv)
    about = machine() | _versions()
    tables = say(about, compare(asked.records), asked.json)
    if asked.docs:
        publish(DOCS / "performance.md", about, tables, targets="Targets beside peers")


if __name__ == "__main__":
    main()
