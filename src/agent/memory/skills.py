"""Skills in a memory: kept in versions, listed for a run, and told by name where they are read on demand."""

from collections.abc import Collection, Iterable, Sequence
from typing import Literal

from agent.config import AgentConfig
from agent.memory.finding import Findings, Wanted
from agent.models.learning import Found
from agent.models.memory import Skill, SkillFolder
from agent.models.value import replace
from agent.storage.protocols import MemoryCurator, MemoryStore

Kept = Literal["added", "replaced", "unchanged", "forgotten"]
"""What became of a skill that was to be kept. Forgotten: these very words were removed for good, and stay so."""


async def with_skills(found: Findings, wanted: Wanted, memories: MemoryStore, config: AgentConfig) -> Findings:
    """Return what was found with its skills as a run is told them, and after those that fit its task the others that it may use.

    A task seldom has the words of the skill that it needs: those with a folder are all named, newest first, while there is
    room. Of several with one name the run's own goes before a shared one, and then the narrower scope.
    """
    if not all(isinstance(one.item, Skill) for one in found.skills):
        return found  # a faulty store, which the choice tells of
    fitting = [one for one in found.skills if isinstance(one.item, Skill) and _is_for_models(one.item)]
    others: list[Found] = []
    if config.offer_skills and isinstance(memories, MemoryCurator):
        known = {one.item.skill_id for one in fitting if isinstance(one.item, Skill)}
        others = [Found(skill, 0.0) for skill in await _more(memories, wanted, known, config.skill_limit)]
    chars = config.skill_whole_chars if config.offer_skills and isinstance(memories, MemoryCurator) else None
    told = [Found(one.item.as_told(chars), one.score) for one in _distinct([*fitting, *others], wanted.scopes) if isinstance(one.item, Skill)]
    pinned = tuple(item.as_told(chars) if isinstance(item, Skill) else item for item in found.pinned)
    return replace(found, skills=tuple(told), pinned=pinned)


async def _more(memories: MemoryCurator, wanted: Wanted, known: Collection[str], limit: int) -> list[Skill]:
    """Return further skills with a folder, of the narrowest scope first."""
    more: list[Skill] = []
    for scope in wanted.scopes:
        if len(more) < limit:
            found = await memories.list(uid=wanted.uid, scope=scope, state="active", kind="skill", limit=limit + len(known))
            more += [skill for skill in found if isinstance(skill, Skill) and skill.folder and skill.skill_id not in known and _is_for_models(skill)]
    return more[:limit]


def _is_for_models(skill: Skill) -> bool:
    """Whether a run may be told of a skill without being asked to: its folder can say that it may not, as other programs write it."""
    return not skill.folder or skill.folder.metadata.get("disable-model-invocation", "").strip().lower() != "true"


def _distinct(found: Sequence[Found], scopes: Sequence[str]) -> list[Found]:
    """Return skills without those that another of the same name goes before."""
    best: dict[str, tuple[bool, int]] = {}
    ranks = [(one.item.uid is None, scopes.index(one.item.scope) if one.item.scope in scopes else len(scopes)) for one in found]
    names = [one.item.name if isinstance(one.item, Skill) else "" for one in found]
    for name, rank in zip(names, ranks, strict=True):
        best[name] = min(rank, best.get(name, rank))
    return [one for one, name, rank in zip(found, names, ranks, strict=True) if best[name] == rank]


async def keep(memories: MemoryCurator, skill: Skill) -> Kept:
    """Put a skill that was read (`agent.skills`) into a memory, in place of the one with its scope, owner and name; say what that changed.

    Runs that were told of the older version go on reading that one.

    Raises:
        BadInput: it cannot be recorded.
    """
    known = await memories.get(skill.skill_id)
    if isinstance(known, Skill) and known.state == "active":
        return "unchanged"
    older = [one for one in await active_skills(memories, scope=skill.scope, uid=skill.uid) if (one.uid, one.name) == (skill.uid, skill.name)]
    await memories.add_skill(skill)
    if await memories.get(skill.skill_id) is None:
        return "forgotten"
    return "replaced" if older else "added"


async def active_skills(memories: MemoryCurator, *, scope: str | None = None, uid: str | None = None) -> list[Skill]:
    """Return the skills in use that a uid sees, newest first."""
    found = await memories.list(uid=uid, scope=scope, state="active", kind="skill")
    return [skill for skill in found if isinstance(skill, Skill)]


async def retire_missing(memories: MemoryCurator, present: Iterable[Skill], below: str, *, scope: str, uid: str | None, by: str) -> list[Skill]:
    """Take out of use the skills of a scope and owner that were read below a folder and are not there any more; return them."""
    there = {skill.skill_id for skill in present}
    gone = [
        skill
        for skill in await active_skills(memories, scope=scope, uid=uid)
        if skill.uid == uid and skill.skill_id not in there and isinstance(skill.folder, SkillFolder) and is_below(skill.folder.origin, below)
    ]
    for skill in gone:
        await memories.retire(skill.skill_id, by=by, uid=uid)
    return gone


def is_below(origin: str | None, folder: str) -> bool:
    """Whether what was read at `origin` was in a folder, or is that folder."""
    return origin is not None and (origin == folder or origin.startswith(folder.rstrip("/") + "/"))
