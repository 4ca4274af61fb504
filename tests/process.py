"""The real process on a configuration of its own: start it, read what it says, signal it, kill it.

The account that it polls is a simulator in the test's own process, so that a test can change it at will. The process
has its libraries from ``forks``, but where a test wants Python to be started anew.
"""

import fcntl
import json
import os
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from itertools import count
from pathlib import Path
from signal import SIGABRT, SIGTERM
from subprocess import DEVNULL, Popen, TimeoutExpired
from typing import Any, NamedTuple, Self

from forks import SETTINGS, Forked
from unpacked import unpacking

import poller

TOKEN = "canary-token-" + "t" * 51
SECRET = "whsec_Y2FuYXJ5LXNlY3JldC1vZi10d2VudHktZm91cg=="
NOWHERE = "http://127.0.0.1:9/v1"
"""The address of an API that is not there."""

_MAIN = "\nfrom poller.cli import main\nmain(prog_name='poller')\n"


def eventually(condition: Callable[[], Any], timeout_s: float = 60.0, every_s: float = 0.01) -> Any:
    """Wait until ``condition`` gives something true, and give that; fail after ``timeout_s``."""
    ends_at = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < ends_at, f"not within {timeout_s} s"
        time.sleep(every_s)
    return found


class Finished(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    def log(self) -> list[dict[str, Any]]:
        return _log(self.err)


class Poller:
    """A process under way, as a context manager that leaves none behind. Its output goes to files.

    ``begin`` makes the process, of two descriptors: ``stdout`` and ``stderr``, given, or else those files.
    """

    def __init__(
        self, begin: Callable[[int, int], "Popen[bytes] | Forked"], out: Path, err: Path, **pipes: int
    ) -> None:
        self._out, self._err = out, err
        with out.open("wb") as to_out, err.open("wb") as to_err:
            self._process = begin(pipes.get("stdout", to_out.fileno()), pipes.get("stderr", to_err.fileno()))
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def out(self) -> str:
        return self._out.read_text()

    @property
    def err(self) -> str:
        return self._err.read_text()

    def log(self, event: str = "") -> list[dict[str, Any]]:
        """What it logged so far, all or the lines of one event."""
        return [line for line in _log(self.err) if event in ("", line["event"])]

    def events(self) -> list[dict[str, Any]]:
        """The events on its standard output so far; a line that is being written is left out."""
        return [json.loads(line) for line in self.out.splitlines(keepends=True) if line.endswith("\n")]

    def up(self) -> "Poller":
        """Wait until it has started."""
        return self.until(lambda: '"poller.started"' in self.err)

    def until(self, condition: Callable[[], Any], timeout_s: float = 15.0) -> "Poller":
        """Wait for ``condition``; fail at once where the process ended before."""
        eventually(lambda: self.ended() or condition(), timeout_s)
        assert condition(), f"it ended with {self._process.poll()}:\n{self.err}"
        return self

    def ended(self) -> bool:
        return self._process.poll() is not None

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait(10)

    def wait(self, timeout_s: float = 15.0) -> Finished:
        """Wait for its end; a process that does not come to it says where all of its threads are."""
        try:
            code = self._process.wait(timeout_s)
        except TimeoutExpired:
            self.signal(SIGABRT)
            self._process.wait(5)
            raise AssertionError(f"not ended within {timeout_s} s:\n{self.err}") from None
        return Finished(code, self.out, self.err)

    def stop(self, number: int = SIGTERM, timeout_s: float = 15.0) -> Finished:
        """Ask it to end, and wait for that."""
        self.signal(number)
        return self.wait(timeout_s)

    def cpu_s(self) -> float:
        """Seconds of processor time that it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Pipe:
    """A pipe that holds 4 kB, and that nobody reads but ``text``, which gives all that came so far."""

    def __enter__(self) -> Self:
        self._read, self.write = os.pipe()
        fcntl.fcntl(self.write, fcntl.F_SETPIPE_SZ, 4096)
        self._seen = b""
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._read)
        os.close(self.write)

    def fill(self) -> None:
        os.write(self.write, b" " * 4096)

    def text(self) -> str:
        os.set_blocking(self._read, False)
        with suppress(BlockingIOError):
            while more := os.read(self._read, 4096):
                self._seen += more
        return self._seen.decode()


def _log(text: str) -> list[dict[str, Any]]:
    lines = [line for line in text.splitlines(keepends=True) if line.startswith("{") and line.endswith("}\n")]
    return [json.loads(line) for line in lines]


class Site:
    """A folder with a configuration in it, and commands that run there.

    ``source`` are keys of ``[source]``, ``tables`` is TOML for the rest. ``patch`` is Python that a command
    runs before the command line's ``main``: to shorten a wait, or to break what a test must notice. ``anew`` says
    that Python is started for each command.
    """

    anew = False

    def __init__(self, folder: Path, url: str, tables: str = "", *, patch: str = "", **source: Any) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.database = folder / "poller.db"
        self.config = folder / "config.toml"
        self.patch = patch
        self.env = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(Path(poller.__file__).parents[1]),
            **SETTINGS,
            "POLLER_TEST_TOKEN": TOKEN,
            "POLLER_TEST_SECRET": SECRET,
        }
        self._number = count(1)
        keys = {"base_url": url, "every": "100ms", "rate": 100, "overlap": "5s"} | source
        lines = [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
        self.config.write_text(
            "\n".join(['[source]\ntoken = { env = "POLLER_TEST_TOKEN" }', *lines])
            + f'\n\n[state]\npath = "{self.database}"\n\n{tables}'
        )

    def start(self, *arguments: str, patch: str | None = None, **pipes: int) -> Poller:
        """Begin a command, ``run`` if none is named; ``pipes`` as for ``Poller``."""
        code = self.patch if patch is None else patch
        code = code and code + _MAIN
        words = ["--config", str(self.config), *(arguments or ("run",))]
        name = f"run-{next(self._number)}"

        def begin(out: int, err: int) -> "Popen[bytes] | Forked":
            if not self.anew:
                return Forked(code, words, self.folder, self.env, out, err)
            command = [sys.executable, *(["-c", code] if code else ["-m", "poller"]), *words]
            # A shell's background job is born deaf to SIGINT.
            hear = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # noqa: E731
            streams = {"stdin": DEVNULL, "stdout": out, "stderr": err}
            return Popen(command, **streams, cwd=self.folder, env=self.env, preexec_fn=hear)  # noqa: PLW1509

        return Poller(begin, self.folder / f"{name}.out", self.folder / f"{name}.err", **pipes)

    def run(self, *arguments: str, patch: str | None = None, timeout_s: float = 30.0) -> Finished:
        """Carry out a command to its end."""
        with self.start(*arguments, patch=patch) as poller:
            return poller.wait(timeout_s)

    def status(self) -> dict[str, Any]:
        """What ``poller status --json`` says."""
        done = self.run("status", "--json")
        assert done.code == 0, done.err
        found: dict[str, Any] = json.loads(done.out)
        return found

    def query(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Ask the database, whether a poller runs or not."""
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=5)) as connection:
            return unpacking(connection).execute(sql, values).fetchall()

    def dump(self) -> list[str]:
        """All that the database says, as SQL."""
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=5)) as connection:
            return list(connection.iterdump())

    def baselined(self, streams: int = 10) -> bool:
        """Whether so many streams have their silent baseline."""
        if not self.database.exists():
            return False
        with suppress(sqlite3.OperationalError):  # not migrated yet
            return self.query("SELECT count(*) FROM stream WHERE baselined_ms IS NOT NULL")[0][0] >= streams
        return False


def webhook(name: str, url: str, **keys: Any) -> str:
    """The table of a signed webhook sink."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    return "\n".join(
        [f'[sinks.{name}]\nkind = "webhook"\nurl = "{url}"\nsecret = {{ env = "POLLER_TEST_SECRET" }}', *lines, ""]
    )


def file(name: str, path: Path) -> str:
    """The table of a file sink."""
    return f'[sinks.{name}]\nkind = "file"\npath = "{path}"\n'


STDOUT = '[sinks.stdout]\nkind = "stdout"\n'

HASTE = """
from poller import breaker, retry
retry.SINK_WAITS_S = (0.2, 0.2)
retry.EVENT_WAITS_S = (0.0, 0.3, 0.3)
breaker.SHORTEST_WAIT_S = 0.1
"""
"""Waits of a fraction of a second in place of the policy's."""


def lines(path: Path) -> list[dict[str, Any]]:
    """The events in a file, whole lines only."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]


def contents(folder: Path) -> dict[Path, bytes]:
    """The bytes of every file below a folder, but for outputs and the configuration."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(("run-", "config"))]
    return {path.relative_to(folder): path.read_bytes() for path in files}


def only(*resources: str) -> str:
    """The table that switches all other resources off."""
    return "[resources]\n" + "".join(f"{name} = false\n" for name in RESOURCES if name not in resources)


RESOURCES = (
    "clients",
    "documents",
    "items",
    "payments",
    "recurrences",
    "taxes",
    "units",
    "categories",
    "prices",
    "orders",
)
