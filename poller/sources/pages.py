"""A page of a listing, from bytes to records: the body of each is a slice of the answer, never rewritten."""

import json
import re
from collections.abc import Iterator
from hashlib import sha256

import msgspec

from poller.model import Quarantined, Record, parse_time
from poller.sources import Incomplete

_ID_CHARACTERS = 128
_LINE = bytes.maketrans(b"\n\r", b"  ")
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{},]', re.DOTALL)  # possessive: a long string takes no memory


class _Head(msgspec.Struct, rename={"is_deleted": "_isDeleted", "updated": "updatedAt", "deleted": "deletedAt"}):
    """The four fields that steer."""

    id: object = None
    updated: object = None
    is_deleted: object = None
    deleted: object = None


_raws = msgspec.json.Decoder(list[msgspec.Raw]).decode
_heads = msgspec.json.Decoder(list[_Head]).decode
_raw = msgspec.json.Decoder(msgspec.Raw).decode
_head = msgspec.json.Decoder(_Head).decode


def read(answer: bytes, *, bodies: bool) -> tuple[list[Record], list[Quarantined]]:
    """The records of a page in the API's order, and those that cannot be used.

    Raises ``Incomplete`` for what is not a whole JSON list. One bad record spoils nothing but itself.
    """
    text = answer.removeprefix(b"\xef\xbb\xbf").translate(_LINE)
    try:
        if not text.isascii():
            text.decode()
        slices = [bytes(raw) for raw in _raws(text)] if bodies else []
        heads = _heads(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _one_by_one(text, bodies=bodies)
    return _usable(heads, slices)


def _usable(heads: list[_Head], slices: list[bytes]) -> tuple[list[Record], list[Quarantined]]:
    records, quarantined = [], []
    for place, head in enumerate(heads):
        body = slices[place] if slices else b""
        if _is_id(head.id):
            records.append(Record(str(head.id), parse_time(head.updated), _is_deleted(head), body))
        else:
            key = sha256(body or repr(head).encode()).hexdigest()[:16]
            quarantined.append(Quarantined(key, f"it has no usable id: {_shown(head.id)}"))
    return records, quarantined


def _shown(value: object) -> str:
    """An id that is none, but not what else of the record may be in its place."""
    return f"a JSON {type(value).__name__}" if isinstance(value, dict | list) else repr(str(value)[:40])


def _is_id(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _ID_CHARACTERS and value.isprintable() and " " not in value


def _is_deleted(head: _Head) -> bool:
    """A missing flag means live, as records older than soft deletion lack it."""
    return head.is_deleted is True or (head.is_deleted is None and head.deleted is not None)


def _one_by_one(text: bytes, *, bodies: bool) -> tuple[list[Record], list[Quarantined]]:
    """The same for a page with something that no strict reader takes: NaN, a lone surrogate, 100,000 brackets."""
    records: list[Record] = []
    quarantined: list[Quarantined] = []
    for piece in _slices(text):
        try:
            piece.decode()
            _raw(piece)
            found = _usable([_head(piece)], [piece] if bodies else [])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            found = [], [Quarantined(_key(piece), f"it cannot be read as JSON: {error}")]
        records += found[0]
        quarantined += found[1]
    return records, quarantined


def _slices(text: bytes) -> Iterator[bytes]:
    """Cut a JSON list at its own commas, without reading what is between them."""
    start, end = text.find(b"[") + 1, text.rfind(b"]")
    if text[: max(start, 1)].strip() != b"[" or text[end + 1 :].strip():
        raise Incomplete(_not_a_list(text))
    depth, begin = 0, start
    for token in _TOKEN.finditer(text, start, end):
        sign = token.group()
        depth += (sign in (b"[", b"{")) - (sign in (b"]", b"}"))
        if sign == b"," and depth == 0:
            yield text[begin : token.start()].strip()
            begin = token.end()
        elif depth < 0:
            break
    if depth:
        raise Incomplete("the page is cut short")
    last = text[begin:end].strip()
    if last or begin > start:
        yield last


def _not_a_list(text: bytes) -> str:
    if text.lstrip()[:1] == b"<":
        return "the answer is a web page, not JSON (a login or maintenance page?)"
    if text.lstrip()[:1] == b"{":
        return "the answer is a JSON object, not a list"
    return "the page is cut short or not JSON" if text.lstrip()[:1] == b"[" else "the answer is not JSON"


def _key(piece: bytes) -> str:
    """The id of a record that strict readers refuse, if a lenient one finds it."""
    try:
        found = json.loads(piece)["id"]
    except (ValueError, TypeError, KeyError, RecursionError):
        found = None
    return found if _is_id(found) else sha256(piece).hexdigest()[:16]
