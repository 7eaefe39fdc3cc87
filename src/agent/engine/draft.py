"""Steps in the making: numbered, parented, and folded once each."""

import agent.models.payloads as said
from agent.clock import now
from agent.core.decide import expired_calls
from agent.core.fold import advance
from agent.core.state import RunState
from agent.errors import ModelRejected
from agent.models.payloads import Payload
from agent.models.trace import Step, step_id_of


class Draft:
    """Steps to be appended together, and the state after each. With `status` the run ends or parks in the same commit."""

    __slots__ = ("_at", "_epoch", "_trace_id", "state", "states", "status", "steps")

    def __init__(self, trace_id: str, epoch: int, state: RunState) -> None:
        self.state = state
        self.steps: list[Step] = []
        self.states: list[RunState] = []
        self.status: str | None = None
        self._trace_id, self._epoch, self._at = trace_id, epoch, now()

    def add(self, payload: Payload, *parents: str) -> None:
        """Put one more step at the end."""
        sequence = self.state.next_sequence
        step = Step(step_id_of(self._trace_id, sequence), self._trace_id, payload.step_type, sequence, parents, payload.to_data(), self._at, self._epoch)
        self.state = advance(self.state, step)
        if payload.step_type == "llm_call" and self.state.turn_id != step.step_id:
            raise ModelRejected("the model's reply cannot be read back as it would be recorded")  # asked again, it would be asked for ever
        self.steps.append(step)
        self.states.append(self.state)


def expire(draft: Draft) -> None:
    """Close the requests whose time is over: fails closed, and is on the record."""
    for call in expired_calls(draft.state, now().timestamp()):
        assert call.request is not None
        draft.add(
            said.ApprovalDecided(call_id=call.call.call_id, verdict="expired", args_hash=call.request.args_hash),
            *([call.request_id] if call.request_id else []),
        )
