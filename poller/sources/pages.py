"""A page of a listing, from bytes to records: the body of each is a slice of the answer, never rewritten."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256

import msgspec

from poller.diff import digest
from poller.model import Page, Quarantined, Record, parse_time
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


def _nothing(_records: int) -> Mapping[bytes, str]:
    return {}


def read(answer: bytes, *, bodies: bool, known: Callable[[int], Mapping[bytes, str]] = _nothing) -> Page:
    """A page in the API's order, without those of its records that cannot be used.

    ``known`` gives by digest the ids of as many records as the page may show unchanged: nothing more of them is read.
    Raises ``Incomplete`` for what is not a whole JSON list. One bad record spoils nothing but itself.
    """
    text = answer.removeprefix(b"\xef\xbb\xbf")
    if b"\n" in text or b"\r" in text:
        text = text.translate(_LINE)
    try:
        if not text.isascii():
            text.decode()
        return _whole(_raws(text), known) if bodies else _stamps(_heads(text))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _one_by_one(text, bodies=bodies)


def joined(parts: Sequence[Page]) -> Page:
    """One page of several."""
    return Page(
        tuple(one for part in parts for one in part.ids),
        tuple(record for part in parts for record in part.records),
        tuple(bad for part in parts for bad in part.quarantined),
    )


def _whole(slices: Sequence[bytes], known: Callable[[int], Mapping[bytes, str]]) -> Page:
    remembered = known(len(slices))
    ids, records, quarantined = [], [], []
    for piece in slices:
        its_digest = digest(piece)
        one = remembered.get(its_digest)
        if one is None:
            head = _head(piece)
            if not _is_id(head.id):
                quarantined.append(_unusable(head, piece))
                continue
            one = str(head.id)
            records.append(Record(one, parse_time(head.updated), _is_deleted(head), bytes(piece), its_digest))
        ids.append(one)
    return Page(tuple(ids), tuple(records), tuple(quarantined))


def _stamps(heads: Iterable[_Head]) -> Page:
    records, quarantined = [], []
    for head in heads:
        if _is_id(head.id):
            records.append(Record(str(head.id), parse_time(head.updated), _is_deleted(head), b"", b""))
        else:
            quarantined.append(_unusable(head, repr(head).encode()))
    return Page(tuple(record.id for record in records), tuple(records), tuple(quarantined))


def _unusable(head: _Head, text: bytes) -> Quarantined:
    return Quarantined(sha256(text).hexdigest()[:16], f"it has no usable id: {_shown(head.id)}")


def _shown(value: object) -> str:
    """An id that is none, but not what else of the record may be in its place."""
    return f"a JSON {type(value).__name__}" if isinstance(value, dict | list) else repr(str(value)[:40])


def _is_id(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _ID_CHARACTERS and value.isprintable() and " " not in value


def _is_deleted(head: _Head) -> bool:
    """A missing flag means live, as records older than soft deletion lack it."""
    return head.is_deleted is True or (head.is_deleted is None and head.deleted is not None)


def _one_by_one(text: bytes, *, bodies: bool) -> Page:
    """The same for a page with something that no strict reader takes: NaN, a lone surrogate, 100,000 brackets."""
    parts = []
    for piece in _slices(text):
        try:
            piece.decode()
            _raw(piece)
            parts.append(_whole([piece], _nothing) if bodies else _stamps([_head(piece)]))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            parts.append(Page(quarantined=(Quarantined(_key(piece), f"it cannot be read as JSON: {error}"),)))
    return joined(parts)


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
