"""Two lessons that get in each other's way."""

from typing import Any, Literal

import msgspec

from agent.models.memory import Experience
from agent.models.value import Value


class Conflict(Value, frozen=True, kw_only=True):
    """Two experiences of one owner and scope. `superseded`: the newer took the older's place. `merge`: they say nearly the same, and `proposal` is both."""

    conflict_id: str
    kind: Literal["merge", "superseded"]
    older: Experience
    newer: Experience
    proposal: Experience | None = None
    diff: str  # lines that begin with "- " (the older), "+ " (the newer), "  " (both)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data; moments as ISO 8601."""
        data: dict[str, Any] = msgspec.to_builtins(self)
        return data
