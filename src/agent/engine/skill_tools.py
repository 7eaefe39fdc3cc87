"""The tools `use_skill` and `read_skill_file`: a model reads a skill that memory told it of, and the files that belong to it.

Both read what the store keeps and nothing else: there is no folder here to escape from, and nothing is run.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from typing import Any

from agent.core.state import RunState
from agent.core.wording import wording
from agent.engine.shop import Shop
from agent.errors import ToolFailed
from agent.models.memory import Skill, SkillFile, SkillFolder
from agent.models.value import replace
from agent.storage.protocols import MemoryCurator
from agent.tools.context import ToolContext
from agent.tools.registry import ToolRegistry
from agent.tools.tool import Tool

USE_SKILL = "use_skill"
READ_SKILL_FILE = "read_skill_file"
SKILL_TOOLS = (USE_SKILL, READ_SKILL_FILE)
"""Their names. A tool of the user's own with one of these names goes before it."""
SHOWN_FILES = 50
"""Files of a skill that are named to the model."""
SHOWN_SKILLS = 30
"""Skills that an error names."""


def skill_schemas(shop: Shop, state: RunState) -> list[dict[str, Any]]:
    """Return what a model is offered, once memory told the run of skills that are read on demand."""
    asked = state.input
    if asked is None or not shop.config.offer_skills or not hasattr(shop.memories, "get"):
        return []
    told = _told(state)
    with_files = [name for name, one in told.items() if one["folder"].get("has_files")]
    offered = ((USE_SKILL, list(told)), (READ_SKILL_FILE, with_files))  # a tool that nothing could come of only leads astray
    return [_schema_of(tool, names, asked.language) for tool, names in offered if names and tool not in shop.tools]


def skill_tool(shop: Shop, state: RunState, name: str) -> Tool | None:
    """Return one of the two tools, able to read this run's skills; None where it is not offered."""
    asked, told = state.input, _told(state)
    if not told or asked is None or name in shop.tools or not shop.config.offer_skills or not isinstance(shop.memories, MemoryCurator):
        return None
    reader = SkillReader(shop.memories, {name: one["skill_id"] for name, one in told.items()}, asked.language)
    is_untrusted = any(one["folder"].get("trust") == "web" for one in told.values())
    return replace(_tool_of(name, asked.language), function=_function_of(name, reader), is_untrusted=is_untrusted)


def _told(state: RunState) -> dict[str, dict[str, Any]]:
    """Return the skills that this run was told of by name, as its step has them; of two with one name the first."""
    found: dict[str, dict[str, Any]] = {}
    for one in state.memory.skills if state.memory is not None else ():
        if isinstance(one.get("folder"), dict) and isinstance(name := one.get("name"), str) and isinstance(one.get("skill_id"), str):
            found.setdefault(name, one)
    return found


def _schema_of(tool: str, skills: list[str], language: str) -> dict[str, Any]:
    """Return a tool's schema that names the skills which there are."""
    schema = _tool_of(tool, language).to_schema()
    schema["function"]["parameters"]["properties"]["name"]["enum"] = skills
    return schema


@lru_cache(maxsize=16)
def _tool_of(name: str, language: str) -> Tool:
    """Return a tool whose function reads nothing."""
    function = _function_of(name, None)
    function.__doc__ = wording(name, language)
    return ToolRegistry().register(function, name=name, effect="read")


def _function_of(tool: str, reader: "SkillReader | None") -> Callable[..., Awaitable[str]]:
    async def use_skill(ctx: ToolContext, name: str) -> str:
        """Return a skill's text."""
        return "" if reader is None else await reader.text(name, ctx.uid)

    async def read_skill_file(ctx: ToolContext, name: str, path: str) -> str:
        """Return the text of a skill's file."""
        return "" if reader is None else await reader.file(name, path, ctx.uid)

    return use_skill if tool == USE_SKILL else read_skill_file


class SkillReader:
    """Reads the skills that a run was told of: in the version that it was told of, also where there is a newer one by now."""

    def __init__(self, memories: MemoryCurator, ids: dict[str, str], language: str) -> None:
        self.memories, self.ids, self.language = memories, ids, language

    async def text(self, name: str, uid: str | None) -> str:
        """Return what a skill says, and which files it has.

        Raises:
            ToolFailed: there is none of this name, or it was taken out of use.
        """
        skill = await self._skill(name, uid)
        files = _files(skill)
        parts = [f"# {skill.name}", skill.content.strip()]
        if files:
            parts.append(wording("skill_files", self.language, files=self._names(files)))
        return "\n\n".join(part for part in parts if part)

    async def file(self, name: str, path: str, uid: str | None) -> str:
        """Return what a file of a skill holds.

        Raises:
            ToolFailed: there is none of this name or path, or it is no text.
        """
        skill = await self._skill(name, uid)
        files = _files(skill)
        wanted = path.strip().removeprefix("./").removeprefix(f"{skill.name}/")
        if wanted == "SKILL.md":
            return skill.content
        found = next((file for file in files if file.path == wanted), None)
        if found is None:
            raise ToolFailed(wording("skill_file_unknown", self.language, name=skill.name, path=path[:200], files=self._names(files)))
        try:
            text = found.data.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = "\0"
        if "\0" in text:
            raise ToolFailed(wording("skill_file_binary", self.language, path=found.path, size=len(found.data)))
        return text

    async def _skill(self, name: str, uid: str | None) -> Skill:
        skill_id = self.ids.get(name.strip())
        if skill_id is None:
            known = ", ".join(list(self.ids)[:SHOWN_SKILLS])
            raise ToolFailed(wording("skill_unknown", self.language, name=name[:100], known=known))
        skill = await self.memories.get(skill_id, uid=uid)
        if not isinstance(skill, Skill) or skill.state == "retired":
            raise ToolFailed(wording("skill_gone", self.language, name=name[:100]))
        return skill

    def _names(self, files: Sequence[SkillFile]) -> str:
        names = [file.path for file in files[:SHOWN_FILES]] + (["…"] if len(files) > SHOWN_FILES else [])
        return ", ".join(names) or wording("skill_no_files", self.language)


def _files(skill: Skill) -> tuple[SkillFile, ...]:
    return skill.folder.files if isinstance(skill.folder, SkillFolder) else ()
