"""What a watcher of a run is told."""

from typing import Any, Literal

from agent.models.value import Value

EventType = Literal[
    "trace_started",
    "memory_loaded",
    "step_started",
    "token",
    "llm_call_completed",
    "awaiting_user_action",
    "approval_decided",
    "tool_executing",
    "tool_result",
    "compacted",
    "conclusion",
    "trace_completed",
    "limit_reached",
    "trace_cancelled",
    "trace_paused",
    "trace_waiting",
    "trace_failed",
]

ENDINGS = frozenset({"trace_completed", "limit_reached", "trace_cancelled", "trace_paused", "trace_waiting", "trace_failed"})


class AgentEvent(Value, frozen=True, gc=False):
    """One thing that happened; `data` always names the `trace_id`.

    `type` is an open set for readers: a name you do not know is to be passed over.
    """

    type: str
    data: dict[str, Any]

    @property
    def is_ending(self) -> bool:
        """Whether nothing follows in this stream."""
        return self.type in ENDINGS
