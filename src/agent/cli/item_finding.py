"""One item of memory by what a person types: its id, a beginning of it, or `last`."""

from agent.cli.place import LAST
from agent.errors import BadInput, ExperienceNotFound
from agent.models.memory import Experience, Skill
from agent.storage.learning_port import LearningStore

LOOKED_AT = 10_000
"""The newest items of each kind among which one is looked for by the beginning of its id."""
SHOWN = 5


async def find_item(memories: LearningStore, wanted: str, uid: str) -> Experience | Skill:
    """Return the experience or skill with this id, with an id that begins so, or with `last` the newest experience.

    Raises:
        ExperienceNotFound: there is none.
        BadInput: several begin so.
    """
    if wanted == LAST:
        newest = await memories.list(uid=uid, limit=1)
        if not newest:
            raise ExperienceNotFound(LAST, f"{uid!r} has learnt nothing in this store yet")
        return newest[0]
    item = await memories.get(wanted, uid=uid)
    if isinstance(item, Experience | Skill):
        return item
    found: list[Experience | Skill] = []
    for kind in ("experience", "skill"):
        found += [one for one in await memories.list(uid=uid, kind=kind, limit=LOOKED_AT) if wanted.strip() and id_of(one).startswith(wanted)]
    if not found:
        raise ExperienceNotFound(wanted, "`seasoned memory ls` lists them; --db names another store, --uid another owner")
    if len(found) > 1:
        ids = ", ".join(id_of(one) for one in found[:SHOWN])
        raise BadInput(f"several items begin with {wanted!r}: {ids}{' …' if len(found) > SHOWN else ''}")
    return found[0]


async def find_experience(memories: LearningStore, wanted: str, uid: str) -> Experience:
    """Return an experience, found as by `find_item`.

    Raises:
        ExperienceNotFound, BadInput: there is none, there are several, or it is a skill.
    """
    item = await find_item(memories, wanted, uid)
    if not isinstance(item, Experience):
        raise BadInput(f"{wanted!r} is a skill: change its folder and take it in again with `seasoned skills import`")
    return item


def id_of(item: Experience | Skill) -> str:
    """Return the item's id."""
    return item.skill_id if isinstance(item, Skill) else item.experience_id
