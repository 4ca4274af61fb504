"""Answers to outcomes, without a network: each rule by itself."""

from decimal import Decimal

import pytest
from systems.acting import connection

from poller.actions import Call, Repeat
from poller.actions.answer import UNKNOWN, Done, judge, repeat
from poller.actions.reading import system
from poller.expression import File
from poller.http import ConnectFailed, Disconnected, Malformed, Response, TimedOut, TooLarge, Unsendable
from poller.model import Gone, Later, Refused

NOW_MS = 1_770_000_000_000
JSON = {"content-type": "application/json"}
CLASSES = {
    "safe": {"repeat": "safe"},
    "flag": {"repeat": "flag", "flag": "with.unique"},
    "conflict": {"repeat": "conflict", "done_when": "http.status == `409`"},
    "look": {"repeat": "look", "look": {"path": "/", "items": "http.body", "match": {"id": "${with.id}"}}},
    "never": {"repeat": "never"},
}


def called(kind="safe", inputs=None, *, rules=None, **fields):
    """A call of an action of this repeat class."""
    table = {"title": "T", "method": "POST", "path": "/", "query": {"a": "${with.id}", "b": "${with.unique}"}}
    raw = {
        "title": "T",
        "base_url": "https://t.example",
        "connection": {"key": "secret"},
        "action": {
            "a": {
                **table,
                **CLASSES[kind],
                **fields,
                "inputs": {"id": {"type": "string"}, "unique": {"type": "boolean"}},
            }
        },
        **(rules or {}),
    }
    made = system("t", raw)
    way = connection(made, made.base_url, values={"key": "s3cret"})
    return Call(way, made.actions["a"], {"id": "1", "unique": True} if inputs is None else inputs)


def answered(status=200, body=b"{}", headers=JSON):
    return Response(status, headers, body, 0.1)


def lost(kind, *, sent):
    error = kind("https://t.example: what happened")
    error.sent = sent
    return error


EACH = pytest.mark.parametrize("kind", CLASSES)


@EACH
@pytest.mark.parametrize("error", [TimedOut, Disconnected, Malformed])
def test_no_answer_is_by_the_repeat_class(kind, error):
    """It may have been done."""
    outcome = judge(called(kind), lost(error, sent=True), NOW_MS)
    reason = "https://t.example: what happened"
    expected = {
        "look": Later(reason, unknown=True),
        "never": Refused(f"{reason}; {UNKNOWN}", final=True),
    }
    assert outcome == expected.get(kind, Later(reason))


@EACH
@pytest.mark.parametrize("error", [ConnectFailed, Unsendable, TimedOut])
def test_what_was_not_sent_is_for_later(kind, error):
    """Whatever a repeat would do."""
    assert judge(called(kind), lost(error, sent=False), NOW_MS) == Later("https://t.example: what happened")


@EACH
@pytest.mark.parametrize("status", [500, 502, 504, 599])
def test_a_server_that_failed_may_have_done_it(kind, status):
    """By the repeat class, and with the rest that it asks for."""
    outcome = judge(called(kind), answered(status, headers={**JSON, "retry-after": "9"}), NOW_MS)
    expected = {
        "look": Later(f"status {status}", 9.0, unknown=True),
        "never": Refused(f"status {status}; {UNKNOWN}", final=True),
    }
    assert outcome == expected.get(kind, Later(f"status {status}", 9.0))


@EACH
@pytest.mark.parametrize(("status", "after_s"), [(408, None), (425, None), (429, 60.0), (503, 60.0)])
def test_who_is_busy_has_done_nothing(kind, status, after_s):
    """But where one can look, a gateway's 503 is not believed."""
    outcome = judge(called(kind), answered(status), NOW_MS)
    assert outcome == Later(f"status {status}", after_s, unknown=kind == "look" and status == 503)


@pytest.mark.parametrize(
    ("status", "final", "strange"),
    [
        *((400, True, False), (401, False, True), (403, False, True), (404, True, False), (405, True, True)),
        *((402, False, False), (409, False, False), (413, True, False), (415, True, False), (422, True, False)),
    ],
)
def test_a_refusal_is_final_where_the_same_would_be_refused(status, final, strange):
    """And strange where a wrong secret or address would be answered so."""
    assert judge(called("never"), answered(status), NOW_MS) == Refused(f"status {status}", final=final, strange=strange)


def test_a_redirect_tells_what_to_do():
    """It is not followed."""
    assert "base_url" in judge(called(), answered(307), NOW_MS).reason


def test_an_answer_that_is_too_large_is_final():
    """It would be as large again."""
    assert judge(called(), lost(TooLarge, sent=True), NOW_MS).final


# Results


@pytest.mark.parametrize(
    ("body", "headers", "result"),
    [
        (b'{"total":10.10}', JSON, {"total": Decimal("10.10")}),
        (b'{"a":1}', {"content-type": "application/problem+json; charset=utf-8"}, {"a": 1}),
        (b'["a"]', {}, ["a"]),
        (b'"text"', JSON, "text"),
        (b"", JSON, None),
    ],
)
def test_a_result_is_the_body(body, headers, result):
    """Its JSON, decimals as written; nothing is null."""
    assert judge(called(), answered(200, body, headers), NOW_MS) == Done(result)


@pytest.mark.parametrize(
    ("headers", "name", "kind"),
    [
        ({"content-type": "application/pdf"}, "a.pdf", "application/pdf"),
        ({"Content-Type": "application/pdf; x=y"}, "a.pdf", "application/pdf"),
        ({}, "a.bin", "application/octet-stream"),
        ({"content-type": "image/png", "content-disposition": 'inline; filename="x y.png"'}, "x y.png", "image/png"),
        (
            {"content-type": "image/png", "content-disposition": "inline; filename*=UTF-8''%C5%BE.png"},
            "ž.png",
            "image/png",
        ),
        ({"content-type": "image/png", "content-disposition": 'inline; filename="../../x.png"'}, "x.png", "image/png"),
        ({"content-type": "image/png", "content-disposition": 'inline; filename="C:\\\\x.png"'}, "x.png", "image/png"),
        ({"content-type": "image/png", "content-disposition": "nonsense"}, "a.png", "image/png"),
    ],
)
def test_a_file_is_named_by_its_answer(headers, name, kind):
    """Without folders; else by the action and the type."""
    assert judge(called(answer="file"), answered(200, b"\x89data", headers), NOW_MS) == Done(
        File(name, kind, b"\x89data")
    )


@pytest.mark.parametrize(
    ("answer", "headers", "body"),
    [
        ("json", {"content-type": "text/html"}, b"<html>"),
        ("json", JSON, b"<html>"),
        ("json", {}, b"<html>"),
        ("json", {"content-type": "application/pdf"}, b"%PDF"),
        ("file", {"content-type": "text/html"}, b"<html>"),
        ("file", JSON, b"{}"),
        ("file", {"content-type": "application/pdf"}, b""),
    ],
)
@EACH
def test_a_success_that_is_no_answer_may_be_one(kind, answer, headers, body):
    """A login page comes with 200, too."""
    outcome = judge(called(kind, answer=answer), answered(200, body, headers), NOW_MS)
    assert isinstance(outcome, Refused if kind == "never" else Later)
    assert "(a login page?)" in outcome.reason


def test_a_result_may_be_a_part():
    """By an expression."""
    assert judge(called(result="http.body.id"), answered(200, b'{"id":"x"}'), NOW_MS) == Done("x")


def test_a_result_that_fails_is_no_failure_of_the_action():
    """It was done, so it is not done again."""
    outcome = judge(called("look", result="lower(http.body.id)"), answered(200, b'{"id":5}'), NOW_MS)
    assert outcome.final
    assert outcome.reason.startswith("it was done, but its result is not as expected: lower(http.body.id): ")


# Rules


def test_a_rule_on_the_body_decides_over_the_status():
    """200, and it failed all the same: it is refused, for it is known that it was not done."""
    call = called("never", rules={"success": "http.body.ok"})
    assert judge(call, answered(200, b'{"ok":true}'), NOW_MS) == Done({"ok": True})
    assert judge(call, answered(200, b'{"ok":false}'), NOW_MS) == Refused("status 200")


def test_an_action_has_rules_of_its_own():
    """Over those of its system."""
    call = called(rules={"success": "`false`"}, success="http.status == `418`")
    assert judge(call, answered(418), NOW_MS) == Done({})


def test_done_already_is_done():
    """Where the API itself says so; a proxy's page does not."""
    assert judge(called("conflict"), answered(409, b'{"id":"x"}'), NOW_MS) == Done({"id": "x"})
    assert isinstance(
        judge(called("conflict"), answered(409, b"<html>", {"content-type": "text/html"}), NOW_MS), Refused
    )


def test_what_every_delivery_would_meet_pauses_the_sink():
    """Before what is permanent; but who is busy is only busy."""
    call = called(rules={"pause_when": "http.body.code == `7`", "permanent_when": "http.body.code"})
    assert isinstance(judge(call, answered(400, b'{"code":7}'), NOW_MS), Gone)
    assert isinstance(judge(call, answered(429, b'{"code":7}'), NOW_MS), Later)
    assert judge(call, answered(500, b'{"code":8}'), NOW_MS) == Refused("status 500", final=True)


def test_rules_see_headers_in_lower_case():
    """As they are written in tables."""
    call = called(rules={"permanent_when": "http.headers.\"x-should-retry\" == 'false'"})
    assert judge(call, answered(500, b"{}", {**JSON, "X-Should-Retry": "false"}), NOW_MS).final
    assert isinstance(judge(call, answered(500), NOW_MS), Later)


@EACH
def test_a_rule_that_fails_leaves_it_open(kind):
    """The answer is another one than the rule was made for."""
    outcome = judge(called(kind, rules={"success": "lower(http.body.a) == 'b'"}), answered(200, b'{"a":1}'), NOW_MS)
    assert isinstance(outcome, Refused if kind == "never" else Later)
    assert "status 200: the answer is not as expected: lower(http.body.a)" in outcome.reason


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"why":"no\\n\\n such\\u0000 thing"}', "status 422: no such thing"),
        (b'{"why":["a",1]}', 'status 422: ["a",1]'),
        (b'{"why":"the key s3cret is bad"}', "status 422: the key *** is bad"),
        (b'{"why":"Basic czNjcmV0 is bad"}', "status 422: Basic *** is bad"),
        (b"{}", "status 422"),
    ],
)
def test_a_reason_is_one_short_line_without_secrets(body, reason):
    """What the API says of it."""
    assert judge(called(rules={"reason": "http.body.why"}), answered(422, body), NOW_MS).reason == reason


def test_a_long_reason_is_cut():
    """It goes into the log and the database."""
    body = b'{"why":"%b"}' % (b"x" * 1000)
    assert len(judge(called(rules={"reason": "http.body.why"}), answered(422, body), NOW_MS).reason) == 212


def test_retry_after_may_be_a_date():
    """By the clock that is handed in."""
    headers = {**JSON, "retry-after": "Mon, 02 Feb 2026 02:40:30 GMT"}
    assert judge(called(), answered(429, b"{}", headers), NOW_MS).after_s == 30.0


# Repeats


@pytest.mark.parametrize(
    ("inputs", "expected"), [({"unique": True}, Repeat.FLAG), ({"unique": False}, Repeat.NEVER), ({}, Repeat.NEVER)]
)
def test_a_flag_protects_only_where_it_holds(inputs, expected):
    """Else it is as if there were none."""
    assert repeat(called("flag", inputs)) == expected


def test_a_flag_that_fails_protects_nothing():
    """The careful reading."""
    assert repeat(called("flag", {"unique": 5}, flag="lower(with.unique) == 'yes'")) == Repeat.NEVER
