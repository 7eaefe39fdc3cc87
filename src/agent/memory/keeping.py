"""A lesson finds its place among what was learnt before: the same again, nearly the same, the contrary, or something new."""

from collections.abc import Sequence

from agent.core.likeness import is_contradicted, is_same
from agent.memory.credit import FROM_CASES
from agent.models.memory import Experience
from agent.storage.learning_port import LearningStore
from agent.storage.protocols import MemoryCurator, MemoryStore

MAX_ALIKE = 20
"""What is known already is compared with a new lesson: so many that fit its words best."""
OPEN = ("active", "shadow", "candidate")
STRONGER = 0.1
"""By how much of what is missing to 1 the confidence grows with each piece of evidence more."""
SUPPORT = 3
"""Runs that speak for what a model worded, from which on it is told without a person's word."""


async def keep(store: MemoryStore, new: Experience, *, instead_of: str | None = None, is_back: bool = False, by: str | None = None) -> str | None:
    """Record a lesson and return the id under which it is known. Learning it again changes nothing. None: it was forgotten, and stays so.

    `instead_of`: the id of what the same person said before, and takes back by this. `is_back`: it was taken back, and is said again.
    """
    if not isinstance(store, LearningStore):
        return await _keep_plainly(store, new, instead_of, by)
    known = await store.get(new.experience_id)
    if isinstance(known, Experience):
        if is_back and known.state not in OPEN:
            back = await store.restore(new.experience_id, by=by)
            contrary = _contrary(await alike_to(store, back), back)
            if contrary is not None:
                await store.supersede(contrary.experience_id, back, by=by)
        return new.experience_id
    if known is None and await was_forgotten(store, new.experience_id):
        return None
    before = await store.get(instead_of) if instead_of is not None else None
    if isinstance(before, Experience) and before.state in OPEN:
        return await store.supersede(before.experience_id, new, by=by)
    alike = await alike_to(store, new)
    for item in alike:
        if is_same(item, new):
            return await strengthen(store, item, new.evidence, by=by)
    contrary = _contrary(alike, new)
    if contrary is not None:
        return await store.supersede(contrary.experience_id, new, by=by)
    return await store.add_experience(new)


def _contrary(alike: Sequence[Experience], new: Experience) -> Experience | None:
    """Return what a lesson takes the place of: only one that is told may."""
    return next((item for item in alike if new.state == "active" and item.state != "candidate" and is_contradicted(item, new)), None)


async def was_forgotten(store: LearningStore, experience_id: str) -> bool:
    """Whether the words of an experience were removed on purpose."""
    return any(entry["change"] == "forgotten" for entry in await store.history(item_id=experience_id))


async def closed_by(store: LearningStore, experience_id: str, *, uid: str | None = None) -> list[Experience]:
    """Return what an experience took the place of."""
    closed = await store.list(uid=uid, state="superseded")
    return [item for item in closed if isinstance(item, Experience) and item.superseded_by == experience_id]


async def _keep_plainly(store: MemoryStore, new: Experience, instead_of: str | None, by: str | None) -> str:
    """The same in a store that cannot be looked through by state: only what was said by the same person before is closed."""
    if instead_of is not None and isinstance(store, MemoryCurator) and await store.get(instead_of) is not None and await store.get(new.experience_id) is None:
        return await store.supersede(instead_of, new, by=by)
    return await store.add_experience(new)


async def alike_to(store: LearningStore, new: Experience) -> list[Experience]:
    """Return what the same owner has in the same scope, not closed, that fits the words of a lesson, best first."""
    found = await store.search(f"{new.condition}\n{new.rule}", scopes=[new.scope], uid=new.uid, states=OPEN, limit=MAX_ALIKE, floor=0.0)
    items = [one.item for one in found if isinstance(one.item, Experience)]
    return [item for item in items if item.uid == new.uid and item.experience_id != new.experience_id and item.source != FROM_CASES]


async def strengthen(store: LearningStore, item: Experience, evidence: Sequence[str], *, by: str | None = None) -> str:
    """Add evidence to a lesson; what a model worded is told from a number of independent runs on."""
    more = tuple(step_id for step_id in evidence if step_id not in item.evidence)
    if not more:
        return item.experience_id
    confidence = round(item.confidence + (1 - item.confidence) * STRONGER, 6)
    item = await store.edit(item.experience_id, {"evidence": (*item.evidence, *more), "confidence": confidence}, by=by)
    if item.state == "shadow" and len({run_of(step_id) for step_id in item.evidence}) >= SUPPORT:
        await store.set_state(item.experience_id, "active", by="support", reason=f"{SUPPORT} runs speak for it")
    return item.experience_id


def run_of(step_id: str) -> str:
    """Return the run of a step, as far as its id tells."""
    return step_id.rpartition("/")[0] or step_id


async def withdraw(store: MemoryStore, experience_id: str, steps: Sequence[str], *, own: Sequence[str] = (), by: str | None = None) -> None:
    """Take what steps said out of a lesson; one that rests on nothing else is retired, and what it took the place of is back.

    `own`: what else the same feedback said; that is not put back.
    """
    if not isinstance(store, MemoryCurator):
        return
    item = await store.get(experience_id)
    if not isinstance(item, Experience) or item.superseded_by in own:
        return
    left = tuple(step_id for step_id in item.evidence if step_id not in steps)
    if left and isinstance(store, LearningStore) and item.state in OPEN:
        await store.edit(experience_id, {"evidence": left}, by=by)
    elif not left:
        await store.retire(experience_id, by=by)
        if isinstance(store, LearningStore) and item.superseded_by is None:
            await _put_back(store, experience_id, own, by)


async def _put_back(store: LearningStore, experience_id: str, own: Sequence[str], by: str | None) -> None:
    """Open again what an experience took the place of; where that was an earlier word of the same feedback, what this took the place of."""
    for older in await closed_by(store, experience_id):
        if older.experience_id not in own:
            await store.restore(older.experience_id, by=by)
        elif await closed_by(store, older.experience_id):
            await store.restore(older.experience_id, by=by)
            await _put_back(store, older.experience_id, own, by)
            await store.retire(older.experience_id, by=by)
