"""A model as a judge of answers: its grade is a number and a reason, on the record like any model call."""

import html
from typing import Any

from agent.core.wording import wording
from agent.errors import OutputInvalid
from agent.evals.scorers import MAX_WHY_CHARS, Finished, Judge, Score
from agent.runner import AgentRunner
from agent.tools.json_text import encode_json

MAX_SHOWN_CHARS = 50_000
"""Characters of an answer, a task, or what was expected, that a judge is shown."""
GRADE: dict[str, Any] = {
    "type": "object",
    "properties": {"why": {"type": "string"}, "score": {"type": "number", "minimum": 0, "maximum": 1}},
    "required": ["why", "score"],
    "additionalProperties": False,
}
"""What a judge replies; the reason first, so that the number follows from it."""


def judge_of(runner: AgentRunner, model: str, *, uid: str, language: str = "en", **settings: Any) -> Judge:
    """Return a judge that asks `model` through `runner`; its calls are traces of `uid`."""

    async def judge(run: Finished, rubric: str) -> Score:
        """Return the grade; one that does not fit, however often it was asked for, is none."""
        asked = wording(
            "judge_task",
            language,
            task=_shown(run.task),
            expected=_shown(str(run.expected) if run.expected is not None else "–"),
            calls=_shown("\n".join(f"{name} {encode_json(arguments).decode()}" for name, arguments in run.calls) or "–"),
            answer=_shown(run.answer),
            rubric=rubric or wording("judge_rubric", language),
        )
        messages = [{"role": "system", "content": wording("judge_system", language)}, {"role": "user", "content": asked}]
        try:
            result = await runner.call(messages, model, uid=uid, output_type=GRADE, **settings)
        except OutputInvalid as error:
            return Score(None, f"the judge gave no grade: {error}"[:MAX_WHY_CHARS])
        return Score(float(result.output["score"]), str(result.output["why"])[:MAX_WHY_CHARS])

    return judge


def _shown(text: str) -> str:
    """Return a text that cannot close the tag it stands in."""
    return html.escape(text[:MAX_SHOWN_CHARS], quote=False)
