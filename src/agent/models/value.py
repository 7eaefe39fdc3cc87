"""The base of immutable values: compact, quick to make, compared by content."""

from typing import Any, TypeVar

import msgspec

V = TypeVar("V", bound="Value")


class Value(msgspec.Struct, frozen=True):
    """A value that never changes; see docs/decisions/0001-structs.md for why not a dataclass.

    Subclasses that are made by the thousand say `gc=False`: they never hold a reference to themselves, so the collector
    need not look at them.
    """


def replace(value: V, **changes: Any) -> V:
    """Return a copy of `value` with `changes`."""
    return msgspec.structs.replace(value, **changes)
