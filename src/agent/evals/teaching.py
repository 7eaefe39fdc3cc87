"""What an agent is told after a task: the scorer's word, and what a person would say of a wrong answer."""

from collections.abc import Sequence
from typing import Any

from agent.evals.scorers import PASS, Finished, Score
from agent.evals.tasks import Task
from agent.models.payloads import OutcomeGiven
from agent.models.trace import Step
from agent.runner import AgentRunner


async def teach(runner: AgentRunner, run: Finished, task: Task, score: Score, *, by: str, uid: str, may_correct: bool) -> bool:
    """Record a run's score as its outcome and, where it is wrong, the correction that the set has; return whether there is one on the record.

    What is on the record already is not said twice. Returns when memory has learnt from it, so that the next run may profit.
    """
    if score.value is None:
        return False
    if not _has_said(run.steps, "outcome", by):
        await runner.feedback.outcome(run.trace_id, OutcomeGiven(value=score.value, by=by, signal="score"), uid=uid)
    is_corrected = may_correct and score.value < PASS and await _correct(runner, run, task, by, uid)
    if runner.memory is not None:
        await runner.memory.learn(run.trace_id, uid=uid)
    return is_corrected


async def _correct(runner: AgentRunner, run: Finished, task: Task, by: str, uid: str) -> bool:
    target = _target(run.steps, task)
    if target is None or (task.correction is None and task.corrected is None):
        return False
    if not _has_said(run.steps, "feedback", by):
        await runner.add_feedback(run.trace_id, target.step_id, "correction", task.correction or "", by=by, corrected=task.corrected, uid=uid)
    return True


def _has_said(steps: Sequence[Step], step_type: str, by: str) -> bool:
    return any(step.step_type == step_type and step.data.get("by") == by for step in steps)


def _target(steps: Sequence[Step], task: Task) -> Step | None:
    """Return the step that a correction speaks of: the first call, where it is about a call, else the answer."""
    is_of_a_call = task.scorer.kind == "tool" or _names_a_tool(task.corrected)
    call = next((step for step in steps if step.step_type == "tool_call"), None)
    answer = next((step for step in reversed(steps) if step.step_type in ("conclusion", "llm_call")), None)
    return call if is_of_a_call and call is not None else answer


def _names_a_tool(corrected: Any) -> bool:
    return isinstance(corrected, dict) and isinstance(corrected.get("tool_name"), str)
