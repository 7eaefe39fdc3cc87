"""Skills from the command line: lists, imports, exports, checks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from rich.table import Table
from rich.text import Text

from agent.cli.deciding import user_name
from agent.cli.endings import DONE, FAILED
from agent.cli.outlet import console, say, say_json, tell
from agent.cli.place import Place, opened
from agent.cli.visible import one_line
from agent.errors import BadInput, SkillNotFound
from agent.memory.skills import active_skills, keep
from agent.models.memory import Skill
from agent.models.value import Value
from agent.skills.loading import load_skills, validate_skills
from agent.skills.rules import folder_of
from agent.skills.writing import text_of, write_folder
from agent.storage.protocols import MemoryCurator

USER, SHARED = "user", "shared"
"""The scopes of all agents of one uid, and of everybody's."""
DESCRIPTION_CHARS = 80


class Import(Value, frozen=True, kw_only=True):
    """What is to be imported, and for whom."""

    paths: tuple[Path, ...]
    scope: str | None = None
    is_shared: bool = False
    trust: Literal["person", "web"] = "person"
    by: str | None = None
    is_dry_run: bool = False


async def list_skills(place: Place, *, scope: str | None, every: bool, is_json: bool) -> None:
    """Print skills, newest first."""
    found: list[Skill] = []
    if place.file is None or place.file.exists():
        async with opened(place) as store:
            listed = await store.memories.list(uid=place.uid, scope=scope, kind="skill", state=None if every else "active")
            found = [skill for skill in listed if isinstance(skill, Skill)]
    if is_json:
        for skill in found:
            say_json(told(skill))
        return
    if not found:
        tell(f"{place.uid!r} has no skill here: `seasoned skills import FOLDER` brings some")
        return
    table = Table(box=None, header_style="dim")
    for name in ("name", "scope", "of", "files", *(["state"] if every else []), "description"):
        table.add_column(name, overflow="fold" if name == "name" else "ellipsis", no_wrap=name != "name")
    for skill in found:
        cells = [skill.name, skill.scope, skill.uid or "all", str(len(folder_of(skill).files)), *([skill.state] if every else []), skill.description]
        table.add_row(*(Text(one_line(cell, DESCRIPTION_CHARS)) for cell in cells))
    console(is_stderr=False).print(table)


async def show_skill(place: Place, wanted: str, *, file: str | None, is_json: bool) -> None:
    """Print a skill as its SKILL.md would be, or one of its files.

    Raises:
        SkillNotFound: there is none of this name or id.
        BadInput: it has no such file, or that is no text.
    """
    async with opened(place) as store:
        skill = await find_skill(store.memories, wanted, place.uid)
    if file is not None:
        found = next((one for one in folder_of(skill).files if one.path == file), None)
        if found is None:
            raise BadInput(f"skill {skill.name!r} has no file {file!r}: it has {', '.join(one.path for one in folder_of(skill).files) or 'none'}")
        try:
            say(found.data.decode("utf-8-sig"))
        except UnicodeDecodeError:
            raise BadInput(f"{file!r} is no text ({len(found.data)} bytes): export the skill to have it") from None
        return
    if is_json:
        say_json({**told(skill), "content": skill.content})
        return
    say(text_of(skill).rstrip("\n"))
    tell(f"{skill.skill_id} · {skill.state} · scope {skill.scope} · of {skill.uid or 'all'}")
    for one in folder_of(skill).files:
        tell(f"  {one_line(one.path)} ({len(one.data):,} bytes)")


async def import_skills(place: Place, wanted: Import, *, is_json: bool) -> int:
    """Put the skills at some paths into the store; return the exit code: 1 where none of them could be used.

    Raises:
        BadInput: a path holds no skill; nothing was imported.
    """
    scope = wanted.scope or (SHARED if wanted.is_shared else USER)
    uid, by = None if wanted.is_shared else place.uid, wanted.by or user_name()
    found = [load_skills(path, scope=scope, uid=uid, author=by, trust=wanted.trust) for path in wanted.paths]
    loaded = [one for skills in found for one in skills.loaded]
    for unusable in (one for skills in found for one in skills.unusable):
        tell(f"not used: {unusable.place}: {unusable.reason}")
    if wanted.is_dry_run:
        for one in loaded:
            tell(f"would be imported: {one.skill.name} ({one.place})")
            _tell_warnings(one.warnings)
        return DONE if loaded else FAILED
    async with opened(place, may_make=True) as store:
        for one in loaded:
            kept = await keep(store.memories, one.skill)
            if is_json:
                say_json({**told(one.skill), "change": kept, "warnings": list(one.warnings)})
                continue
            tell(f"{kept}: {one.skill.name} (scope {scope}, of {uid or 'all'}) from {one.place}")
            _tell_warnings(one.warnings)
            if kept == "forgotten":
                tell("  these very words were forgotten for good, and stay so: change them to import the skill again")
    return DONE if loaded else FAILED


async def export_skills(place: Place, names: Sequence[str], target: Path, *, every: bool, is_json: bool) -> None:
    """Write skills as folders below `target`.

    Raises:
        SkillNotFound: there is none of one of these names; nothing was written.
        BadInput: none is named, or one cannot be written.
    """
    if every == bool(names):
        raise BadInput("say which skills to export, by name or id, or --all of them")
    async with opened(place) as store:
        found = await active_skills(store.memories, uid=place.uid) if every else [await find_skill(store.memories, name, place.uid) for name in names]
    for skill in found:
        written = write_folder(skill, target)
        if is_json:
            say_json({"skill_id": skill.skill_id, "folder": str(target / written.name), "files": sorted(written.files), "warnings": list(written.warnings)})
            continue
        tell(f"written: {target / written.name} ({len(written.files)} file{'' if len(written.files) == 1 else 's'})")
        _tell_warnings(written.warnings)


def check_skills(paths: Sequence[Path], *, is_json: bool) -> int:
    """Print what the format does not allow in the skills at some paths; return the exit code: 1 where there is anything.

    Raises:
        BadInput: a path holds no skill.
    """
    reports = [report for path in paths for report in validate_skills(path)]
    for report in reports:
        if is_json:
            say_json({"place": report.place, "is_valid": not report.problems, "problems": list(report.problems), "notes": list(report.notes)})
            continue
        say(f"{'invalid' if report.problems else 'valid'}: {report.place}")
        for problem in report.problems:
            say(f"  {problem}")
        for note in report.notes:
            say(f"  note: {note}")
    return FAILED if any(report.problems for report in reports) else DONE


async def retire_skill(place: Place, wanted: str, *, by: str | None) -> None:
    """Take a skill out of use.

    Raises:
        SkillNotFound: there is none of this name or id.
    """
    async with opened(place) as store:
        skill = await find_skill(store.memories, wanted, place.uid)
        await store.memories.retire(skill.skill_id, by=by or user_name(), uid=place.uid)
    tell(f"retired: {skill.name} ({skill.skill_id}); `seasoned skills export {skill.skill_id}` still writes it")


async def find_skill(memories: MemoryCurator, wanted: str, uid: str) -> Skill:
    """Return the skill of an id, whatever its state, or the one in use of a name, one's own before a shared one.

    Raises:
        SkillNotFound: there is none.
    """
    found = await memories.get(wanted, uid=uid)
    if isinstance(found, Skill):
        return found
    named = [skill for skill in await active_skills(memories, uid=uid) if skill.name == wanted]
    if not named:
        raise SkillNotFound(wanted, "`seasoned skills ls` shows the skills there are; --all also those out of use")
    own = [skill for skill in named if skill.uid is not None]
    if len({skill.scope for skill in own or named}) > 1:
        raise BadInput(f"several skills are called {wanted!r}: name one by its id: {', '.join(f'{s.skill_id} ({s.scope})' for s in own or named)}")
    return (own or named)[0]


def told(skill: Skill) -> dict[str, Any]:
    """Return a skill for JSON: what lies in its files is left out."""
    folder = folder_of(skill)
    return {
        "skill_id": skill.skill_id,
        "name": skill.name,
        "description": skill.description,
        "scope": skill.scope,
        "uid": skill.uid,
        "state": skill.state,
        "created_at": skill.created_at.isoformat(),
        "license": folder.license,
        "compatibility": folder.compatibility,
        "metadata": folder.metadata,
        "allowed_tools": list(folder.allowed_tools),
        "files": [{"path": file.path, "size_bytes": len(file.data)} for file in folder.files],
        "origin": folder.origin,
        "author": folder.author,
        "trust": folder.trust,
    }


def _tell_warnings(warnings: Sequence[str]) -> None:
    for warning in warnings:
        tell(f"  warning: {warning}")
