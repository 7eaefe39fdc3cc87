"""Payloads without their keys: which of the known keys there are is one number, the values follow it.

A payload of known keys in the order of `KEYS` is written as [mask, value, …]. The keys took a tenth of the disk.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import msgspec

KEYS = (
    "call_id", "tool_name", "arguments", "result", "is_ok", "is_executed", "response", "tool_calls", "model", "prompt_tokens", "completion_tokens", "cost",
    "prompt_hash", "finish_reason", "usage", "reasoning", "provider_state", "response_id", "took_s", "is_final_call", "full_result", "error_type", "attempt",
    "is_untrusted", "result_id", "limit", "attempts", "cost_is_partial",
)  # fmt: skip
"""Part of the format on disk: new keys go to the end, none is ever moved or removed."""

_PLACES = {key: place for place, key in enumerate(KEYS)}


@lru_cache(maxsize=1_024)
def _mask_of(keys: tuple[str, ...]) -> int | None:
    places = [_PLACES.get(key, -1) for key in keys]
    if not places or -1 in places or places != sorted(places):
        return None
    return sum(1 << place for place in places)


_KEYS_OF: dict[int, tuple[str, ...]] = {}  # by mask, as they are met: a plain dict, since every step that is read asks it


def _keys_of(mask: Any) -> tuple[str, ...]:
    if type(mask) is not int or not 0 < mask < 1 << len(KEYS):
        raise ValueError(f"a payload has the mask {mask!r:.50}")
    keys = _KEYS_OF[mask] = tuple(key for place, key in enumerate(KEYS) if mask >> place & 1)
    return keys


def without_keys(data: Mapping[str, Any]) -> list[Any] | None:
    """Return [mask, value, …], or None where a key is not known or out of order."""
    mask = _mask_of(tuple(data))
    return None if mask is None else [mask, *data.values()]


def with_keys(values: list[Any]) -> dict[str, Any]:
    """Return what `without_keys` was given; `values` is used up.

    Raises:
        ValueError: the mask does not fit the values, or a newer version wrote it.
    """
    keys = _KEYS_OF.get(values[0]) or _keys_of(values[0])
    del values[0]
    if len(keys) != len(values):
        raise ValueError(f"a payload has {len(values)} values for {len(keys)} keys")
    return dict(zip(keys, values, strict=False))


_WIDTHS = {0xCC: 2, 0xCD: 3, 0xCE: 5}  # bytes of a msgpack number by its first; a small one is a single byte


def head_of(stored: bytes) -> bytes:
    """Return the bytes of the mask in a stored list: payloads with the same head have the same keys."""
    return stored[1 : 1 + _WIDTHS.get(stored[1], 1)]


def decoder_of(head: bytes, ext_hook: Callable[[int, memoryview], Any]) -> Callable[[bytes], msgspec.Struct]:
    """Return what decodes payloads with this head; `msgspec.structs.asdict` of the outcome is the payload.

    Twice as quick as decoding a list and pairing it with its keys, which a long read feels.

    Raises:
        ValueError: the mask is none, or a newer version wrote it.
    """
    return msgspec.msgpack.Decoder(_shape_of(msgspec.msgpack.decode(head)), ext_hook=ext_hook).decode


@lru_cache(maxsize=1_024)
def _shape_of(mask: int) -> type[msgspec.Struct]:
    fields = [(key, Any) for key in _keys_of(mask)]
    return msgspec.defstruct("Payload", fields, array_like=True, tag=mask, forbid_unknown_fields=True, gc=False)
