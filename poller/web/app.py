"""The endpoint's routes, as a WSGI application."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import msgspec
import structlog

from poller.listening import HttpTable
from poller.log import clean
from poller.stores import StoreError
from poller.stores.opening import OpeningError
from poller.web.actions import ACTIONS, Action, Target, Unknown
from poller.web.door import Door
from poller.web.exchange import MOST_FIELDS, Answer, Request, fields, json, read, text, write
from poller.web.inside import Asked, Inside
from poller.web.summary import page

log = structlog.get_logger()

_PAGE = Path(__file__).parent / "page"
_SCRIPT, _STYLE = "text/javascript; charset=utf-8", "text/css; charset=utf-8"
_FILES = {
    **dict.fromkeys(("app.js", "view.js", "lists.js", "parts.js", "plot.js", "dom.js"), _SCRIPT),
    "app.css": _STYLE,
    "icon.svg": "image/svg+xml",
}
HOURS = (1, 24, 24 * 14)
"""How far back the plots may look."""


@dataclass(frozen=True, slots=True)
class Site:
    """All that an answer is made of."""

    table: HttpTable
    inside: Inside
    door: Door


Handler = Callable[[Site, Request], Answer]

_TOO_MANY_FIELDS = text(HTTPStatus.BAD_REQUEST, f"no more than {MOST_FIELDS} fields")


def application(site: Site) -> Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]:
    """The WSGI application of a site."""

    def answer(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        try:
            request = read(environ)
        except ValueError:
            return write(_TOO_MANY_FIELDS, environ["REQUEST_METHOD"], start)
        try:
            found = _answer(site, request)
        except (StoreError, OpeningError) as error:
            found = text(HTTPStatus.SERVICE_UNAVAILABLE, clean(str(error)))
        except Exception:
            site.inside.meter.count("defects", loop="http")
            log.exception("http.broken", path=request.path if request.path in ROUTES else "?")
            found = text(HTTPStatus.INTERNAL_SERVER_ERROR, "a defect in poller; its log says more")
        return write(found, request.method, start)

    return answer


def _answer(site: Site, request: Request) -> Answer:
    wrong_host = site.door.misdirected(request)
    if wrong_host:
        return wrong_host
    handlers = ROUTES.get(request.path)
    if handlers is None:
        return text(HTTPStatus.NOT_FOUND, "there is nothing of that name")
    handler = handlers.get("GET" if request.method == "HEAD" else request.method)
    if handler is None:
        allowed = ", ".join(
            name for method in handlers for name in ((method, "HEAD") if method == "GET" else (method,))
        )
        return text(HTTPStatus.METHOD_NOT_ALLOWED, f"only {allowed}", ("Allow", allowed))
    return handler(site, request)


def _probe(ask: Callable[[Inside], str], _site: Site, _request: Request) -> Answer:
    wrong = ask(_site.inside)
    return text(HTTPStatus.SERVICE_UNAVAILABLE, clean(wrong)) if wrong else text(HTTPStatus.OK, "ok")


def _file(name: str, kind: str, _site: Site, _request: Request) -> Answer:
    return Answer(HTTPStatus.OK, (_PAGE / name).read_bytes(), kind)


def _guarded(handler: Handler, site: Site, request: Request) -> Answer:
    """Beyond loopback only who knows the token may read, where there is one."""
    if not site.door.guards_all:
        return handler(site, request)
    refused = site.door.too_many(request)
    if refused or site.door.knows(request):
        return refused or handler(site, request)
    return text(HTTPStatus.UNAUTHORIZED, "this needs the token of [http]", ("WWW-Authenticate", "Bearer"))


def _page(site: Site, request: Request) -> Answer:
    open_to = not site.door.guards_all or site.door.session(request) is not None
    found = site.inside.status(Asked()) if open_to else None
    template = (_PAGE / "index.html").read_text()
    return Answer(HTTPStatus.OK, page(template, found).encode(), "text/html; charset=utf-8")


def _status(site: Site, request: Request) -> Answer:
    hours = request.query.get("hours", "24")
    if hours not in map(str, HOURS):
        return text(HTTPStatus.BAD_REQUEST, f"hours is one of {', '.join(map(str, HOURS))}")
    found = site.inside.status(Asked(request.query.get("search", "")[:200], int(hours)))
    return json(HTTPStatus.OK, found | {"session": _session(site, request)})


def _session(site: Site, request: Request) -> dict[str, Any]:
    """What the page needs to know of who looks at it."""
    session = site.door.session(request)
    return {
        "actions": site.table.actions,
        "token": site.table.token is not None,
        "signed_in": session is not None,
        "proof": session.proof if session else "",
    }


def _metrics(site: Site, request: Request) -> Answer:
    if site.inside.metrics is None:
        return text(HTTPStatus.NOT_FOUND, "there are no metrics")
    found = site.inside.metrics(request.headers.get("accept", ""))
    return Answer(HTTPStatus.OK, found.body, found.content_type)


def _sign_in(site: Site, request: Request) -> Answer:
    """Begin a session; a form without a script is led back to the page."""
    refused = site.door.foreign(request) or site.door.too_many(request)
    if refused:
        return refused
    try:
        form = fields(request.body.decode(errors="replace"))
    except ValueError:
        return _TOO_MANY_FIELDS
    cookie = site.door.sign_in(request, form.get("token", ""))
    if cookie is None:
        log.warning("http.denied", remote=request.remote)
        return text(HTTPStatus.UNAUTHORIZED, "that is not the token")
    log.info("http.signed_in", remote=request.remote)
    return text(HTTPStatus.SEE_OTHER, "signed in", cookie, ("Location", "/"))


def _sign_out(site: Site, request: Request) -> Answer:
    return site.door.foreign(request) or text(
        HTTPStatus.SEE_OTHER, "signed out", site.door.sign_out(request), ("Location", "/")
    )


def _act(name: str, site: Site, request: Request) -> Answer:
    if not site.table.actions:
        return text(HTTPStatus.FORBIDDEN, "this endpoint only shows; [http] actions lets it act")
    refused = site.door.foreign(request) or site.door.too_many(request)
    if refused:
        return refused
    if not site.door.proves(request):
        log.warning("http.denied", remote=request.remote, action=name)
        return text(HTTPStatus.UNAUTHORIZED, "this needs the token of [http]", ("WWW-Authenticate", "Bearer"))
    try:
        target = msgspec.json.decode(request.body or b"{}", type=Target)
        return _carry_out(ACTIONS[name], target, site.inside, request, name)
    except msgspec.MsgspecError as error:
        return json(HTTPStatus.BAD_REQUEST, {"error": str(error)})
    except Unknown as error:
        return json(HTTPStatus.NOT_FOUND, {"error": str(error)})


def _carry_out(action: Action, target: Target, inside: Inside, request: Request, name: str) -> Answer:
    call = action(target, inside.sinks())
    told = call.told(inside.operations[call.operation](**call.arguments))
    inside.changed()
    log.info("http.action", action=name, remote=request.remote, told=told, target=msgspec.to_builtins(target))
    if not told:
        return json(HTTPStatus.NOT_FOUND, {"error": "there is nothing to do: somebody else was faster"})
    return json(HTTPStatus.OK, {"done": told})


ROUTES: Mapping[str, Mapping[str, Handler]] = {
    "/": {"GET": _page},
    **{f"/{name}": {"GET": partial(_file, name, kind)} for name, kind in _FILES.items()},
    "/healthz": {"GET": partial(_probe, lambda inside: inside.health())},
    "/readyz": {"GET": partial(_probe, lambda inside: inside.ready())},
    "/metrics": {"GET": partial(_guarded, _metrics)},
    "/status.json": {"GET": partial(_guarded, _status)},
    "/sign-in": {"POST": _sign_in},
    "/sign-out": {"POST": _sign_out},
    **{f"/actions/{name}": {"POST": partial(_act, name)} for name in ACTIONS},
}
"""What there is, and by which method; HEAD wherever there is GET."""
