"""The skills of a project's folders, brought into its store before a run."""

import asyncio
from pathlib import Path

from agent.cli.outlet import tell
from agent.cli.project_file import Project
from agent.errors import BadInput
from agent.models.memory import Skill
from agent.storage.protocols import MemoryCurator

BY = "seasoned.toml"
"""Who took a skill out of use whose folder is not there any more."""


async def bring_skills(memories: MemoryCurator, project: Project, *, is_wanted: bool | None) -> None:
    """Put the skills of the folders in seasoned.toml into the store where they changed; those whose folder is gone are taken out of use.

    They belong to nobody: every uid of the store that works in their scope is told of them. What cannot be used is told, and stops nothing.
    """
    if is_wanted is False or not project.skills.paths:
        return
    from agent.memory.skills import retire_missing

    scope = project.skills.scope or (f"project:{project.memory.project}" if project.memory.project else "shared")
    present: list[Skill] = []
    folders = _folders(project)
    for folder in folders:
        present += await _brought(memories, folder, scope)
    for folder in folders:
        for gone in await retire_missing(memories, present, str(folder), scope=scope, uid=None, by=BY):
            tell(f"skill {gone.name} is not in {folder} any more: it was taken out of use")


def _folders(project: Project) -> list[Path]:
    return [(project.folder / Path(path).expanduser()).resolve() for path in project.skills.paths]


async def _brought(memories: MemoryCurator, folder: Path, scope: str) -> list[Skill]:
    from agent.memory.skills import keep
    from agent.skills.loading import load_skills

    try:
        found = await asyncio.to_thread(load_skills, folder, scope=scope)
    except BadInput as error:
        tell(f"warning: [skills] paths: {error}")
        return []
    for unusable in found.unusable:
        tell(f"warning: skill not used: {unusable.place}: {unusable.reason}")
    for one in found.loaded:
        try:
            kept = await keep(memories, one.skill)
        except BadInput as error:
            tell(f"warning: skill not used: {one.place}: {error}")
            continue
        if kept != "unchanged":
            tell(f"skill {one.skill.name}: {kept} ({one.place})")
            for warning in one.warnings:
                tell(f"  warning: {warning}")
    return [one.skill for one in found.loaded]
