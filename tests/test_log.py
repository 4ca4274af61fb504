"""What the operator reads: one line an event, nothing secret, and never a crash."""

import json
import logging
import subprocess
import sys
import threading
import warnings

import pytest
import structlog
from process import eventually

from poller import log


@pytest.fixture(autouse=True)
def _restored():
    """Leave the process's logging as it was."""
    root, show = logging.root, warnings.showwarning
    handlers, level = root.handlers[:], root.level
    hooks = sys.excepthook, threading.excepthook
    yield
    sys.excepthook, threading.excepthook = hooks
    log._hidden.clear()
    structlog.reset_defaults()
    logging.captureWarnings(capture=False)
    root.handlers, warnings.showwarning = handlers, show
    root.setLevel(level)


@pytest.fixture
def said(capsys):
    """The events said so far, as JSON; nothing may be on stdout."""

    def said():
        log.flush()
        out, err = capsys.readouterr()
        assert out == ""
        return [json.loads(line) for line in err.splitlines()]

    return said


def test_elsewhere_than_in_a_terminal_lines_are_json(said):
    """Time in UTC, level, event name, then the fields in their order."""
    log.configure()
    structlog.get_logger().info("polled", stream="o/clients", records=3)
    (event,) = said()
    assert list(event) == ["timestamp", "level", "event", "stream", "records"]
    assert event["timestamp"].endswith("Z")
    assert (event["level"], event["event"], event["records"]) == ("info", "polled", 3)


def test_in_a_terminal_lines_are_readable(capsys):
    """Asked for here, since a test has no terminal."""
    log.configure(json=False)
    structlog.get_logger().warning("held", stream="o/clients")
    line = capsys.readouterr().err
    assert line.index("warning") < line.index("held") < line.index("stream=o/clients")
    assert "\x1b" not in line


def test_what_is_below_the_level_is_not_said(said):
    """A later call changes loggers that were used already."""
    logger = structlog.get_logger()
    log.configure("warning")
    logger.info("polled")
    log.configure("debug")
    logger.debug("asked")
    assert [event["event"] for event in said()] == ["asked"]


@pytest.mark.parametrize("key", ["token", "api_token", "secret", "Authorization", "password", "webhook-signature"])
def test_a_value_whose_key_speaks_of_a_secret_is_hidden(said, key):
    """Nested ones too."""
    log.configure()
    structlog.get_logger().info("x", **{key: "hunter2"}, headers={key: "hunter2"}, rows=[{key: b"hunter2"}])
    (event,) = said()
    assert "hunter2" not in json.dumps(event)
    assert event["headers"] == {key: "[redacted]"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://hooks.example.com/services/T0/B0/hunter2", "https://hooks.example.com"),
        ("https://user:hunter2@api.example.com:8443/v1?token=hunter2#x", "https://api.example.com:8443"),
        ("HTTP://[::1]:80/hunter2", "HTTP://[::1]:80"),
        ('asked "https://a.example/hunter2" twice', 'asked "https://a.example" twice'),
        ("a https://b.example?hunter2 c http://d@e.example/hunter2", "a https://b.example c http://e.example"),
        ("no url: 3/4", "no url: 3/4"),
    ],
)
def test_of_a_url_only_the_host_is_shown(said, text, shown):
    """Wherever it stands: in the event, a field, an exception or its traceback."""
    log.configure()
    try:
        raise ValueError(text)  # noqa: TRY301
    except ValueError as error:
        structlog.get_logger().exception(text, at=text, error=error, urls=(text,))
    (event,) = said()
    assert "hunter2" not in json.dumps(event)
    assert (event["event"], event["at"], event["urls"]) == (shown, shown, [shown])
    assert event["error"] == f"ValueError: {shown}"


def test_what_is_hidden_is_shown_nowhere(said):
    """Not in an event, a field, a list, a message or what caused it; not by URLs, and not for a proxy."""
    log.configure()
    log.hide(["hunter2!"])
    log.hide(["/services/T0/B0"])
    try:
        try:
            {}["hunter2!"]
        except KeyError as error:
            raise ValueError("at /services/T0/B0 with cG9sbGVyOmh1bnRlcjIh") from error
    except ValueError as error:
        structlog.get_logger().exception("hunter2!", at=["hunter2%21", {"x": b"hunter2!"}], error=error)
    (event,) = said()
    text = json.dumps(event)
    assert not [form for form in ("hunter2", "T0/B0", "aHVudGVyMi", "h1bnRlcj") if form in text]
    assert event["event"] == "[redacted]"
    assert event["error"] == "ValueError: at [redacted] with cG9sbGVyOm[redacted]"


def test_what_nothing_catches_is_told_as_everything_else(said):
    """In whichever thread; cleaned, and with its traceback."""
    log.configure()
    log.hide(["hunter2!"])
    log.catch()

    def work():
        raise ValueError("hunter2! at https://a.example/path")

    thread = threading.Thread(target=work, name="worker")
    thread.start()
    thread.join()
    try:
        work()
    except ValueError as error:
        sys.excepthook(ValueError, error, error.__traceback__)
    broken, ended = said()
    assert (broken["event"], broken["thread"], ended["event"]) == ("thread.broken", "worker", "poller.broken")
    for event in (broken, ended):
        assert event["level"] == "critical"
        assert event["exception"].startswith("Traceback")
        assert event["exception"].endswith("ValueError: [redacted] at https://a.example")


def test_a_thread_that_leaves_and_an_interrupt_are_no_defects(said, capsys):
    """They are told as ever: not at all, and by Python."""
    log.configure()
    log.catch()
    thread = threading.Thread(target=sys.exit)
    thread.start()
    thread.join()
    assert said() == []
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert capsys.readouterr().err.strip() == "KeyboardInterrupt"


def test_a_traceback_is_readable_and_has_no_locals(said):
    """Locals hold tokens and bodies."""
    log.configure()
    local = ["hunter", 2]
    try:
        len(local) / 0
    except ZeroDivisionError:
        structlog.get_logger().exception("failed")
    (event,) = said()
    assert event["exception"].startswith("Traceback")
    assert "ZeroDivisionError" in event["exception"]
    assert "hunter" not in event["exception"]


def test_other_packages_speak_through_the_same_lines(said):
    """From WARNING on: httpx tells whole URLs at INFO."""
    log.configure("debug")
    logging.getLogger("httpx").info("HTTP Request: GET https://a.example/?token=hunter2")
    logging.getLogger("apscheduler.scheduler").warning("Run of job %s missed by %s", "j", 3)
    logging.getLogger("odd").log(35, "between levels")
    logging.getLogger("odd").error("does not fit %d", "x")
    warnings.showwarning("old", DeprecationWarning, "a.py", 1)
    events = said()
    assert [event["event"] for event in events[:3]] == [
        "Run of job j missed by 3",
        "between levels",
        "does not fit %d",
    ]
    assert [event["logger"] for event in events] == ["apscheduler.scheduler", "odd", "odd", "py.warnings"]


def test_what_came_over_the_network_drives_no_terminal(capsys):
    """Control characters are escaped; only a traceback has lines."""
    log.configure(json=False)
    try:
        raise ValueError("\x1b[2J")  # noqa: TRY301
    except ValueError:
        structlog.get_logger().exception("failed", answer="a\n2026 [info] faked \x1b[2J")
    err = capsys.readouterr().err
    assert "\x1b" not in err
    assert "\n2026 [info]" not in err
    assert "Traceback (most recent call last):\n" in err


def test_odd_values_do_not_stop_who_logs(said):
    """A broken str, a loop, no number, half a character."""

    class Broken:
        def __str__(self):
            raise RuntimeError("no")

    loop = []
    loop.append(loop)
    log.configure()
    structlog.get_logger().info("odd", broken=Broken(), loop=loop, nan=float("nan"), half="\ud800", keys={1: {2: 3}})
    (event,) = said()
    assert (event["broken"], event["nan"], event["keys"]) == ("<Broken>", "nan", {"1": {"2": 3}})


@pytest.mark.parametrize("redirect", ["2>&-", "2>/dev/full"])
def test_a_stderr_that_is_closed_or_full_stops_nothing(redirect):
    """The line is lost, and no more."""
    code = (
        "import logging, structlog; from poller import log; log.configure(); "
        "structlog.get_logger().info('x'); logging.warning('y'); print('alive')"
    )
    done = subprocess.run(
        ["/bin/sh", "-c", f'"$0" -c "$1" {redirect}', sys.executable, code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "alive\n"


def test_a_stderr_that_breaks_later_stops_nothing(monkeypatch):
    """Closed, or gone."""
    log.configure()
    for stderr in (None, open("/dev/null", "w")):  # noqa: PTH123, SIM115 - closed at once
        if stderr is not None:
            stderr.close()
        monkeypatch.setattr(sys, "stderr", stderr)
        structlog.get_logger().info("x")
        logging.getLogger("a").error("y")
        log.configure()


def test_the_count_of_dropped_lines_is_not_dropped(monkeypatch):
    """The line that tells it is said while the queue is full."""
    out, held = [], threading.Event()

    def write(text):
        held.wait(10)
        out.append(json.loads(text))

    monkeypatch.setattr(log, "_writer", log._Writer())
    monkeypatch.setattr(log, "_write", write)
    monkeypatch.setattr(log, "MOST_WAITING", 3)
    log.configure()
    for _ in range(20):
        structlog.get_logger().info("x")
    held.set()

    def told():
        return sum(line.get("lines", 1) for line in list(out))

    eventually(lambda: told() >= 20)
    assert told() == 20
