"""Conditions on arguments: whether a value meets one, and which one fits what was seen.

Text is compared, never interpreted: the few patterns are this file's own, with bounded lengths.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, TypeGuard
from urllib.parse import urlsplit

from agent.models.digest import MAX_WHOLE, canonical_hash
from agent.models.rule import Begins, Between, Condition, Each, Equals, Fields, Mailbox, OneOf, Rest

MAX_CHOICES = 10  # different values of one argument that a rule names one by one
MIN_SEEN = 2  # how often each of them was seen
MIN_DISTINCT = 3  # different texts that a common beginning, or domain, is concluded from
MIN_PREFIX_CHARS = 3
MAX_DEPTH = 5  # of objects and lists in each other
_RESTS: dict[str, re.Pattern[str]] = {
    "digits": re.compile(r"[0-9]+"),
    "word": re.compile(r"[\w-]+"),
    "path": re.compile(r"[\w-][\w.-]*(?:/[\w-][\w.-]*)*"),
}
_URL_HEAD = re.compile(r"(?:http|https)://[a-z0-9-]+(?:\.[a-z0-9-]+)*(?::[0-9]{1,5})?/")
_LOCAL = re.compile(r"[A-Za-z0-9_+-][A-Za-z0-9._+-]{0,63}")
_DOMAIN = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)+")
_SEPARATOR = re.compile(r"[-_/:.#]")


# ---- meeting a condition


def meets(condition: Condition, value: Any) -> bool:
    """Return whether a JSON value meets a condition."""
    match condition:
        case Equals():
            return canonical_hash(condition.value) == canonical_hash(value)
        case OneOf():
            return _is_scalar(value) and any(canonical_hash(choice) == canonical_hash(value) for choice in condition.values)
        case Between():
            return is_number(value) and condition.low <= value <= condition.high and (not condition.is_whole or value == math.floor(value))
        case Begins():
            return isinstance(value, str) and _begins(condition, value)
        case Mailbox():
            return isinstance(value, str) and _domain_of(value) == condition.domain
        case Fields():
            return isinstance(value, dict) and _has_fields(condition, value)
        case Each():
            return isinstance(value, list) and len(value) <= condition.max_items and all(meets(condition.items, item) for item in value)


def _begins(condition: Begins, value: str) -> bool:
    rest = value[len(condition.prefix) :]
    if not value.startswith(condition.prefix) or len(rest) > condition.max_chars or _RESTS[condition.rest].fullmatch(rest) is None:
        return False
    return "://" not in value or (_url_head(condition.prefix) is not None and _url_head(value) == _url_head(condition.prefix))


def _has_fields(condition: Fields, value: dict[str, Any]) -> bool:
    missing = condition.fields.keys() - value.keys()
    return value.keys() <= condition.fields.keys() and missing <= set(condition.optional) and all(meets(condition.fields[name], value[name]) for name in value)


def is_number(value: Any) -> TypeGuard[int | float]:
    """Return whether a JSON value is a number; a truth value is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float)


def _url_head(text: str) -> str | None:
    """Return `scheme://host:port/` of a plain URL; None where it is none, or where readers of URLs may disagree about its host."""
    found = _URL_HEAD.match(text)
    if found is None:
        return None
    try:
        parts = urlsplit(text)
    except ValueError:
        return None
    return found[0] if f"{parts.scheme}://{parts.netloc}/" == found[0] else None


def _domain_of(text: str) -> str | None:
    local, _, domain = text.partition("@")
    return domain if _LOCAL.fullmatch(local) and _DOMAIN.fullmatch(domain) else None


# ---- finding one


def condition_for(values: Sequence[Any], depth: int = 0) -> Condition | None:
    """Return the narrowest condition of ours that all these values meet; None where there is none but "anything"."""
    if len({canonical_hash(value) for value in values}) == 1:
        return Equals(value=values[0])
    if all(is_number(value) and abs(value) < MAX_WHOLE for value in values):
        return Between(low=float(min(values)), high=float(max(values)), is_whole=all(value == math.floor(value) for value in values))
    if all(_is_scalar(value) for value in values):
        return _choices(values) or _text_condition(values)
    if depth < MAX_DEPTH and all(isinstance(value, dict) for value in values):
        return fields_for(values, depth + 1)
    if depth < MAX_DEPTH and all(isinstance(value, list) for value in values):
        items = [item for value in values for item in value]
        each = condition_for(items, depth + 1) if items else None
        return Each(items=each, max_items=max(len(value) for value in values)) if each is not None else None
    return None


def fields_for(objects: Sequence[dict[str, Any]], depth: int = 0) -> Fields | None:
    """Return the conditions that all these objects meet; None where one of their members has none."""
    found: dict[str, Condition] = {}
    for name in sorted({name for given in objects for name in given}):
        condition = condition_for([given[name] for given in objects if name in given], depth)
        if condition is None:
            return None
        found[name] = condition
    return Fields(fields=found, optional=[name for name in found if any(name not in given for given in objects)])


def _choices(values: Sequence[Any]) -> OneOf | None:
    if any(isinstance(value, bool) for value in values):  # both truth values together are no condition
        return None
    seen = Counter(canonical_hash(value) for value in values)
    if len(seen) > MAX_CHOICES or min(seen.values()) < MIN_SEEN:
        return None
    distinct = {canonical_hash(value): value for value in values}
    return OneOf(values=sorted(distinct.values(), key=lambda value: (str(type(value)), str(value))))


def _text_condition(values: Sequence[Any]) -> Condition | None:
    texts = sorted({value for value in values if isinstance(value, str)})
    if len(texts) < MIN_DISTINCT or not all(isinstance(value, str) for value in values):
        return None
    domains = {_domain_of(text) for text in texts}
    if len(domains) == 1 and (domain := domains.pop()) is not None:
        return Mailbox(domain=domain)
    common = _common_beginning(texts[0], texts[-1])  # of the first and last in order: of all
    if any("://" in text for text in texts):
        head = _url_head(texts[0])
        if head is None or not common.startswith(head) or any(_url_head(text) != head for text in texts):
            return None
        return _beginning(common[: common.rindex("/") + 1], texts, ("path",))
    if "/" in common:
        return _beginning(common[: common.rindex("/") + 1], texts, ("digits", "word", "path"))
    ends = [found.end() for found in _SEPARATOR.finditer(common)]
    return _beginning(common[: ends[-1]], texts, ("digits", "word")) if ends else None


def _common_beginning(first: str, last: str) -> str:
    count = next((n for n, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), min(len(first), len(last)))
    return first[:count]


def _beginning(prefix: str, texts: Sequence[str], kinds: Sequence[Rest]) -> Begins | None:
    rests = [text[len(prefix) :] for text in texts]
    if len(prefix) < MIN_PREFIX_CHARS or ".." in prefix.split("/"):
        return None
    for kind in kinds:
        if all(_RESTS[kind].fullmatch(rest) for rest in rests):
            return Begins(prefix=prefix, rest=kind, max_chars=max(len(rest) for rest in rests))
    return None
