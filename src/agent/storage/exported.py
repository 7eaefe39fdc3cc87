"""Carried traces as plain JSON data, as an export holds them: each field of a trace is sealed, so that none can be edited unseen.

Steps are covered by the chain and its head. What a trace says of itself beside them (task, status, totals …) is not: a seal of
each field, bound to the head, tells which one was changed. Who knows the format can make a seal anew, as with all of it; what is also
said in the steps is compared with them when a trace is taken in.
"""

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from agent.errors import BadInput
from agent.models.digest import canonical_hash
from agent.models.trace import Trace
from agent.storage.portable import FAULTS, Carried

SEAL_DIGITS = 32
"""Hex digits of the seal of a field."""


class _Doc(msgspec.Struct, frozen=True):
    trace: Trace
    head: str
    seal: dict[str, str]
    rows: list[tuple[int, int, str, int, str, bytes, str | None]]
    blobs: dict[str, bytes] = {}


def to_plain(carried: Carried) -> dict[str, Any]:
    """Return a trace as plain JSON data; bytes as base64, hashes as hex."""
    blobs = {digest.hex(): data for digest, data in carried.blobs.items()}
    seal = {name: _seal(carried.head, name, value) for name, value in carried.trace.to_dict().items()}
    plain_data: dict[str, Any] = msgspec.to_builtins(_Doc(carried.trace, carried.head, seal, carried.rows, blobs))
    return plain_data


def of_plain(data: Any) -> list[Carried]:
    """Return the traces of which `to_plain` gave these. Their steps are not checked yet: that is for who takes them in.

    Raises:
        BadInput: they have another form, or a field of a trace was changed; says which.
    """
    try:
        docs = msgspec.convert(data, list[_Doc])
        carried = [Carried(trace=doc.trace, head=doc.head, rows=list(doc.rows), blobs={bytes.fromhex(k): v for k, v in doc.blobs.items()}) for doc in docs]
    except FAULTS as error:
        raise BadInput(f"this is no export that can be read: {str(error)[:300]}") from error
    for given, doc, one in zip(data, docs, carried, strict=True):
        _check_seal(doc)
        check_same(given, to_plain(one), f"run {doc.trace.trace_id!r:.100}")
    return carried


def check_same(given: Any, expected: Mapping[str, Any], what: str) -> None:
    """Refuse an object of an export that is not what it would have been written as.

    Raises:
        BadInput: names the first part that differs.
    """
    if not isinstance(given, dict):
        raise BadInput(f"the export was changed: {what} is no object")
    for name in (*expected, *given):
        if name not in expected or name not in given or _text(given[name]) != _text(expected[name]):
            raise BadInput(f"the export was changed: {name!r:.100} of {what} is not what was exported")


def _check_seal(doc: _Doc) -> None:
    right = {name: _seal(doc.head, name, value) for name, value in doc.trace.to_dict().items()}
    wrong = [name for name, seal in right.items() if doc.seal.get(name) != seal]
    if wrong:
        which = "head" if len(wrong) == len(right) else ", ".join(wrong)
        raise BadInput(f"the export was changed: {which} of run {doc.trace.trace_id!r:.100} is not what was exported")


def _seal(head: str, name: str, value: Any) -> str:
    return canonical_hash([head, name, value])[:SEAL_DIGITS]


def _text(value: Any) -> str:
    """Return plain data in a form that the same values always have."""
    return json.dumps(value, sort_keys=True)
