"""Whether the poller of a configuration runs and moves. Asked every half minute for years, it imports little."""

import os
from pathlib import Path

from poller.asking import NotRunning, ask
from poller.places import ConfigError, find, state

_ANSWER_S = 3.0
"""Less than what Docker and Kubernetes give a probe."""


def health(config: Path | None) -> tuple[bool, str]:
    """Whether all is well, and what there is to say, on one line.

    A receiver or an API that is dead does not count: see ``pulse``. ``config`` is the file that was named, if one was.
    """
    try:
        answer = ask(state(find(config, os.environ)), "ping", _ANSWER_S)
    except (ConfigError, PermissionError) as error:
        return False, str(error).splitlines()[0]
    except NotRunning:
        return False, "poller does not run"
    except OSError as error:
        return False, f"poller does not answer: {error}"
    if "error" in answer:
        return False, str(answer["error"])
    if trouble := answer.get("trouble"):
        return False, str(trouble)
    pauses = f"; polls pause: {answer['pressed']}" if answer.get("pressed") else ""
    return True, f"well: process {answer['pid']}{pauses}"
