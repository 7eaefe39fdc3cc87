"""Steps to rows and back: what is on the disk, byte for byte.

A payload is msgpack (a map, or a list as in `keysets`; deflated where that pays) or, for what msgpack cannot hold, JSON; its
first byte tells. The salt of
its commitment follows. What repeats from run to run, and what is large, is a blob: stored once, by its hash.
"""

import base64
import json
import os
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import asdict

from agent.clock import from_ms, to_ms
from agent.errors import BadInput, StoreUnusable
from agent.models.payloads import PAYLOADS
from agent.models.trace import Step, step_id_of
from agent.storage import chain
from agent.storage.keysets import decoder_of, head_of, with_keys, without_keys
from agent.storage.plain import plain, unheld

BLOB_ABOVE = 65_536
"""A top-level value of a step's data whose encoding has more bytes is a blob."""
REPEATED_ABOVE = 64
"""What is known to repeat is a blob from this size on; below, a blob would take more than it saves."""
DEFLATE_ABOVE = 2_048
"""Payloads and blobs with more bytes are deflated, where that makes them smaller."""
STEP_LIMIT = 256_000_000
"""Bytes that one step's data may have, and one blob."""
NUMBER_LIMIT = 18
"""Digits that a sequence may have."""
SEQUENCE_LIMIT = 10**NUMBER_LIMIT
NAME_LIMIT = 500
"""Characters of an id and of a step's type."""

REPEATED: Mapping[str, frozenset[str]] = {"input": frozenset({"system", "schemas"}), "memory_read": frozenset({"block"})}

_ERASED, _JSON, _ZLIB = 0x00, 0x7B, 0x78  # no msgpack map begins so: they are ints there
_LIST, _LIST_BITS = 0x90, 0xF0  # a msgpack list of less than sixteen values
_MAP = 0x80  # all msgpack maps and lists begin with this or more
_UNSALTED = -chain.SALT_SIZE
_TEXT, _BYTES, _DATA = 1, 2, 3  # what a blob holds
_TAG = "\0"  # in the JSON form: {"\0": [kind, …]} is what JSON has no word for
_KINDS = frozenset(PAYLOADS)
_encode = msgspec.msgpack.Encoder().encode
_NUMBER = re.compile(f"(?:0|[1-9][0-9]{{0,{NUMBER_LIMIT - 1}}})").fullmatch
_salts: list[bytes] = []


class Coded(msgspec.Struct, frozen=True, gc=False):
    """A step as it goes to the disk, without its link: that is made in the commit."""

    sequence: int
    epoch: int
    kind: str
    at: int  # milliseconds
    parents: str
    name: str | None  # an id that its caller chose
    data: bytes
    commitment: bytes
    blobs: tuple[tuple[bytes, bytes], ...]  # hash, stored form

    def link(self, before: bytes, trace_id: str) -> bytes:
        """Return the step's hash, given that of the step before it."""
        return chain.link(before, (trace_id, self.sequence, self.epoch, self.at, self.kind, self.parents, self.name), self.commitment)


class BlobRef(NamedTuple):
    """A blob's place in a payload."""

    kind: int
    digest: bytes


Row = tuple[int, int, str, int, str, bytes, str | None]
"""sequence, epoch, kind, at, parents, data, name: as they are read back."""


def encode_step(step: Step, epoch: int | None = None) -> Coded:
    """Return the step in its form on disk; nothing the caller does to `step.data` later changes it.

    Raises:
        BadInput: a part of it cannot be held; says which.
    """
    sequence, trace_id = step.sequence, step.trace_id
    if type(sequence) is not int or not 0 <= sequence < SEQUENCE_LIMIT:
        raise BadInput(f"step {step.step_id!r} has the sequence {sequence!r}: it is to be a whole number from 0 on")
    kind = step.step_type if step.step_type in _KINDS else checked_name(step.step_type, "step_type")
    name = None if step.step_id in (f"{trace_id}/{sequence}", "") else checked_name(step.step_id, "step_id")
    given = step.data
    if type(given) is not dict and not isinstance(given, Mapping):
        raise BadInput(f"step {step.step_id!r} has data of type {type(given).__name__}: it is to be a dict")
    data, blobs = _encode_data(kind, plain(given, "data"))
    try:
        salt = _salts.pop()  # atomic: threads may share the pool
    except IndexError:
        salt = _salt()
    commit = chain.commitment(salt, data)
    at = to_ms(step.created_at)  # a naive moment counts as local time there
    parents = parents_text(trace_id, step.parent_ids)
    stored = (data if len(data) <= DEFLATE_ABOVE else _deflate(data)) + salt
    return Coded(sequence, step.epoch if epoch is None else epoch, kind, at, parents, name, stored, commit, blobs)


def encode_steps(trace_id: str, steps: Sequence[Step], epoch: int | None = None) -> list[Coded]:
    """Return steps of one trace in their form on disk.

    Raises:
        BadInput: a part cannot be held, or a step belongs to another trace; says which.
    """
    if not isinstance(trace_id, str):
        raise BadInput(f"trace_id is {trace_id!r:.100}: it is to be text")
    try:
        for step in steps:
            if step.trace_id != trace_id:
                raise BadInput(f"step {step.step_id!r} belongs to trace {step.trace_id!r}, not to {trace_id!r}: append it there")
    except (TypeError, AttributeError) as error:
        raise BadInput(f"steps is {steps!r:.100}: it is to be a list of steps") from error
    return [encode_step(step, epoch) for step in steps]


def checked_name(name: Any, what: str) -> str:
    """Return an id or a kind that every store can hold.

    Raises:
        BadInput: it is no text, empty, too long, or no valid unicode.
    """
    if not isinstance(name, str) or not 0 < len(name) <= NAME_LIMIT:
        raise BadInput(f"{what} is {name!r:.100}: it is to be text of 1 to {NAME_LIMIT} characters")
    if not name.isascii():
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise BadInput(f"{what} {name!r:.100} is no valid unicode text") from error
    return name


def parents_text(trace_id: str, parent_ids: Sequence[str]) -> str:
    """Return sequences ("3,4") where all parents are steps of this trace by derived ids; else a JSON list of both."""
    if isinstance(parent_ids, str):
        raise BadInput(f"parent_ids is the text {parent_ids!r:.100}: it is to be a list of step ids")
    head = f"{trace_id}/"
    if len(parent_ids) == 1:  # by far the most steps rest on one other
        parent = parent_ids[0]
        if type(parent) is str and parent.startswith(head) and _NUMBER(tail := parent[len(head) :]):
            return tail
    derived: list[str] = []
    for parent in parent_ids:
        tail = parent[len(head) :] if isinstance(parent, str) and parent.startswith(head) else ""
        if not _is_number(tail):
            return _mixed_parents(head, parent_ids)
        derived.append(tail)
    return ",".join(derived)


def _mixed_parents(head: str, parent_ids: Sequence[str]) -> str:
    mixed: list[int | str] = []
    for parent in parent_ids:
        tail = checked_name(parent, "a parent id").removeprefix(head)
        mixed.append(int(tail) if tail != parent and _is_number(tail) else parent)
    return json.dumps(mixed, separators=(",", ":"))


def _is_number(text: str) -> bool:
    """Return whether this is how a sequence is written."""
    return _NUMBER(text) is not None


def parents_of(trace_id: str, text: str) -> tuple[str, ...]:
    """Return the ids that `parents_text` wrote."""
    if not text:
        return ()
    if text[0] == "[":
        return tuple(step_id_of(trace_id, parent) if isinstance(parent, int) else parent for parent in json.loads(text))
    return tuple(f"{trace_id}/{number}" for number in text.split(","))


# ---- payloads


def pack(data: Any) -> bytes:
    """Return plain data as bytes; `unpack` gives it back."""
    return _deflate(_bytes_of({"": data}))


def unpack(stored: bytes) -> Any:
    """Return what `pack` was given."""
    return _data_of(_inflate(stored), None)[""]


def erase(stored: bytes) -> bytes:
    """Return what stays of a stored payload when it is forgotten: the commitment, so that the chain holds."""
    return bytes((_ERASED,)) + commitment_of(stored)


def commitment_of(stored: bytes) -> bytes:
    """Return the commitment of a stored payload."""
    if stored[0] == _ERASED:
        return stored[1:]
    return chain.commitment(stored[_UNSALTED:], _inflate(stored[:_UNSALTED]))


def _encode_data(kind: str, data: Mapping[str, Any]) -> tuple[bytes, tuple[tuple[bytes, bytes], ...]]:
    encoded = _bytes_of(data)
    repeated = REPEATED.get(kind)
    if len(encoded) <= BLOB_ABOVE and not (repeated and repeated & data.keys()):
        return encoded, ()
    changed, blobs = dict(data), []
    for key, value in data.items():
        if not isinstance(value, str | bytes | list | dict):
            continue
        raw = _blob_of(value)
        if len(raw[1]) > (REPEATED_ABOVE if repeated and key in repeated else BLOB_ABOVE):
            digest = sha256(raw[1]).digest()[: chain.SIZE]
            changed[key] = msgspec.msgpack.Ext(raw[0], digest)
            blobs.append((digest, b"\0" + raw[1] if (small := _deflate(raw[1])) is raw[1] else small))
    return (_bytes_of(changed), tuple(blobs)) if blobs else (encoded, ())


def _blob_of(value: str | bytes | list[Any] | dict[str, Any]) -> tuple[int, bytes]:
    if isinstance(value, str):
        return _TEXT, value.encode("utf-8", "surrogatepass")
    return (_BYTES, value) if isinstance(value, bytes) else (_DATA, _bytes_of({"": value}))


def blob_bytes(stored: bytes) -> bytes:
    """Return a blob's own bytes: text in UTF-8, bytes as they are, other data as a payload."""
    return stored[1:] if stored[0] == 0 else zlib.decompress(stored)


def _bytes_of(data: Mapping[str, Any]) -> bytes:
    try:
        encoded = _encode(without_keys(data) or data)
    except (OverflowError, UnicodeEncodeError):  # a large int, a lone surrogate
        try:
            encoded = json.dumps(_tagged(data), separators=(",", ":")).encode()
        except ValueError as error:
            raise BadInput(f"{unheld(data)} cannot be held: {error}") from error
    if len(encoded) > STEP_LIMIT:
        raise BadInput(f"the data has {len(encoded)} bytes; at most {STEP_LIMIT} can be held: keep it in a file, and name that")
    return encoded


def _deflate(data: bytes) -> bytes:
    if len(data) > DEFLATE_ABOVE:
        small = zlib.compress(data, 1)
        if len(small) < len(data):
            return small
    return data


def _inflate(body: bytes) -> bytes:
    return zlib.decompress(body) if body[0] == _ZLIB else body


def _tagged(value: Any) -> Any:
    if isinstance(value, bytes):
        return {_TAG: ["bytes", base64.b64encode(value).decode()]}
    if isinstance(value, msgspec.msgpack.Ext):
        return {_TAG: ["blob", value.code, bytes(value.data).hex()]}
    if isinstance(value, list):
        return [_tagged(item) for item in value]
    if isinstance(value, dict):
        inner = {key: _tagged(item) for key, item in value.items()}
        return {_TAG: ["dict", inner]} if _TAG in inner else inner
    return value


def _untagged(value: Any) -> Any:
    if isinstance(value, list):
        return [_untagged(item) for item in value]
    if not isinstance(value, dict):
        return value
    if _TAG not in value:
        return {key: _untagged(item) for key, item in value.items()}
    match value[_TAG]:
        case ["bytes", str() as text]:
            return base64.b64decode(text)
        case ["blob", int() as kind, str() as digest]:
            return BlobRef(kind, bytes.fromhex(digest))
        case ["dict", dict() as inner]:
            return {key: _untagged(item) for key, item in inner.items()}
        case unknown:
            raise ValueError(f"an unknown tag: {unknown!r:.100}")


def _data_of(body: bytes, decode: Callable[[bytes], Any] | None) -> dict[str, Any]:
    if body[0] == _JSON:
        data: dict[str, Any] = _untagged(json.loads(body))
        return data
    payload = (decode or msgspec.msgpack.decode)(body)
    return with_keys(payload) if type(payload) is list else payload


def _salt() -> bytes:
    """Return one salt, and lay in many more: each draw costs a switch to the kernel."""
    drawn = os.urandom(chain.SALT_SIZE * 256)
    _salts.extend(drawn[n : n + chain.SALT_SIZE] for n in range(chain.SALT_SIZE, len(drawn), chain.SALT_SIZE))
    return drawn[: chain.SALT_SIZE]


# ---- back


class Page:
    """Reads rows of one trace; blobs are asked for once, for all of them."""

    def __init__(self, trace_id: str) -> None:
        self.trace_id = trace_id
        self.steps: list[Step] = []
        self._refs: set[bytes] = set()
        self._met = 0  # references so far: a step whose reading adds to them has some
        self._holders: list[Step] = []
        self._decode = msgspec.msgpack.Decoder(ext_hook=self._ref).decode
        self._shaped: dict[bytes, Callable[[bytes], msgspec.Struct]] = {}

    def _shaped_by(self, head: bytes) -> Callable[[bytes], msgspec.Struct]:
        decode = self._shaped[head] = decoder_of(head, self._ref)
        return decode

    def _ref(self, code: int, digest: memoryview) -> BlobRef:
        ref = BlobRef(code, bytes(digest))
        self._refs.add(ref.digest)
        self._met += 1
        return ref

    def add(self, rows: Sequence[Row]) -> None:
        """Take rows in.

        Raises:
            StoreUnusable: a row cannot be read; says which.
        """
        trace_id, add, decode, before, moment = self.trace_id, self.steps.append, self._decode, None, from_ms(0)
        met, shaped, rests, above = self._met, self._shaped, "", parents_of(trace_id, "")
        for sequence, epoch, kind, at, parents, data, name in rows:
            try:
                first = data[0]
                if first & _LIST_BITS == _LIST:  # by far the most
                    head = head_of(data)
                    payload = asdict((shaped.get(head) or self._shaped_by(head))(data[:_UNSALTED]))
                else:
                    payload = decode(data[:_UNSALTED]) if first >= _MAP else self._other(data)
                    if type(payload) is list:
                        payload = with_keys(payload)
                if parents != rests:  # the steps of a turn rest on the same one
                    above, rests = (f"{trace_id}/{parents}",) if parents.isdecimal() else parents_of(trace_id, parents), parents
                if at != before:  # steps of one commit have one moment
                    before, moment = at, from_ms(at)
                step = Step(name or f"{trace_id}/{sequence}", trace_id, kind, sequence, above, payload, moment, epoch)
                add(step)
                if self._met != met:
                    met = self._met
                    self._holders.append(step)
            except (ValueError, TypeError, LookupError, zlib.error, msgspec.DecodeError) as error:
                raise StoreUnusable(
                    f"step {trace_id}/{sequence} is damaged ({error}): check the trace with `seasoned runs verify`, or restore a backup"
                ) from error

    def _other(self, stored: bytes) -> dict[str, Any]:
        """Return a payload in one of the rarer forms."""
        if stored[0] == _ERASED:
            return {"erased": True}
        data = _data_of(_inflate(stored[:_UNSALTED]), self._decode)
        found = [value.digest for value in data.values() if type(value) is BlobRef]
        self._refs.update(found)
        self._met += len(found)
        return data

    @property
    def wanted(self) -> list[bytes]:
        """Hashes of the blobs that the steps need."""
        return sorted(self._refs)

    def fill(self, blobs: Mapping[bytes, bytes]) -> None:
        """Put blobs (hash to stored form) in their places.

        Raises:
            StoreUnusable: one is missing.
        """
        if not self._refs:
            return
        for step in self._holders:
            for key, value in step.data.items():
                if type(value) is BlobRef:
                    step.data[key] = self._value(step, value, blobs)

    def _value(self, step: Step, ref: BlobRef, blobs: Mapping[bytes, bytes]) -> Any:
        stored = blobs.get(ref.digest)
        if stored is None:
            raise StoreUnusable(f"blob {ref.digest.hex()} of step {step.step_id} is missing: restore a backup")
        raw = blob_bytes(stored)
        if ref.kind == _TEXT:
            return raw.decode("utf-8", "surrogatepass")
        return raw if ref.kind == _BYTES else _data_of(raw, None)[""]
