"""Actions: what they do, and who may have them done."""

import json

import pytest

from poller.web.door import MOST_FAILURES

TOKEN = "a-token-of-some-length-0123456789"  # as in conftest.py
ALL = {
    "sink": None,
    "event_id": None,
    "trigger": None,
    "record": None,
    "since_ms": None,
    "until_ms": None,
    "route": None,
}
PARKED = ["parked"]


@pytest.fixture
def ask(serve):
    """An endpoint that may act."""
    return serve(actions=True, token=True)


def act(ask, name, headers, /, **target):
    return ask(f"/actions/{name}", "POST", json.dumps(target).encode(), **headers)


BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.mark.parametrize(
    ("name", "target", "call", "told"),
    [
        (
            "retry",
            {"sink": "crm"},
            ("again", {"states": PARKED, "selection": ALL | {"sink": "crm", "destructive": False}}),
            "3 deliveries will be sent again",
        ),
        (
            "retry",
            {"event": "e1", "route": "r"},
            ("again", {"states": PARKED, "selection": ALL | {"event_id": "e1", "route": "r", "destructive": False}}),
            "3 deliveries will be sent again",
        ),
        ("approve", {"name": "o/a"}, ("decide", {"stream": "o/a", "decision": "approve"}), "approve: carried out by"),
        ("reject", {"name": "o/a"}, ("decide", {"stream": "o/a", "decision": "reject"}), "reject: carried out by"),
        ("approve", {"name": "r"}, ("release", {"route": "r", "decision": "approve"}), "3 deliveries will be sent"),
        ("reject", {"name": "r"}, ("release", {"route": "r", "decision": "reject"}), "3 deliveries are forgotten"),
        (
            "pause",
            {"name": "crm"},
            ("pause_sink", {"sink": "crm", "reason": "paused by the operator"}),
            "crm is paused",
        ),
        ("resume", {"name": "crm"}, ("pause_sink", {"sink": "crm", "reason": ""}), "crm goes on"),
        ("pause", {"name": "o/a"}, ("pause_stream", {"stream": "o/a", "paused": True}), "o/a is paused"),
        ("resume", {"name": "o/a"}, ("pause_stream", {"stream": "o/a", "paused": False}), "o/a goes on"),
    ],
)
def test_an_action_is_an_operation(ask, scripted, name, target, call, told):
    """That which the command of the same name carries out."""
    found = act(ask, name, BEARER, **target)
    assert found.status == 200
    assert found.json()["done"].startswith(told)
    assert scripted.calls == [call]


def test_what_is_not_there_is_said(ask, scripted):
    """A sink that nobody knows, and what somebody else has done already."""
    assert act(ask, "pause", BEARER, name="nobody").status == 404
    assert scripted.calls == []
    scripted.found = {"count": 0, "found": False}
    assert [act(ask, "approve", BEARER, name=name).status for name in ("o/a", "r")] == [404, 404]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"nam":"x"}', b'{"name":1}', b"\xff"])
def test_a_target_that_is_none_is_refused(ask, scripted, body):
    """Without a trace; but an empty one means all that is parked."""
    found = ask("/actions/pause", "POST", body, **BEARER)
    assert found.status in (400, 404)
    assert scripted.calls == []


def test_who_signed_in_acts_with_their_proof(ask, scripted):
    """The cookie is out of reach of scripts and of other sites."""
    cookie = ask.sign_in().headers["Set-Cookie"]
    assert cookie.startswith(f"poller_{ask.endpoint.address.port}=")
    assert "HttpOnly; SameSite=Strict" in cookie
    assert TOKEN not in cookie
    assert act(ask, "resume", ask.session(), name="crm").status == 200
    assert len(scripted.calls) == 1


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"X_Poller_Proof": None}, 401),
        ({"X_Poller_Proof": "guessed"}, 401),
        ({"X_Poller_Proof": "\xe9"}, 401),
        ({"Cookie": None}, 401),
        ({"Cookie": "poller=x; poller_1=y; =; ;"}, 401),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),
        ({"Sec_Fetch_Site": "none"}, 403),
        ({"Sec_Fetch_Site": None, "Origin": None}, 403),
    ],
)
def test_a_post_of_another_site_is_refused(ask, scripted, headers, status):
    """Though the browser sends the cookie along."""
    assert act(ask, "resume", ask.session() | headers, name="crm").status == status
    assert scripted.calls == []


@pytest.mark.parametrize("authorization", [None, "Bearer wrong", "Bearer", "Basic " + TOKEN, TOKEN, "Bearer \xe9"])
def test_without_the_token_nothing_is_done(ask, scripted, authorization):
    """Whatever else is sent."""
    found = act(ask, "resume", {"Authorization": authorization, "Origin": ask.own}, name="crm")
    assert found.status == 401
    assert scripted.calls == []


def test_a_program_of_another_site_is_refused_with_the_token_too(ask, scripted):
    """A browser that sends one does so for a page."""
    assert act(ask, "resume", BEARER | {"Origin": "https://evil.example"}, name="crm").status == 403
    assert scripted.calls == []


def test_who_guesses_has_to_wait(ask, capsys):
    """Even with the right token at last; a session that is there goes on."""
    session = ask.session()
    for _ in range(MOST_FAILURES):
        assert ask.sign_in("wrong").status == 401
    refused = ask.sign_in()
    assert refused.status == 429
    assert 0 < int(refused.headers["Retry-After"]) <= 61
    assert act(ask, "resume", BEARER, name="crm").status == 429
    assert ask("/status.json", Cookie=session["Cookie"]).json()["session"]["signed_in"]
    assert "http.denied" in capsys.readouterr().out


def test_who_signed_out_is_out(ask):
    """The cookie is worth nothing from then on."""
    session = ask.session()
    assert ask("/sign-out", "POST", **session).status == 303
    assert act(ask, "resume", session, name="crm").status == 401


def test_an_endpoint_that_only_shows_refuses_all(serve, scripted):
    """With a token, too."""
    ask = serve(token=True)
    assert act(ask, "resume", BEARER, name="crm").status == 403
    assert scripted.calls == []


def test_beyond_loopback_reading_needs_the_token(serve, scripted):
    """Where there is one: but for the probes, and for the page that asks for it."""
    ask = serve(listen="0.0.0.0:0", token=True)
    ask.own = f"http://127.0.0.1:{ask.endpoint.address.port}"
    here = {"Host": ask.own.removeprefix("http://")}
    open_to_all = ["/", "/app.js", "/app.css", "/healthz", "/readyz"]
    assert [ask(path, **here).status for path in open_to_all] == [200] * 5
    assert [ask(path, **here).status for path in ("/status.json", "/metrics")] == [401, 401]
    assert scripted.asked == []
    assert [ask(path, **here, **BEARER).status for path in ("/status.json", "/metrics")] == [200, 200]
    cookie = ask.sign_in(**here).headers["Set-Cookie"].partition(";")[0]
    assert ask("/status.json", Cookie=cookie, **here).json()["session"]["signed_in"]


def test_a_form_without_a_script_is_led_back(ask):
    """To the page."""
    found = ask.sign_in()
    assert (found.status, found.headers["Location"]) == (303, "/")


def test_what_was_done_is_logged(ask, capsys):
    """And by whom, but for the token."""
    act(ask, "pause", BEARER, name="crm")
    out = capsys.readouterr().out
    assert "http.action" in out
    assert TOKEN not in out
