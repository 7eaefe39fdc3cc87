"""The base of immutable values: compact, quick to make, compared by content."""

import msgspec


class Value(msgspec.Struct, frozen=True):
    """A value that never changes; see docs/decisions/0001-structs.md for why not a dataclass.

    Subclasses that are made by the thousand say `gc=False`: they never hold a reference to themselves, so the collector
    need not look at them.
    """


replace = msgspec.structs.replace
"""`replace(value, field=…)` returns a copy of a value with changes. The function itself: a run makes several copies a step."""
