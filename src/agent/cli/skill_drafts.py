"""Experiences written out as a skill, for a person to read before it is imported."""

import shlex
from pathlib import Path

from agent.cli.item_finding import find_experience
from agent.cli.model_choice import choose_model
from agent.cli.outlet import say_json, tell
from agent.cli.place import Place, opened, place_options
from agent.cli.project_file import Project
from agent.cli.skill_shelf import USER
from agent.core.advice import is_item_id
from agent.errors import BadInput, ExperienceNotFound
from agent.memory.distilling import distill_with
from agent.models.memory import Experience, Skill
from agent.models.value import Value
from agent.skills.distilling import MAX_EXPERIENCES, distill
from agent.skills.rules import folder_of
from agent.skills.writing import write_folder
from agent.storage.learning_port import LearningStore
from agent.storage.protocols import MemoryCurator


class Subject(Value, frozen=True, kw_only=True):
    """Which experiences are meant."""

    ids: tuple[str, ...] = ()
    scope: str | None = None
    about: str | None = None


async def write_draft(place: Place, project: Project, subject: Subject, *, name: str | None, target: Path, model: str | None, is_json: bool) -> None:
    """Write a skill of experiences below a folder, and say how it gets into use.

    Raises:
        BadInput: nothing says which experiences, there are none, or they give no skill.
        ExperienceNotFound: there is none of one of these ids.
    """
    async with opened(place) as store:
        experiences = await _chosen(store.memories, subject, place.uid)
    language = project.top.language or "en"
    if model is None:
        skill = distill(experiences, name=name, language=language)
    else:
        skill = await _with_model(model, project, experiences, name, language)
    written = write_folder(skill, target)
    folder = target / written.name
    if is_json:
        metadata = folder_of(skill).metadata
        say_json({"folder": str(folder), "name": written.name, "description": skill.description, "metadata": metadata, "warnings": list(written.warnings)})
        return
    tell(f"written: {folder} ({len(experiences)} experience{'' if len(experiences) == 1 else 's'})")
    for warning in written.warnings:
        tell(f"  warning: {warning}")
    scope = f" --scope {shlex.quote(subject.scope)}" if subject.scope is not None and subject.scope != USER else ""
    tell("read it, change what you like, then bring it in:")
    tell(f"  seasoned skills import {shlex.quote(str(folder))}{scope}{place_options(place) or ''}")


async def _with_model(model: str, project: Project, experiences: list[Experience], name: str | None, language: str) -> Skill:
    choice = choose_model(model, project)
    try:
        return await distill_with(choice.llm_call, choice.name, experiences, name=name, language=language)
    finally:
        close = getattr(choice.llm_call, "aclose", None)
        if close is not None:
            await close()


async def _chosen(memories: MemoryCurator, subject: Subject, uid: str) -> list[Experience]:
    if sum((bool(subject.ids), subject.scope is not None and subject.about is None, subject.about is not None)) != 1:
        raise BadInput("say which experiences: by their ids, or with --scope or --about")
    if subject.ids:
        if isinstance(memories, LearningStore):
            return [await find_experience(memories, item_id, uid) for item_id in subject.ids]
        found = [await memories.get(item_id, uid=uid) for item_id in subject.ids]
        missing = next((item_id for item_id, item in zip(subject.ids, found, strict=True) if not isinstance(item, Experience)), None)
        if missing is not None:
            raise ExperienceNotFound(missing, "it is to be the id of an experience")
        return [item for item in found if isinstance(item, Experience)]
    if subject.about is None:
        listed = await memories.list(uid=uid, scope=subject.scope, state="active", limit=MAX_EXPERIENCES)
        chosen = [item for item in reversed(listed) if isinstance(item, Experience)]
    else:
        chosen = await _about(memories, subject.about, subject.scope, uid)
    chosen = [item for item in chosen if not is_item_id(item.experience_id)]  # what cases came to is no rule in words
    if not chosen:
        raise BadInput("no experience in use fits: `seasoned memory ls` lists them")
    return chosen


async def _about(memories: MemoryCurator, words: str, scope: str | None, uid: str) -> list[Experience]:
    """Return the experiences that fit some words, best first, in one scope or in all that have any."""
    if scope is not None:
        scopes = [scope]
    else:
        listed = await memories.list(uid=uid, state="active")
        scopes = list(dict.fromkeys(item.scope for item in listed if isinstance(item, Experience)))
    if isinstance(memories, LearningStore):
        found = await memories.search(words, scopes=scopes, uid=uid, limit=MAX_EXPERIENCES)
        return [one.item for one in found if isinstance(one.item, Experience)]
    return [item for one in scopes for item in await memories.search_experiences(one, words, uid=uid, limit=MAX_EXPERIENCES)]
