"""The simulator by itself: ``python -m poller.simulator`` prints its address and token, and changes records."""

import argparse
import contextlib
import random
import sys
import time

from poller.simulator.account import Account
from poller.simulator.history import History
from poller.simulator.server import Simulator


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m poller.simulator", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port on loopback; 0 takes a free one")
    parser.add_argument("--seed", type=int, default=1, help="the same seed makes the same changes")
    parser.add_argument("--organizations", type=int, default=2)
    parser.add_argument("--records", type=int, default=50, help="records of each resource to begin with")
    parser.add_argument("--rate", type=float, default=1.0, help="random changes a second")
    parser.add_argument("--late", type=float, default=0.0, help="seconds that some changes stay invisible")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Serve until interrupted."""
    asked = _arguments(argv)
    rng = random.Random(asked.seed)
    account = Account(organizations=asked.organizations, seed=asked.seed)
    history = History(account, rng, late_ms=int(asked.late * 1000))
    history.populate(asked.records)
    with contextlib.suppress(KeyboardInterrupt), Simulator(account, asked.port) as simulator:
        sys.stdout.write(f"url {simulator.url}\ntoken {account.token}\n")
        sys.stdout.flush()
        _live(history, asked.rate)


def _live(history: History, rate: float) -> None:
    """Take random steps, so many a second, for ever."""
    while True:
        time.sleep(1 / rate if rate > 0 else 3600)
        if rate > 0:
            history.step()


if __name__ == "__main__":
    main()
