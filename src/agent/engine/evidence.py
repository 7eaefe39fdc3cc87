"""What people decided in the past, read back from the log."""

from collections.abc import Iterator, Sequence
from typing import Any

import agent.models.payloads as said
from agent.core.calls import calls_of, loose_arguments
from agent.core.learning import PastDecision
from agent.engine.rulebook import is_signed_by_rule
from agent.models.digest import canonical_hash
from agent.models.payloads import payload_of
from agent.models.trace import Step
from agent.storage.protocols import TraceLog

MAX_RUNS = 2_000
"""The newest runs of a uid whose decisions are looked at."""

PAGE = 200  # runs that are listed at once
EVIDENT = ("confirmation", "manual")  # what a rule could have decided


async def past_decisions(log: TraceLog, uid: str, *, max_runs: int = MAX_RUNS) -> list[PastDecision]:
    """Return people's decisions on calls in the newest runs of a uid, each once, oldest first.

    Not among them: what expired, and what a rule decided.
    """
    found: dict[str, PastDecision] = {}
    before: str | None = None
    left = max_runs
    while left > 0 and (page := await log.list_traces(uid=uid, limit=min(PAGE, left), before=before)):
        for trace in page:
            for step_id, decision in decisions_in(await log.read_steps(trace.trace_id)):
                found.setdefault(step_id, decision)  # a fork shows those it inherits as well
        left -= len(page)
        before = page[-1].trace_id
    return sorted(found.values(), key=lambda decision: decision.decided_at)


def decisions_in(steps: Sequence[Step]) -> Iterator[tuple[str, PastDecision]]:
    """Yield the step id and the meaning of each decision of a person in a run."""
    raw: dict[str, Any] = {}
    requests: dict[str, said.ApprovalRequested] = {}
    for step in steps:
        payload = payload_of(step)
        if isinstance(payload, said.LlmCall):
            raw.update({call.call_id: call.raw_arguments for call in calls_of(payload.tool_calls, step.sequence)})
        elif isinstance(payload, said.ApprovalRequested):
            requests[payload.call_id] = payload
        elif isinstance(payload, said.ApprovalDecided) and (request := requests.pop(payload.call_id, None)) is not None:
            decision = _decision(step, payload, request, raw.get(payload.call_id))
            if decision is not None:
                yield step.step_id, decision


def _decision(step: Step, decided: said.ApprovalDecided, request: said.ApprovalRequested, raw: Any) -> PastDecision | None:
    """Return what a person said; None where nobody did, or where it says nothing about a rule."""
    if decided.verdict == "expired" or is_signed_by_rule(decided.by):
        return None
    arguments = request.arguments if request.arguments is not None else loose_arguments(raw)
    is_approved = decided.verdict == "approve"
    is_exact = request.arguments is None and canonical_hash(arguments) == request.args_hash
    if is_approved and not (is_exact and request.reason in EVIDENT):
        return None  # agreed to for another reason, or not readable as it was: it speaks for nothing
    return PastDecision(
        tool_name=request.tool_name,
        schema_hash=request.schema_hash,
        arguments=arguments,
        is_approved=is_approved,
        trace_id=step.trace_id,
        decided_at=step.created_at,
        by=decided.by or "",
        call_id=decided.call_id,
        verdict=decided.verdict,
    )
