"""Steps in the making: numbered, parented, and folded once each."""

import agent.models.payloads as said
from agent.clock import now
from agent.core.decide import expired_calls
from agent.core.fold import advance
from agent.core.state import RunState
from agent.errors import ModelRejected
from agent.models.payloads import Other, Payload, payload_of
from agent.models.trace import Step, step_id_of

_FLAT = frozenset({"tool_started", "tool_call"})  # what state and watchers take from these is text and numbers: nobody can change it


class Draft:
    """Steps to be appended together, and the state after each. With `status` the run ends or parks in the same commit."""

    __slots__ = ("_at", "_epoch", "_trace_id", "state", "status", "steps", "told")

    def __init__(self, trace_id: str, epoch: int, state: RunState) -> None:
        self.state = state
        self.steps: list[Step] = []
        self.told: list[tuple[Step, RunState, Payload]] = []  # each step with the state after it, for those who watch
        self.status: str | None = None
        self._trace_id, self._epoch, self._at = trace_id, epoch, now()

    def add(self, payload: Payload, *parents: str) -> None:
        """Put one more step at the end."""
        sequence = self.state.next_sequence
        kind, trace_id = payload.step_type, self._trace_id
        step = Step(step_id_of(trace_id, sequence), trace_id, kind, sequence, parents, payload.to_data(), self._at, self._epoch)
        if kind not in _FLAT:
            payload = payload_of(step)  # as it will be read back, with nothing in it that somebody else can change
        self.state = state = advance(self.state, step, payload if type(payload) is not Other else None)
        if kind == "llm_call" and state.turn_id != step.step_id:
            raise ModelRejected("the model's reply cannot be read back as it would be recorded")  # asked again, it would be asked for ever
        self.steps.append(step)
        self.told.append((step, state, payload))


def expire(draft: Draft) -> None:
    """Close the requests whose time is over: fails closed, and is on the record."""
    for call in expired_calls(draft.state, now().timestamp()):
        assert call.request is not None
        draft.add(
            said.ApprovalDecided(call_id=call.call.call_id, verdict="expired", args_hash=call.request.args_hash),
            *([call.request_id] if call.request_id else []),
        )
