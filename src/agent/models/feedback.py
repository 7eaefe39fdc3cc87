"""What somebody said of a step, as it stands after all that was changed in it."""

from datetime import datetime
from typing import Any

import msgspec

from agent.models.value import Value


class FeedbackGiven(Value, frozen=True, kw_only=True):
    """A feedback. `feedback_id` is the step in which it was first given."""

    feedback_id: str
    trace_id: str
    sequence: int  # of that step
    target_step_id: str
    feedback_type: str  # positive, negative, correction
    content: str
    corrected: Any = None
    by: str | None = None  # of the last version
    given_at: datetime
    changed_at: datetime
    versions: int = 1
    is_revoked: bool = False
    experience_id: str | None = None  # what came of it last

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data; moments as ISO 8601."""
        data: dict[str, Any] = msgspec.to_builtins(self)
        return data
