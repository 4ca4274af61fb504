"""What the process tells its operator: one line an event on stderr, without secrets; stdout belongs to events."""

import atexit
import logging
import os
import re
import sys
import threading
from collections.abc import Iterable, Mapping, MutableMapping
from math import isfinite
from queue import SimpleQueue
from threading import Lock, RLock, Thread, current_thread
from types import TracebackType
from typing import Any

import structlog

from poller.hidden import pattern

_SECRET = re.compile(r"token|secret|authorization|password|signature", re.IGNORECASE)
# The user, the path and the query of a URL are often secrets; the scheme and the host are not.
_URL = re.compile(r"\b([a-z][a-z0-9+.-]{0,20}://)(?:[^/?#\s]*@)?([^/?#\s\"'<>\\]*)[^\s\"'<>\\]*", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_DEPTH = 6
_hidden: list[re.Pattern[str]] = []

MOST_WAITING = 1000
"""So many lines wait for a reader who does not read; those after them are dropped, and counted."""

_PATIENCE_S = 0.5  # a line keeps who says it until it is out, but not longer; then nobody waits until all are out


def configure(level: str = "info", json: bool | None = None) -> None:  # noqa: FBT001 - None, the third, asks the terminal
    """Send all logging of the process, the standard library's too, to stderr.

    ``level`` is debug, info, warning or error; what other packages log appears from WARNING on. ``json``
    None means coloured lines in a terminal and JSON lines elsewhere. May be called again.
    """
    terminal = _is_terminal()
    as_json = not terminal if json is None else json
    render = [structlog.processors.JSONRenderer()] if as_json else [_printable, _lines(colors=terminal)]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            redact,
            _ordered,
            *render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=_Stderr,
        cache_logger_on_first_use=False,  # a later call changes loggers that were used already
    )
    logging.root.handlers = [_Bridge()]
    logging.root.setLevel(logging.WARNING)
    for name in ("httpx", "httpcore", "apscheduler"):  # httpx logs whole URLs at INFO
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)


def catch() -> None:
    """Tell also what nothing has caught, in whichever thread, as a line of the log: Python's own way hides nothing."""
    sys.excepthook = _on_end
    threading.excepthook = lambda told: _on_thread_end(told.exc_type, told.exc_value, told.exc_traceback, told.thread)


def hide(secrets: Iterable[str]) -> None:
    """Show none of these texts from now on, in whatever form they are written."""
    found = pattern(secrets)
    if found not in _hidden:  # a configuration that is read anew has mostly the same ones
        _hidden.append(found)


def clean(text: str) -> str:
    """A text as it may be shown: without what is hidden, and with the scheme and the host of URLs alone."""
    for secrets in _hidden:
        text = secrets.sub("[redacted]", text)
    return _URL.sub(r"\1\2", text)


def redact(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Hide values whose key speaks of a secret, and clean the others."""
    return {key: "[redacted]" if _SECRET.search(str(key)) else _clean(value) for key, value in event.items()}


def _clean(value: object, depth: int = _DEPTH) -> Any:  # noqa: ANN401 - whatever was logged
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and isfinite(value)):
        return value
    if isinstance(value, Mapping) and depth:
        return {
            str(key): "[redacted]" if _SECRET.search(str(key)) else _clean(inner, depth - 1)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset) and depth:
        return [_clean(inner, depth - 1) for inner in value]
    return clean(_text(value))


def _text(value: object) -> str:
    """The words of a value; a broken ``__str__`` must not stop who logs."""
    try:
        return f"{type(value).__name__}: {value}" if isinstance(value, BaseException) else str(value)
    except Exception:  # noqa: BLE001 - whatever a foreign __str__ raises
        return f"<{type(value).__name__}>"


def _on_end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        structlog.get_logger().critical("poller.broken", exc_info=(kind, error, trace))


def _on_thread_end(
    kind: type[BaseException],
    error: BaseException | None,
    trace: TracebackType | None,
    thread: threading.Thread | None,
) -> None:
    if not issubclass(kind, SystemExit):
        structlog.get_logger().critical("thread.broken", thread=thread and thread.name, exc_info=(kind, error, trace))


def _ordered(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    first = {key: event.pop(key, "") for key in ("timestamp", "level", "event")}
    return {**first, **event}


def _printable(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Escape control characters: what came over the network must not drive a terminal or fake a line."""
    return {
        key: _escaped(value, keep="\n" if key == "exception" else "") if isinstance(value, str) else value
        for key, value in event.items()
    }


def _escaped(text: str, keep: str) -> str:
    return _CONTROL.sub(lambda found: found[0] if found[0] in keep else repr(found[0])[1:-1], text)


def _is_terminal() -> bool:
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError):  # None, closed
        return False


def _lines(*, colors: bool) -> structlog.typing.Processor:
    return structlog.dev.ConsoleRenderer(
        colors=colors and "NO_COLOR" not in os.environ,
        sort_keys=False,
        exception_formatter=structlog.dev.plain_traceback,
    )


def flush(timeout_s: float = 1.0) -> None:
    """Wait until all lines so far are written, but not for a reader who does not read."""
    _writer.say(None, timeout_s)


class _Writer:
    """Writes lines by a thread of its own: where nobody reads stderr, it alone stands still.

    Else whoever logs waits for the line to be out, so that it stands before what happens next.
    """

    def __init__(self) -> None:
        self._lines: SimpleQueue[tuple[str | None, Any]] = SimpleQueue()  # with a lock to be released
        self._thread: Thread | None = None
        self._lock = RLock()  # a signal handler may log while its own thread is here
        self._dropped = 0
        self._stuck = False

    def say(self, line: str | None, patience_s: float = _PATIENCE_S) -> None:
        """Write the line, or have it wait, or drop it; None is written by nobody, but waited for as any."""
        with self._lock:
            if self._lines.qsize() >= MOST_WAITING and current_thread() is not self._thread:
                self._dropped += line is not None
                return
            if self._thread is None:
                self._thread = Thread(target=self._write, name="log", daemon=True)
                self._thread.start()
                atexit.register(flush)
            written = Lock()
            written.acquire()
            self._lines.put((line, written))
        if current_thread() is not self._thread and (line is None or not self._stuck):
            self._stuck = not written.acquire(timeout=patience_s)

    def _write(self) -> None:
        while True:
            line, written = self._lines.get()
            if line is not None:
                _write(line + "\n")
            self._stuck = not self._lines.empty()
            written.release()
            with self._lock:
                dropped, self._dropped = self._dropped, 0
            if dropped:
                structlog.get_logger().warning("log.dropped", lines=dropped)


_writer = _Writer()


def _write(text: str) -> None:
    """Write to stderr as it is now; one that is closed, full or gone costs the line and nothing more."""
    try:
        rest = text.encode(sys.stderr.encoding, "backslashreplace")
        descriptor = sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):  # None, not a file, closed
        _write_to_stream(text)
        return
    try:
        while rest:  # past Python's own buffer, whose lock would keep a process that ends
            rest = rest[os.write(descriptor, rest) :]
    except OSError:
        return


def _write_to_stream(text: str) -> None:
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (AttributeError, OSError, ValueError):
        return


class _Stderr:
    """What structlog takes for a logger."""

    def __init__(self, *_args: object) -> None:
        pass

    def msg(self, line: str) -> None:
        _writer.say(line)

    debug = info = warning = error = critical = exception = log = msg


class _Bridge(logging.Handler):
    """Hands the standard library's records to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            event = record.getMessage()
        except Exception:  # noqa: BLE001 - arguments that do not fit the format
            event = str(record.msg)
        level = min(max(record.levelno // 10 * 10, logging.DEBUG), logging.CRITICAL)  # structlog knows only these
        structlog.get_logger().log(level, event, logger=record.name, exc_info=record.exc_info)
