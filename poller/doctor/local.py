"""What there is to see on this machine: disk, limits, secrets, receivers' names, the state, a poller that runs."""

import os
import resource
import shutil
import socket
import sys
from collections.abc import Iterator
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from poller import guard
from poller.asking import NotRunning, ask, socket_path
from poller.config import Config
from poller.doctor import Finding, Told, Verdict, machine
from poller.pressure import Load, pressure
from poller.secret import secrets
from poller.settings import SettingError, is_loopback
from poller.stores import StoreError, library, place, reading
from poller.stores.opening import NoStateError, OpeningError

_PACKAGES = (
    "apscheduler",
    "click",
    "httpx",
    "jmespath",
    "msgspec",
    "pydantic",
    "sqlite-utils",
    "structlog",
    "tabulate",
)
_ANSWER_S = 3.0


def looked(config: Config) -> Iterator[Finding]:
    """All of it, one finding after the other."""
    yield from _program()
    yield from _limits(config)
    yield from _state(config)
    yield from _secrets(config)
    yield from _sinks(config)
    yield _running(config)


def _finding(name: str, told: Told, expected: str, **follows: str) -> Finding:
    return Finding(name, told.verdict, expected, told.seen, follows.get(told.verdict.name.lower(), ""))


def _program() -> Iterator[Finding]:
    yield _finding("Python", machine.python(sys.version_info[:3]), "3.11 or newer", fail="install a newer Python")
    yield _finding(
        "SQLite",
        machine.sqlite(library.VERSION),
        "3.51.3 or newer, in which the WAL-reset bug is mended",
        note="writing by two connections can damage a database; poller writes by one: let no other program write to it",
    )
    yield _finding("packages", _packages(), "installed")


def _packages() -> Told:
    known, missing = [], []
    for name in _PACKAGES:
        try:
            known.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    return (
        Told(Verdict.NOTE, f"not to be told of {', '.join(missing)}") if missing else Told(Verdict.OK, ", ".join(known))
    )


def _limits(config: Config) -> Iterator[Finding]:
    senders = sum(int(getattr(table, "concurrency", 1)) for table in config.sinks.values())
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    unlimited = 1 << 20
    files = machine.open_files(unlimited if limit == resource.RLIM_INFINITY else limit, senders)
    raised = "raise it: ulimit -n 1024, or LimitNOFILE=1024 in the unit"
    yield _finding("open files", files, "enough for all connections", warn=raised, fail=raised)
    yield _finding(
        "memory", machine.memory(_memory_bytes()), "96 MiB at least", warn="give it more, or follow less per process"
    )


def _memory_bytes() -> int | None:
    """What this process may still take: what the machine has, and what its control group leaves."""
    lines = _text(Path("/proc/meminfo")).splitlines()
    found = [int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")]
    most, used = (_text(Path(f"/sys/fs/cgroup/memory.{name}")).strip() for name in ("max", "current"))
    if most.isdecimal() and used.isdecimal():
        found.append(int(most) - int(used))
    return min(found, default=None)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _state(config: Config) -> Iterator[Finding]:
    path = config.state.path
    folder = place.nearest(path.parent)
    told = machine.file_system(place.mounted(folder), insisted=config.state.allow_network)
    yield _finding(
        "file system",
        told,
        "a local one",
        fail="poller does not start: SQLite's locks do not hold there; put [state] path on a local disk",
        warn="see that it outlives this process and this container, and that it is no network's: mount a volume",
    )
    room = shutil.disk_usage(folder)
    reasons = pressure(Load({}, 0, room.free, room.total), config.state.limits())
    yield _finding(
        "disk",
        machine.disk(room.free, list(reasons.values())),
        "room for the state",
        fail="polls pause: make room there",
    )
    yield _finding(
        "state",
        _integrity(path),
        "a whole database",
        fail="stop poller and restore a backup; docs/operating.md, When the state is lost",
        note="poller run makes it",
    )


def _integrity(path: Path) -> Told:
    try:
        with reading.View(path) as view:
            damage = view.damage()
    except NoStateError:
        return Told(Verdict.NOTE, f"none yet at {path}")
    except (OpeningError, StoreError) as error:
        return Told(Verdict.FAIL, str(error))
    return Told(Verdict.FAIL, damage) if damage else Told(Verdict.OK, f"{path} is whole")


def _secrets(config: Config) -> Iterator[Finding]:
    wrong, count = [], 0
    for key, secret in secrets(config):
        count += 1
        try:
            secret.reveal()
        except SettingError as error:
            wrong.append(f"{key}: {error}")
    told = (
        Told(Verdict.FAIL, "; ".join(wrong)) if wrong else Told(Verdict.OK, f"{count} readable, and closed to others")
    )
    yield _finding("secrets", told, "each readable, none open to others", fail="poller does not start without them")


def _sinks(config: Config) -> Iterator[Finding]:
    for name, table in config.sinks.items():
        found = partial(Finding, f"sink {name}", expected="usable, and at an address that may be connected to")
        hint = "mend the sink, or its name's addresses; poller retries for days before it gives up"
        try:
            table.sink().close()
        except SettingError as error:
            yield found(verdict=Verdict.FAIL, seen=str(error), follows=hint)
            continue
        reach = table.reach()
        told = Told(Verdict.OK, table.kind) if reach is None else _resolved(*reach)
        yield found(verdict=told.verdict, seen=told.seen, follows="" if told.verdict == Verdict.OK else hint)


def _resolved(host: str, port: int, allow_private: bool) -> Told:  # noqa: FBT001 - the fields of a Reach
    try:
        known = sorted({str(row[4][0]) for row in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)})
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or "it is not valid"
        return Told(Verdict.FAIL, f"{host} cannot be resolved: {why}")
    loopback = is_loopback(host)
    told = machine.addresses([guard.refusal(one, private=allow_private, loopback=loopback) for one in known])
    return told._replace(seen=f"{host}: {told.seen}")


def _running(config: Config) -> Finding:
    found = partial(Finding, "daemon", expected="runs, and moves")
    try:
        answer = ask(config.state.path, "ping", _ANSWER_S)
    except NotRunning:
        return found(verdict=Verdict.NOTE, seen="does not run", follows="poller run starts it")
    except OSError as error:
        seen = f"{socket_path(config.state.path)} does not answer: {error}"
        return found(verdict=Verdict.FAIL, seen=seen, follows="look at its log, then restart it")
    trouble = str(answer.get("error") or answer.get("trouble") or "")
    if trouble:
        return found(verdict=Verdict.FAIL, seen=trouble, follows="look at its log, then restart it")
    if answer.get("pressed"):
        return found(verdict=Verdict.WARN, seen=f"polls pause: {answer['pressed']}", follows="poller status tells more")
    return found(verdict=Verdict.OK, seen=f"process {answer.get('pid', os.getpid())}", follows="")
