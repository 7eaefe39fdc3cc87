"""A skill of several experiences that a model puts into order: it names and groups, and the rules stay in the people's words."""

import logging
from collections.abc import Sequence
from typing import Any

from agent.core.wording import wording
from agent.llm.contract import LLMCall
from agent.models.json_text import object_of
from agent.models.memory import Experience, Skill
from agent.models.message import system_message, user_message
from agent.models.value import replace
from agent.skills.distilling import MAX_TITLE_CHARS, Outline, Rule, distill, outline_of, rules_of
from agent.skills.rules import MAX_DESCRIPTION_CHARS, slug

logger = logging.getLogger("agent")
MAX_SECTIONS = 50
"""Sections that a model may propose."""


async def distill_with(model: LLMCall, model_name: str, experiences: Sequence[Experience], *, name: str | None = None, language: str = "en") -> Skill:
    """Return what `distill` returns, laid out by a model. Where its answer cannot be used, laid out as without one.

    What the model leaves out is put at the end; it can neither change a rule nor add one.

    Raises:
        BadInput: a skill cannot be made of these.
        Exception: whatever the model raised.
    """
    rules = rules_of(experiences)
    told = "\n".join(f"{number}. [{rule.condition}] {rule.kind}: {rule.text}" for number, rule in enumerate(rules, 1))
    messages = [system_message(wording("distill_system", language)), user_message(wording("distill_task", language, rules=told))]
    reply = await model(messages=messages, model=model_name, tools=None)
    text = str(reply.get("content") or "") if isinstance(reply, dict) else ""
    try:
        outline = replace(_read(text, rules, language), model=model_name)
    except (TypeError, ValueError) as error:
        logger.warning("the model's layout cannot be used, the skill is laid out without it: %s", error)
        outline = outline_of(rules, language)
    return distill(experiences, name=name, language=language, outline=outline)


def _read(text: str, rules: Sequence[Rule], language: str) -> Outline:
    """Return the layout that a model's answer proposes.

    Raises:
        TypeError, ValueError: it is none; says why.
    """
    told = object_of(text[text.find("{") : text.rfind("}") + 1])
    if told is None:
        raise ValueError(f"the answer is no JSON object: {text!r:.80}")
    description = told.get("description")
    if not isinstance(description, str) or not 0 < len(description.strip()) <= MAX_DESCRIPTION_CHARS:
        raise ValueError(f"the description is to be text of 1 to {MAX_DESCRIPTION_CHARS} characters")
    given = told.get("sections")
    if not isinstance(given, list) or not 0 < len(given) <= MAX_SECTIONS:
        raise ValueError(f"there are to be 1 to {MAX_SECTIONS} sections")
    left = dict.fromkeys(range(len(rules)))
    sections = [section for one in given if (section := _section(one, left))[1]]
    if left:
        sections.append((wording("distilled_other", language), tuple(left)))
    name = told.get("name")
    return Outline(name=slug(name) if isinstance(name, str) else None, description=description.strip(), sections=tuple(sections))


def _section(given: Any, left: dict[int, None]) -> tuple[str, tuple[int, ...]]:
    """Return a section with its rules, as far as none had them before; they are taken out of those that are `left`."""
    title, numbers = given.get("title") if isinstance(given, dict) else None, given.get("rules") if isinstance(given, dict) else None
    if not isinstance(title, str) or not title.strip() or not isinstance(numbers, list):
        raise TypeError(f"a section is to have a title and a list of rules, not {given!r:.80}")
    places = [number - 1 for number in dict.fromkeys(n for n in numbers if type(n) is int) if number - 1 in left]
    for place in places:
        del left[place]
    return " ".join(title.split())[:MAX_TITLE_CHARS].lstrip("#").strip() or "…", tuple(places)
