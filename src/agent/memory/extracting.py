"""From a person's words to a rule: as they stand, or worded by a model, or by a caller's own function."""

import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from agent.core.lessons import Lesson, least
from agent.core.wording import wording
from agent.llm.contract import LLMCall
from agent.models.json_text import object_of
from agent.models.message import system_message, user_message
from agent.models.value import Value
from agent.storage.unicode import is_unicode

logger = logging.getLogger("agent")
MAX_CONDITION = 300
"""Characters of a condition that a model may propose; what is longer is refused."""
MAX_RULE = 1_000
"""The same of a rule."""
MAX_STEP_CHARS = 4_000
"""Of the step that a model is shown."""
KINDS = ("do", "dont", "preference")
SCOPES = ("agent", "user")


class ExtractionRequest(Value, frozen=True, kw_only=True):
    """What an extractor gets: the words, and what they are about."""

    task: str
    step: str  # what the step said, as text
    words: str  # what the person said; with what would have been right, where they said that
    kind: str  # correction, negative, rejected, edited
    language: str
    rule: str  # as it would be told without an extractor


class Extraction(Value, frozen=True, kw_only=True):
    """What an extractor proposes. What is left out stays as the person said it."""

    rule: str
    condition: str | None = None
    kind: str | None = None
    scope: str | None = None  # agent, user
    is_by_model: bool = True  # it starts in the shadow
    usage: dict[str, Any] = {}  # model, prompt_tokens, completion_tokens, cost


Extractor: TypeAlias = Callable[[ExtractionRequest], "Extraction | Awaitable[Extraction]"]


def checked(found: Any) -> Extraction:
    """Return an extraction that can be recorded.

    Raises:
        TypeError, ValueError: it is none; says why.
    """
    if not isinstance(found, Extraction):
        raise TypeError(f"an extractor returns an Extraction, not {type(found).__name__}")
    for name, text, most in (("rule", found.rule, MAX_RULE), ("condition", found.condition, MAX_CONDITION)):
        if text is None and name == "condition":
            continue
        if not isinstance(text, str) or not text.strip() or len(text) > most or not is_unicode(text):
            raise ValueError(f"{name} is to be text of 1 to {most} characters, not {text!r:.80}")
    if found.kind not in (None, *KINDS) or found.scope not in (None, *SCOPES):
        raise ValueError(f"kind is one of {', '.join(KINDS)}, scope one of {', '.join(SCOPES)}; not {found.kind!r:.40}, {found.scope!r:.40}")
    return found


async def by_function(extractor: Extractor, request: ExtractionRequest) -> Extraction:
    """Return what a caller's own extractor proposes.

    Raises:
        Exception: whatever it raised.
    """
    found = extractor(request)
    return checked(await found if inspect.isawaitable(found) else found)


async def by_model(model: LLMCall | None, name: str, request: ExtractionRequest) -> Extraction:
    """Return what a model makes of a person's words.

    Raises:
        TypeError, ValueError: its answer cannot be used; says why.
        Exception: whatever the model raised.
    """
    if model is None:
        raise ValueError("no model is there to ask: give the runner an llm_call")
    words = {"task": request.task, "step": request.step[:MAX_STEP_CHARS], "kind": request.kind, "words": request.words}
    messages = [system_message(wording("extract_system", request.language)), user_message(wording("extract_task", request.language, **words))]
    reply = await model(messages=messages, model=name, tools=None)
    if not isinstance(reply, dict):
        raise TypeError("the model gave no reply")
    text = str(reply.get("content") or "")
    told = object_of(text[text.find("{") : text.rfind("}") + 1])
    if told is None:
        raise ValueError(f"the model's answer is no JSON object: {text!r:.80}")
    usage = {"model": name, **{key: reply.get(key) for key in ("prompt_tokens", "completion_tokens", "cost")}}
    found = Extraction(rule=told.get("rule", ""), condition=told.get("condition"), kind=told.get("kind"), scope=told.get("scope"), usage=usage)
    return checked(found)


def trust_of(lesson: Lesson, *, is_tainted: bool) -> str:
    """Return how far a rule is to be trusted that a model worded: it has read the step, and what that rests on."""
    return least(lesson.trust, "web" if is_tainted else "model")
