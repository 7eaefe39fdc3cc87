"""What an agent is told after a task: the scorer's word, and what a person would say of a wrong answer."""

from collections.abc import Sequence
from typing import Any

from agent.evals.scorers import PASS, Finished, Score
from agent.evals.tasks import Task
from agent.models.trace import Step
from agent.runner import AgentRunner


async def teach(runner: AgentRunner, run: Finished, task: Task, score: Score, *, by: str, may_correct: bool) -> bool:
    """Record a run's score as its outcome and, where it is wrong, the correction that the set has; return whether that is on the record.

    What is on the record already is not said twice.
    """
    if score.value is None:
        return False
    if not may_correct or score.value >= PASS or (task.correction is None and task.corrected is None):
        return False
    target = _target(run.steps, task)
    if target is None:
        return False
    if not _has_feedback(run.steps, by):
        await runner.add_feedback(run.trace_id, target.step_id, "correction", task.correction or "", by=by, corrected=task.corrected)
    return True


def _has_feedback(steps: Sequence[Step], by: str) -> bool:
    """Return whether it was said before, and all of it: a crash may have cut off what follows from it, which saying it again finishes."""
    said = {step.step_id for step in steps if step.step_type == "feedback" and step.data.get("by") == by}
    return any(step.step_type == "memory_write" and said & set(step.parent_ids) for step in steps)


def _target(steps: Sequence[Step], task: Task) -> Step | None:
    """Return the step that a correction speaks of: the first call, where it is about a call, else the answer."""
    is_of_a_call = task.scorer.kind == "tool" or _names_a_tool(task.corrected)
    call = next((step for step in steps if step.step_type == "tool_call"), None)
    answer = next((step for step in reversed(steps) if step.step_type in ("conclusion", "llm_call")), None)
    return call if is_of_a_call and call is not None else answer


def _names_a_tool(corrected: Any) -> bool:
    return isinstance(corrected, dict) and isinstance(corrected.get("tool_name"), str)
