"""Strict JSON: what a model writes as arguments becomes plain values, or a sentence that says why not."""

import json
import math
import re
from typing import Any, NoReturn

import msgspec

from agent.models.json_text import object_of
from agent.models.value import Value


class JsonLimits(Value, frozen=True, kw_only=True):
    """Bounds on one JSON text; what is beyond is refused before it costs anything."""

    max_chars: int = 4_000_000
    max_depth: int = 100


LIMITS = JsonLimits()
_INT64 = range(-(2**63), 2**64)  # what the record can hold; beyond it, JSON readers disagree anyway
_INT64_CHARS = 20
_SHORT = 10_000  # characters of a text that is worth a first look
# A string (closed or not) or one bracket. Possessive, so that hostile text costs linear time.
_SCAN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[{]++|[\]}]++', re.DOTALL)


class NotJson(ValueError):
    """The text is not strict JSON, or is beyond a limit. Its message says which and where."""


def parse_json(text: str, limits: JsonLimits = LIMITS) -> Any:
    """Return the plain value of one strict JSON text.

    Refused: NaN and infinities, numbers that overflow, integers beyond 64 bits, repeated keys, lone surrogates, text after the value,
    and whatever is beyond `limits`.

    Raises:
        NotJson: with what is wrong.

    Source: RFC 8259 (grammar), RFC 7493 (I-JSON: unique names, no surrogates).
    """
    if len(text) > limits.max_chars:
        raise NotJson(f"the text has {len(text)} characters; at most {limits.max_chars} are accepted")
    if limits.max_depth and len(text) <= _SHORT and (flat := _flat(text)) is not None:
        return flat
    if text.count("[") + text.count("{") > limits.max_depth:
        _check_depth(text, limits.max_depth)
    try:
        value = _DECODER.decode(text)
    except NotJson:
        raise
    except json.JSONDecodeError as error:
        raise NotJson(f"not valid JSON: {error.msg} at character {error.pos}") from None
    except (ValueError, RecursionError) as error:  # an integer of thousands of digits; a limit that was set too high
        raise NotJson(f"not valid JSON: {error}") from None
    return value


def _flat(text: str) -> dict[str, Any] | None:
    """Return the object that most arguments are: of text, small integers and truth values; None where the long way must look.

    As many colons as keys: then no key came twice, and there is no object within.
    """
    value = object_of(text)
    if value is None or text.count(":") != len(value):
        return None
    for item in value.values():
        kind = type(item)
        if kind is int:
            if item not in _INT64:
                return None
        elif kind is not str and kind is not bool and item is not None:
            return None
    return value


def encode_json(value: Any) -> bytes:
    """Return plain JSON data as UTF-8.

    Raises:
        NotJson: a lone surrogate or an integer beyond 64 bits is somewhere inside.
    """
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        raise NotJson("a text contains half of a surrogate pair, which is no character: leave it out") from None
    except OverflowError:
        raise NotJson("an integer is beyond 64 bits: pass it as text") from None


def plain_json(value: Any, limits: JsonLimits = LIMITS) -> Any:
    """Return a copy of `value` made of dict, list, str, int, float, bool and None only.

    Raises:
        NotJson: another type, a key that is no text, NaN or an infinity, or beyond `limits` (so is a value that contains itself).
    """
    return _Copier(limits).copy(value, 1)


class _Copier:
    """Copies one value; counts what it has seen, so that shared parts cannot blow up."""

    def __init__(self, limits: JsonLimits) -> None:
        self.limits, self.left = limits, limits.max_chars

    def copy(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if kind is str:
            self._spend(len(value) + 2)
            return value
        if kind is bool or value is None:
            self._spend(1)
            return value
        if kind is int:
            self._spend(1)
            if value not in _INT64:
                raise NotJson("an integer is beyond 64 bits: pass it as text")
            return value
        if kind is float:
            self._spend(1)
            if not math.isfinite(value):
                raise NotJson(f"{value!r} is no JSON number")
            return value
        return self._copy_container(value, depth)

    def _copy_container(self, value: Any, depth: int) -> Any:
        if depth > self.limits.max_depth:
            raise NotJson(f"nested deeper than {self.limits.max_depth} levels, or contains itself")
        self._spend(2)
        if isinstance(value, dict):
            for key in value:
                if type(key) is not str:
                    raise NotJson(f"a key is of type {type(key).__name__}; JSON keys are text")
                self._spend(len(key) + 3)
            return {key: self.copy(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list):
            return [self.copy(item, depth + 1) for item in value]
        raise NotJson(f"a value of type {type(value).__name__} is not JSON")

    def _spend(self, chars: int) -> None:
        self.left -= chars
        if self.left < 0:
            raise NotJson(f"larger than {self.limits.max_chars} characters")


def _check_depth(text: str, max_depth: int) -> None:
    depth = 0
    for match in _SCAN.finditer(text):
        piece = match[0]
        if piece[0] in "[{":
            depth += len(piece)
            if depth > max_depth:
                raise NotJson(f"nested deeper than {max_depth} levels, at character {match.start()}")
        elif piece[0] in "]}":
            depth -= len(piece)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]  # `add` returns None: falsy on purpose
        raise NotJson(f"the key {twice[:80]!r} is given twice")
    return result


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise NotJson(f"the number {text[:40]} is too large")
    return value


def _int(text: str) -> int:
    if len(text) > _INT64_CHARS or (value := int(text)) not in _INT64:
        raise NotJson(f"the integer {text[:40]} is beyond 64 bits: pass it as text")
    return value


def _constant(text: str) -> NoReturn:
    raise NotJson(f"{text} is no JSON number")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=_float, parse_int=_int, parse_constant=_constant)
