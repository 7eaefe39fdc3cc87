"""Fingerprints of values."""

import hashlib
import json
from typing import Any

import msgspec

_encode = msgspec.msgpack.Encoder().encode


def fingerprint(before: bytes, *parts: Any) -> bytes:
    """Return 16 bytes (sha256, cut) of `before` and `parts` as they are ordered."""
    try:
        encoded = _encode(parts)
    except (OverflowError, UnicodeEncodeError, TypeError, RecursionError):
        encoded = repr(parts).encode("utf-8", "backslashreplace")
    return hashlib.sha256(before + encoded).digest()[:16]


def canonical_hash(value: Any) -> str:
    """Return the sha256 (hex) of a JSON value, whatever the order of its keys."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()
