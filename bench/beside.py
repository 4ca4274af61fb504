"""Peers on the same work, from the same simulator, one after the other; the entry of ``make bench-peers``.

Each begins with nothing, runs again when nothing changed, and once more when one record in a hundred did. What each
then holds is compared with what was done to the records.
"""

import argparse
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from contenders import COMMAND, PEERS, Peer, Spent, Truth, dlt, poller, singer, upstream
from figures import Figure, Table, Target, machine, most, say
from publish import publish

DOCS = Path(__file__).parent.parent / "docs"
SHOWN = ("dlt", "duckdb", "singer-sdk", "target-jsonl")
QUICK_S, QUICK_RUNS = 2.0, 7

BASELINE, UNCHANGED, ONE_PERCENT = "from nothing", "nothing changed", "1 % changed"


def compare(records: int) -> list[Table]:
    """Tables of what each took for each round, of what it missed, and of poller beside the others."""
    with TemporaryDirectory(prefix="poller-bench-") as name, upstream(records) as (where, change):
        folder = Path(name)
        full, soon = (poller(folder / part, where, full=part == "full") for part in ("full", "soon"))
        others = [dlt(folder / mode, where, mode) for mode in ("scd2", "merge")]
        others.append(singer(folder / "singer", where))
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
    return [*COMMAND, "--config", str(folder / "config.toml"), "once", "--sweep"]


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
