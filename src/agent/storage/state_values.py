"""What a state may be: its key, its value as JSON, its time to live, its next version. Both adapters ask here."""

import json
from datetime import datetime
from typing import Any

from agent.clock import from_ms, to_ms
from agent.errors import BadInput, VersionConflict
from agent.storage.protocols import StateEntry
from agent.storage.unicode import is_unicode

RESERVED = "seasoned:"
"""Keys that begin so are kept for this program: a tool can neither read nor write them."""

MAX_KEY_CHARS = 512
MAX_VALUE_BYTES = 1_048_576  # of a value, as JSON in UTF-8
MAX_TTL_S = 100 * 365 * 86_400.0


def checked_key(key: str) -> str:
    """Return `key` if it can be one.

    Raises:
        BadInput: it is no text, empty, too long, or no valid unicode.
    """
    if not isinstance(key, str):
        raise BadInput(f"the key of a state is text, not {type(key).__name__}")
    if not 0 < len(key) <= MAX_KEY_CHARS:
        raise BadInput(f"the key of a state has {len(key)} characters: give it 1 to {MAX_KEY_CHARS}")
    if not is_unicode(key):
        raise BadInput(f"the key {key!r} holds half a character (a lone surrogate): leave it out")
    return key


def not_reserved(key: str) -> str:
    """Return `key` if a tool may use it.

    Raises:
        BadInput: it is one of this program's own.
    """
    if isinstance(key, str) and key.startswith(RESERVED):
        raise BadInput(f"the key {key!r:.100} begins with {RESERVED!r}, which is kept for this program: choose another")
    return key


def checked_uid(uid: str | None) -> str | None:
    """Return `uid` if something can belong to it.

    Raises:
        BadInput: it is no valid unicode.
    """
    if uid is not None and not is_unicode(uid):
        raise BadInput(f"the uid {uid!r} holds half a character (a lone surrogate): leave it out")
    return uid


def encode_value(key: str, value: Any, *, max_bytes: int) -> str:
    """Return `value` as JSON from which `json.loads` makes an equal one (a tuple becomes a list).

    Raises:
        BadInput: JSON cannot hold it, or it is too large.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        size = len(text.encode())
    except RecursionError as error:
        raise BadInput(f"the value of state {key!r} is nested too deeply: flatten it") from error
    except (TypeError, ValueError) as error:
        raise BadInput(f"the value of state {key!r} is no JSON: {error}") from error
    if size > max_bytes:
        raise BadInput(f"the value of state {key!r} has {size} bytes, at most {max_bytes} are kept: store a reference to it, or raise max_value_bytes")
    _check_names(key, value)
    return text


def _check_names(key: str, value: Any) -> None:
    """Refuse a name that is no text, which `json.dumps` would quietly make one. What it took has no circles."""
    rest = [value]
    while rest:
        part = rest.pop()
        if isinstance(part, dict):
            for name in part:
                if not isinstance(name, str):
                    raise BadInput(f"the value of state {key!r} has an object with the name {name!r}: in JSON names are text")
            rest.extend(part.values())
        elif isinstance(part, list | tuple):
            rest.extend(part)


def expiry_of(ttl_s: float | None, now: datetime) -> int | None:
    """Return when a value set now expires, in milliseconds since 1970; None: never.

    Raises:
        BadInput: `ttl_s` is no number above 0, or too large.
    """
    if ttl_s is None:
        return None
    if not isinstance(ttl_s, int | float) or not 0 < ttl_s <= MAX_TTL_S:
        raise BadInput(f"ttl_s is {ttl_s!r}: give it seconds above 0 and at most {MAX_TTL_S:.0f}, or None to keep the value")
    return to_ms(now) + round(ttl_s * 1000)


def entry_of(key: str, text: str, version: int, expires_ms: int | None) -> StateEntry:
    """Return what a list shows of a state, its value made anew."""
    return StateEntry(key=key, value=json.loads(text), version=version, expires_at=None if expires_ms is None else from_ms(expires_ms))


def next_version(key: str, *, live: int, used: int, if_version: int | None) -> int:
    """Return the version that follows. `live` is that of the value there is (0: none), `used` the largest given so far.

    Raises:
        VersionConflict: the caller believed in another one.
    """
    if if_version is not None and if_version != live:
        raise VersionConflict(key, if_version, live)
    return used + 1
