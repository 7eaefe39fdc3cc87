"""Feedback from the command line."""

from collections.abc import Mapping
from typing import Literal

from agent.cli.one_step import find_step
from agent.cli.outlet import say_json, tell
from agent.cli.place import Place, find_trace, opened
from agent.errors import BadInput
from agent.models.trace import Step, Trace
from agent.runner import AgentRunner
from agent.storage.protocols import TraceLog

Kind = Literal["positive", "negative", "correction"]
PAGE = 50  # steps read at once while the last answer is looked for


async def add_feedback(place: Place, target: str, opinions: Mapping[Kind, str | None], *, by: str | None, is_learning: bool, is_json: bool) -> None:
    """Record one opinion on a step, or on a run's answer.

    Raises:
        BadInput: no opinion, or several; or the run has no answer yet.
        TraceNotFound, StepNotFound: there is nothing of this id.
    """
    given = [(kind, text) for kind, text in opinions.items() if text is not None]
    if len(given) != 1:
        raise BadInput('say one of --positive "…", --negative "…" or --correction "…"')
    kind, text = given[0]
    async with opened(place) as store, AgentRunner(store.traces, store.memories) as runner:
        trace, step = await (find_step(store.traces, target, place.uid) if "/" in target else _answer(store.traces, target, place.uid))
        experience = await runner.add_feedback(trace.trace_id, step.step_id, kind, text, is_learning, by=by, uid=place.uid)
    if is_json:
        say_json({"trace_id": trace.trace_id, "step_id": step.step_id, "experience_id": experience})
        return
    tell(f"recorded on step {step.sequence} of run {trace.trace_id}")
    if experience is not None:
        tell(f"learnt as {experience}: later runs of this agent are told where it fits")


async def _answer(log: TraceLog, wanted: str, uid: str) -> tuple[Trace, Step]:
    """Return a run with its last answer, or else its last model or tool call."""
    trace = await find_trace(log, wanted, uid)
    upto, fallback = (await log.head(trace.trace_id)).next_sequence, None
    while upto > 0:
        begin = max(0, upto - PAGE)
        for step in reversed(await log.get_steps(trace.trace_id, after=begin - 1, limit=upto - begin, uid=uid)):
            if step.step_type == "conclusion":
                return trace, step
            fallback = fallback or (step if step.step_type in ("llm_call", "tool_call") else None)
        upto = begin
    if fallback is None:
        raise BadInput(f"run {trace.trace_id} has no answer yet: name a step of it, as in {trace.trace_id}/0; `seasoned runs show` lists them")
    return trace, fallback
