"""``poller``, and ``python -m poller``: the command line, but for the one command that has to be quick."""

import os
import sys
from collections.abc import Callable
from pathlib import Path


def main() -> None:
    """Carry out a command."""
    match sys.argv[1:]:
        case ["health"]:
            _health(None)
        case ["--config", config, "health"]:
            _health(Path(config))
    from click import echo  # noqa: PLC0415 - health does without

    from poller.cli import main as command_line  # noqa: PLC0415 - it too

    try:
        command_line(prog_name="poller")
    except OSError as error:
        if not _came_of(echo, error):
            raise
        print(f"poller: standard output cannot be written: {error.strerror or error}", file=sys.stderr)  # noqa: T201
        os._exit(1)  # an orderly end would try it once more


def _came_of(function: Callable[..., None], error: OSError) -> bool:
    """Whether it is this very function that could not do its work."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_code is function.__code__


def _health(config: Path | None) -> None:
    from poller.health import health  # noqa: PLC0415 - the others do without

    well, told = health(config)
    print(told)  # noqa: T201 - this is the command line
    raise SystemExit(not well)


if __name__ == "__main__":
    main()
