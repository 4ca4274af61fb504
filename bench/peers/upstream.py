"""The simulator for all peers, a process of its own: ``python upstream.py 1000`` clients, each saved at its own time.

It prints a line of JSON with its address, token and organization; for each line that it reads it changes one record
in a hundred, and prints which.
"""

import json
import sys
import time
from collections.abc import Iterator
from itertools import count
from random import Random

from poller.simulator.account import Account
from poller.simulator.server import Simulator

DAY_MS = 86_400_000


class Clock:
    """Goes on by a millisecond at each look until it is ``set``; then it is the machine's."""

    def __init__(self) -> None:
        self._times: Iterator[int] = count(time.time_ns() // 1_000_000 - DAY_MS)

    def __call__(self) -> int:
        """Milliseconds since 1970."""
        return next(self._times)

    def set(self) -> None:
        """Show the time as it is."""
        self._times = iter(lambda: time.time_ns() // 1_000_000, None)


def _populate(account: Account, org: str, records: int) -> list[str]:
    rng = Random(1)
    made = []
    for _ in range(records):
        name, digits = f"{rng.getrandbits(40):x}", rng.randrange(10**8)
        fields = {
            "name": f"{name.title()} Logistics d.o.o.",
            "address": f"Dunajska cesta {digits % 300}",
            "taxNumber": f"SI{digits:08d}",
            "email": f"billing@{name}.example",
            "phone": f"+386 1 {digits % 10**7:07d}",
        }
        made.append(account.create(org, "clients", fields))
    return made


def _change(account: Account, org: str, ids: list[str]) -> dict[str, list[str]]:
    """Change one record in a hundred: half of that updates, a quarter new, an eighth each deleted softly and hard."""
    share = max(len(ids) // 800, 1)
    picked = iter(Random(2).sample(ids, 6 * share))
    updated = [next(picked) for _ in range(4 * share)]
    soft = [next(picked) for _ in range(share)]
    hard = list(picked)
    for one in updated:
        account.update(org, "clients", one, {"note": "changed", "phone": "+386 1 000 00 00"})
    created = [account.create(org, "clients", {"note": "changed"}) for _ in range(2 * share)]
    for one in soft:
        account.soft_delete(org, "clients", one)
    for one in hard:
        account.hard_delete(org, "clients", one)
    return {"created": created, "updated": updated, "deleted softly": soft, "deleted hard": hard}


def _say(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def main(records: int) -> None:
    """Serve until standard input ends."""
    clock = Clock()
    account = Account(clock)
    org = account.organizations[0]
    ids = _populate(account, org, records)
    clock.set()
    with Simulator(account) as simulator:
        _say({"url": simulator.url, "token": account.token, "org": org})
        for _ in sys.stdin:
            _say(_change(account, org, ids))


if __name__ == "__main__":
    main(int(sys.argv[1]))
