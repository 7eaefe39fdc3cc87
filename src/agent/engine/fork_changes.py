"""What is changed where a run is forked: checked, and in the form in which the fork's first step keeps it."""

from collections.abc import Mapping, Sequence
from typing import Any

import agent.models.payloads as said
from agent.core.fold import advance
from agent.core.forking import parts_of
from agent.core.memory_block import block_of
from agent.core.state import RunState
from agent.engine.beginning import checked_messages, checked_task, refuse_blank, system_and_messages
from agent.engine.shop import Shop
from agent.errors import BadInput, ExperienceNotFound
from agent.models.memory import Experience, Skill
from agent.models.payloads import payload_of
from agent.models.trace import Step
from agent.storage.protocols import MemoryCurator
from agent.tools.invoke import to_text

CHANGES = ("task", "messages", "system_prompt", "model", "tools", "memory", "exclude_memory", "include_memory", "result")
"""What can be changed about a run where it is forked."""
MAX_RESULT_CHARS = 1_000_000
"""Characters of an edited tool result."""


async def checked_fork_changes(
    shop: Shop, kept: Sequence[Step], state: RunState, before: RunState, changes: Mapping[str, Any], *, uid: str | None
) -> dict[str, Any]:
    """Return the changes of a fork as its first step keeps them; `state` is the one after the steps that are `kept`, `before` that before them.

    Raises:
        BadInput: there is no such change, or what it changes is not among what is kept.
        ToolNotFound, ExperienceNotFound: what it names is not there.
    """
    unknown = sorted(set(changes) - set(CHANGES))
    if unknown:
        raise BadInput(f"a fork cannot change {', '.join(unknown)}; it can change {', '.join(CHANGES)}")
    if changes and (state.reply is not None or state.status == "completed"):
        answer = state.turn_sequence
        raise BadInput(f"the run had its answer by step {answer}: what is changed after it would change nothing. Fork at step {answer - 1} or before")
    stored = {**_input(shop, state, changes), **await _memory(shop, state, changes, uid)}
    if "result" in changes:
        stored["result"] = _results(shop, kept, state, before, changes["result"])
    parts = parts_of(state)
    if {"task", "messages", "system", "memory"} & stored.keys() and (parts is None or (parts.given is None and "messages" in stored)):
        raise BadInput("what is to be changed is not among the messages any more (they were summarised): fork at an earlier step")
    return stored


def _input(shop: Shop, state: RunState, changes: Mapping[str, Any]) -> dict[str, Any]:
    stored: dict[str, Any] = {}
    if "task" in changes:
        refuse_blank(changes["task"])
        stored["task"] = checked_task(changes["task"], shop.redactor, shop.config)
    if "system_prompt" in changes:
        if changes["system_prompt"] is not None and not isinstance(changes["system_prompt"], str):
            raise BadInput(f"system_prompt must be text or None, not {changes['system_prompt']!r:.100}")
        stored["system"] = shop.redactor.text(changes["system_prompt"]) if changes["system_prompt"] else None
    if "messages" in changes:
        stored.update(_messages(shop, state, changes))
    if "model" in changes:
        if not isinstance(changes["model"], str) or not changes["model"]:
            raise BadInput(f"model must be the name of one, not {changes['model']!r:.100}")
        stored["model"] = changes["model"]
    if "tools" in changes:
        stored.update(_tools(shop, changes["tools"]))
    return stored


def _messages(shop: Shop, state: RunState, changes: Mapping[str, Any]) -> dict[str, Any]:
    given = changes["messages"]
    if given is not None and (isinstance(given, str | bytes | Mapping) or not isinstance(given, Sequence)):
        raise BadInput(f"messages must be a list or None, not {given!r:.100}")
    system, messages = system_and_messages(changes.get("system_prompt"), checked_messages(given, shop.redactor), shop.redactor)
    parts = parts_of(state)
    taken = {call["id"] for message in (*parts.earlier, *parts.rest) for call in message.get("tool_calls") or ()} if parts is not None else set()
    used = sorted(call["id"] for message in messages for call in message.get("tool_calls") or () if call["id"] in taken)
    if used:
        raise BadInput(f"messages have a tool call with the id {used[0]!r}, which a call of the run has already: give it another one")
    return {"messages": messages, **({"system": system} if system is not None else {})}


def _tools(shop: Shop, given: Any) -> dict[str, Any]:
    if given is not None and (isinstance(given, str) or not isinstance(given, Sequence) or not all(isinstance(name, str) for name in given)):
        raise BadInput(f"tools must be a list of names or None, not {given!r:.100}")
    names = list(dict.fromkeys(given or ()))
    return {"tools": names or None, "schemas": shop.tools.get_schemas(names) if names else []}


# ---- memory


async def _memory(shop: Shop, state: RunState, changes: Mapping[str, Any], uid: str | None) -> dict[str, Any]:
    """Return what memory is taken to have given: `memory` in its place, without what `exclude_memory` names, and with `include_memory` besides."""
    if not {"memory", "exclude_memory", "include_memory"} & changes.keys():
        return {}
    given, excluded = changes.get("memory"), _ids(changes.get("exclude_memory"), "exclude_memory")
    included = _list(changes.get("include_memory") or [], "include_memory")
    if "memory" in changes and (given is None or given is False):
        if excluded or included:
            raise BadInput(f"memory={given} drops all of it: exclude_memory and include_memory go with what memory gave, or with a list")
        return {"memory": None}
    read = state.memory
    if "memory" not in changes and read is None:
        raise BadInput("memory was not read yet where the run is forked: fork at its memory_read step, or after it")
    known, advice = _known(read), _advice(read) if "memory" not in changes else {}
    items = list(known.values()) if "memory" not in changes else [await _item(shop, known, item, uid) for item in _list(given)]
    items += [item for one in included if _id_of(item := await _item(shop, known, one, uid)) not in map(_id_of, items)]
    for item_id in excluded:
        if item_id not in known and item_id not in _tools_of(advice) and not any(_id_of(item) == item_id for item in items):
            raise BadInput(f"memory gave the run nothing with the id {item_id!r}; it gave {', '.join([*_tools_of(advice), *known]) or 'nothing'}")
    if set(excluded) & set(_tools_of(advice)):
        advice = {}
    return {"memory": _rendered(shop, state, [item for item in items if _id_of(item) not in excluded], advice).to_data()}


def _ids(given: Any, what: str) -> list[str]:
    if given is None:
        return []
    if isinstance(given, str) or not isinstance(given, Sequence | set | frozenset) or not all(isinstance(item, str) for item in given):
        raise BadInput(f"{what} must be a list of ids, not {given!r:.100}")
    return list(given)


def _list(given: Any, what: str = "memory") -> list[Any]:
    if not isinstance(given, list | tuple):
        raise BadInput(f"{what} must be None or a list of experiences, skills or ids of them, not {given!r:.100}")
    return list(given)


def _known(read: said.MemoryRead | None) -> dict[str, Experience | Skill]:
    """Return what memory gave to the run, by id."""
    skills = [Skill.from_dict(skill) for skill in read.skills] if read is not None else []
    experiences = [Experience.from_dict(experience) for experience in read.experiences] if read is not None else []
    return {**{skill.skill_id: skill for skill in skills}, **{experience.experience_id: experience for experience in experiences}}


def _advice(read: said.MemoryRead | None) -> dict[str, Any]:
    """Return the advice that the run was told."""
    return read.advice if read is not None and read.arm == "injected" else {}


def _tools_of(advice: Mapping[str, Any]) -> list[str]:
    """Return the ids of what advice is about, one for each tool."""
    records = advice.get("records")
    return [str(record.get("item_id")) for record in records if isinstance(record, dict)] if isinstance(records, list) else []


def _id_of(item: Experience | Skill) -> str:
    return item.skill_id if isinstance(item, Skill) else item.experience_id


async def _item(shop: Shop, known: Mapping[str, Experience | Skill], given: Any, uid: str | None) -> Experience | Skill:
    if isinstance(given, Experience | Skill):
        if given.uid not in (None, uid):
            raise BadInput(f"{_id_of(given)!r} belongs to another uid: it is not told to this one's run")
        return given
    if not isinstance(given, str):
        raise BadInput(f"memory has {given!r:.100} in it: give experiences, skills, or their ids")
    if given in known:
        return known[given]
    found = await shop.memories.get(given, uid=uid) if isinstance(shop.memories, MemoryCurator) else None
    if found is None:
        raise ExperienceNotFound(given, "give an id that memory has, or the experience itself")
    return found


def _rendered(shop: Shop, state: RunState, items: Sequence[Experience | Skill], advice: dict[str, Any]) -> said.MemoryRead:
    asked = state.input
    assert asked is not None
    skills = [i.as_told(shop.config.skill_whole_chars if shop.config.offer_skills else None) for i in items if isinstance(i, Skill)]
    experiences = [i for i in items if isinstance(i, Experience)]
    block = block_of(
        skills,
        experiences,
        language=asked.language,
        placement=asked.memory_placement,
        max_chars=shop.config.memory_max_chars,
        max_rule_chars=shop.config.memory_max_rule_chars,
        advice=str(advice.get("text", "")),
    )
    return said.MemoryRead(
        skills_count=len(skills),
        experiences_count=len(experiences),
        skills=[skill.to_dict() for skill in skills],
        experiences=[experience.to_dict() for experience in experiences],
        block=shop.redactor.text(block),
        advice=advice,
        arm="injected" if advice else "none",
    )


# ---- results


def _results(shop: Shop, kept: Sequence[Step], state: RunState, before: RunState, given: Any) -> dict[str, Any]:
    """Return the edited results by step id, each with the id that its call has in the messages."""
    if not isinstance(given, Mapping) or not all(isinstance(step_id, str) for step_id in given):
        raise BadInput(f"result must be a dict of step ids and what the model is to be told instead, not {given!r:.100}")
    found = _told(kept, before)
    shown = {message.get("tool_call_id") for message in state.messages if message.get("role") == "tool"} | {c.call.message_id for c in state.turn}
    stored: dict[str, Any] = {}
    for step_id, value in given.items():
        message_id = found.get(step_id)
        if message_id is None:
            some = ", ".join(list(found)[-5:]) or "none"
            raise BadInput(f"step {step_id!r} is no tool result up to where the run is forked; the last of those are: {some}")
        if message_id not in shown:
            raise BadInput(f"the result of step {step_id!r} is not among the messages any more (it was summarised): fork at an earlier step")
        text = shop.redactor.text(to_text(value))
        if len(text) > MAX_RESULT_CHARS:
            raise BadInput(f"the result of step {step_id!r} has {len(text)} characters; it may have {MAX_RESULT_CHARS}")
        stored[step_id] = {"message_id": message_id, "value": text}
    return stored


def _told(kept: Sequence[Step], before: RunState) -> dict[str, str]:
    """Return the ids that calls have in the messages, by the step that settled each."""
    state, found = before, {}
    for step in kept:
        fact = payload_of(step)
        call = state.call(fact.call_id) if isinstance(fact, said.ToolCall) else None
        if call is not None and call.result is None:
            found[step.step_id] = call.call.message_id
        state = advance(state, step)
    return found
