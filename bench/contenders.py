"""Ways to follow the same records: poller, dlt, a Singer tap; what each takes, and what it does not show."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

PEERS = Path(__file__).parent / "peers"
VENVS = Path(__file__).parent.parent / ".venv-peers"
COMMAND = (str(VENVS / "poller/bin/python"), "-m", "poller")
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


def poller(folder: Path, where: Mapping[str, str], *, full: bool) -> Peer:
    """``poller once``, with ``full`` a sweep each time; its events go to a file."""
    folder.mkdir()
    (folder / "token").touch(mode=0o600)
    (folder / "token").write_text(where["token"])
    others = "\n".join(f"{name} = false" for name in OTHERS)
    config = folder / "config.toml"
    config.write_text(POLLER.format(folder=folder, url=where["url"], org=where["org"], others=others))
    command = [*COMMAND, "--config", str(config), "once", *(["--sweep"] if full else [])]
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


def dlt(folder: Path, where: Mapping[str, str], mode: str) -> Peer:
    """Dlt's REST source into DuckDB, by ``scd2`` or ``merge``."""
    folder.mkdir()
    command = [str(VENVS / "dlt/bin/python"), str(PEERS / "dlt_peer.py"), mode, str(folder)]
    run = partial(_pipe, command, folder=folder, UPSTREAM=json.dumps(where))
    return Peer(f"dlt, {mode}", run, partial(_not_held, [*command, "show"]))


def _not_held(show: Sequence[str], truth: Truth) -> Truth:
    """The changes that a table of what is there does not show."""
    there = dict(json.loads(subprocess.run(show, check=True, capture_output=True).stdout))
    saved = {one for one, note in there.items() if note == CHANGED}
    return _without(truth, saved=saved, left=set(there))


# Singer


def singer(folder: Path, where: Mapping[str, str]) -> Peer:
    """A tap by Meltano's SDK into ``target-jsonl``."""
    folder.mkdir()
    (folder / "lines").mkdir()
    (folder / "tap.json").write_text(json.dumps(where))
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
def upstream(records: int) -> Iterator[tuple[Mapping[str, str], Callable[[], Truth]]]:
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
