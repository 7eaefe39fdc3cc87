"""Fingerprints of values."""

import hashlib
import json
from typing import Any

import msgspec

MAX_WHOLE = 2**53  # from here on a float does not say which whole number is meant
_encode = msgspec.msgpack.Encoder().encode


def fingerprint(before: bytes, *parts: Any) -> bytes:
    """Return 16 bytes (sha256, cut) of `before` and `parts` as they are ordered."""
    try:
        encoded = _encode(parts)
    except (OverflowError, UnicodeEncodeError, TypeError, RecursionError):
        encoded = repr(parts).encode("utf-8", "backslashreplace")
    return hashlib.sha256(before + encoded).digest()[:16]


def canonical_hash(value: Any) -> str:
    """Return the sha256 (hex) of a JSON value, whatever the order of its keys; 1.0 counts as 1, as JSON means it."""
    text = json.dumps(_whole(value), sort_keys=True, ensure_ascii=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _whole(value: Any) -> Any:
    """Return a value with whole numbers written as such."""
    if isinstance(value, float) and value.is_integer() and abs(value) < MAX_WHOLE:
        return int(value)
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    return [_whole(item) for item in value] if isinstance(value, list | tuple) else value
