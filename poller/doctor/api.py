"""Asking the API what no poll asks: an answer as it came, at the configured pace."""

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from threading import Event
from typing import Any, NamedTuple, Self
from urllib.parse import quote

import msgspec

from poller.config import Config
from poller.http import Client, HttpError
from poller.rate import Bucket

DEADLINE_S = 15.0
MOST_BYTES = 32 << 20
_LONGEST_WAIT_S = 30.0
_TRIES = 3


class Unanswered(Exception):
    """The API did not answer, or not with what can be judged; the text says how."""


class Answer(NamedTuple):
    """An answer: its status, its headers, its JSON (None where it is none), and when it was asked for and there."""

    status: int
    headers: Mapping[str, str]
    json: Any
    before_ms: int
    after_ms: int

    @property
    def date_ms(self) -> int | None:
        """The server's clock, in whole seconds."""
        try:
            return int(parsedate_to_datetime(self.headers["date"]).timestamp() * 1000)
        except (KeyError, ValueError, TypeError, OverflowError):
            return None

    def rows(self) -> list[dict[str, Any]]:
        """The records of a page; raises ``Unanswered`` for anything else."""
        if self.status != 200:
            raise Unanswered(f"the API answered {self.status}")
        if not isinstance(self.json, list) or not all(isinstance(row, dict) for row in self.json):
            raise Unanswered("the answer is not a list of records")
        return self.json


class Api:
    """The API of a configuration; a context manager. Raises ``SettingError`` where the token cannot be had."""

    def __init__(self, config: Config) -> None:
        self._url = config.source.base_url
        self._token = config.source.token.reveal()
        self._bucket = Bucket(config.source.rate, Event())
        self._client = Client()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(self, path: str, headers: Mapping[str, str] | None = None, **query: object) -> Answer:
        """Ask for a path, each of ``query`` as JSON; raises ``Unanswered``."""
        return self.ask("GET", path, headers=headers, query=query)

    def ask(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, object] | None = None,
        content: object = None,
    ) -> Answer:
        """Ask, and read the answer whatever its status; passing trouble with a question is tried three times in all."""
        url = f"{self._url}/{path}"
        if query:
            url += "?" + "&".join(f"{key}={quote(msgspec.json.encode(value), safe='')}" for key, value in query.items())
        for left in range(_TRIES if method == "GET" else 1, 0, -1):
            self._bucket.take()
            answer = self._once(method, url, headers or {}, content)
            if left == 1 or (answer.status != 429 and answer.status < 500):
                break
            time.sleep(_wait_s(answer))
        return answer

    def _once(self, method: str, url: str, headers: Mapping[str, str], content: object) -> Answer:
        body = b"" if content is None else msgspec.json.encode(content)
        sent = {"Authorization": self._token, "Accept": "application/json", **headers}
        sent |= {"Content-Type": "application/json"} if body else {}
        before_ms = _now_ms()
        try:
            answer = self._client.request(
                method, url, headers=sent, content=body, deadline_s=DEADLINE_S, max_bytes=MOST_BYTES
            )
        except HttpError as error:
            raise Unanswered(str(error)) from error
        return Answer(answer.status, answer.headers, _json(answer.body), before_ms, _now_ms())


def _wait_s(answer: Answer) -> float:
    asked = answer.headers.get("retry-after", "")
    return min(float(asked), _LONGEST_WAIT_S) if asked.isdecimal() else 0.5


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _json(body: bytes) -> Any:  # noqa: ANN401 - whatever the API says
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
