"""``poller``, and ``python -m poller``: the command line, but for the one command that has to be quick."""

import sys
from pathlib import Path


def main() -> None:
    """Carry out a command."""
    match sys.argv[1:]:
        case ["health"]:
            _health(None)
        case ["--config", config, "health"]:
            _health(Path(config))
    from poller.cli import main as command_line  # noqa: PLC0415 - health does without click

    command_line(prog_name="poller")


def _health(config: Path | None) -> None:
    from poller.health import health  # noqa: PLC0415 - the others do without

    well, told = health(config)
    print(told)  # noqa: T201 - this is the command line
    raise SystemExit(not well)


if __name__ == "__main__":
    main()
