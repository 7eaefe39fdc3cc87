"""What a store's method is called with, checked at its door: the wrong kind of thing is named, in every adapter with the same words."""

import functools
import inspect
import os
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from agent.errors import BadInput
from agent.models.memory import Experience, Skill
from agent.models.trace import Step, Trace
from agent.storage.unicode import is_unicode

T = TypeVar("T")
Check = Callable[[Any, str], None]

CLAMPED = frozenset({"limit", "after"})
"""Numbers that may be as large as a caller likes: the adapters take the largest that they can."""
_BITS_64 = range(-(1 << 63), 1 << 63)


def checks_arguments(*, unless: frozenset[str] = frozenset(), unicode_only: bool = False) -> Callable[[type[T]], type[T]]:
    """Have the public methods of an adapter refuse arguments that their hints rule out, but for the methods named in `unless`.

    Those check for themselves: they are called for every step. With `unicode_only` a text with a lone surrogate is refused
    too; elsewhere it is looked for, and not found.
    """

    def decorate(adapter: type[T]) -> type[T]:
        """Wrap the methods in place."""
        for name, method in list(vars(adapter).items()):
            if not name.startswith("_") and name not in unless and inspect.iscoroutinefunction(method):
                setattr(adapter, name, _checked(method, unicode_only=unicode_only))
        return adapter

    return decorate


def _checked(method: Callable[..., Awaitable[Any]], *, unicode_only: bool) -> Callable[..., Awaitable[Any]]:
    parameters = list(inspect.signature(method).parameters.values())[1:]
    checks = {p.name: check for p in parameters if (check := _check_of(p.annotation, unicode_only=unicode_only)) is not None}
    by_place = [(p.name, checks.get(p.name)) for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]

    @functools.wraps(method)
    async def checked(self: Any, *args: Any, **kwargs: Any) -> Any:
        """Check, then do."""
        for value, (name, check) in zip(args, by_place, strict=False):  # too many: the method itself says so
            if check is not None:
                check(value, name)
        for name, value in kwargs.items():
            if name in checks:
                checks[name](value, name)
        return await method(self, *args, **kwargs)

    return checked


def _check_of(hint: Any, *, unicode_only: bool) -> Check | None:
    """Return the check for a parameter's hint; None where the hint says too little."""
    texts = _unicode if unicode_only else _text
    kinds: dict[Any, Check] = {str: texts, int: _whole, bool: _truth, datetime: _moment, Path: _path}
    kinds |= {kind: functools.partial(_value, kind) for kind in (Trace, Step, Experience, Skill)}
    for kind, check in kinds.items():
        if hint == kind:
            return check
        if hint == kind | None:
            return functools.partial(_or_none, check)
    return None


def _or_none(check: Check, value: Any, name: str) -> None:
    if value is not None:
        check(value, name)


def _text(value: Any, name: str) -> None:
    if not isinstance(value, str):
        raise BadInput(f"{name} is {value!r:.100}: it is to be text")


def _unicode(value: Any, name: str) -> None:
    _text(value, name)
    if not value.isascii() and not is_unicode(value):
        raise BadInput(f"{name} {value!r:.100} holds half a character (a lone surrogate): nothing is called so")


def _whole(value: Any, name: str) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadInput(f"{name} is {value!r:.100}: it is to be a whole number")
    if name not in CLAMPED and value not in _BITS_64:
        raise BadInput(f"{name} is a number of {value.bit_length()} bits: no trace has one so large")


def _truth(value: Any, name: str) -> None:
    if not isinstance(value, bool):
        raise BadInput(f"{name} is {value!r:.100}: it is to be True or False")


def _moment(value: Any, name: str) -> None:
    if not isinstance(value, datetime):
        raise BadInput(f"{name} is {value!r:.100}: it is to be a datetime")


def _path(value: Any, name: str) -> None:
    try:
        is_one = isinstance(value, str | Path) and b"\0" not in os.fsencode(value)
    except UnicodeEncodeError:
        is_one = False
    if not is_one:
        raise BadInput(f"{name} is {value!r:.100}: it is to be the path of a file")


def _value(kind: type, value: Any, name: str) -> None:
    if not isinstance(value, kind):
        raise BadInput(f"{name} is {value!r:.100}: it is to be a {kind.__name__}")
