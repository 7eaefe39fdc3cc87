"""JSON text, read quickly."""

from typing import Any

import msgspec

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def object_of(text: str) -> dict[str, Any] | None:
    """Return the object that a text is, or None where it is no strict JSON (NaN is none) or no object."""
    try:
        value = _decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def json_of(value: Any) -> str | None:
    """Return a value as JSON text, in which every text stands as it is but for escapes; None where it has none."""
    try:
        return _encode(value).decode()
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None
