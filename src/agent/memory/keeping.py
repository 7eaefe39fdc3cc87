"""A lesson finds its place among what was learnt before: the same again, nearly the same, the contrary, or something new."""

from collections.abc import Sequence
from hashlib import blake2b

from agent.core.lessons import least
from agent.core.likeness import is_contradicted, is_near, is_same, merged_rule
from agent.memory.credit import FROM_CASES
from agent.models.memory import Experience
from agent.models.value import replace
from agent.storage.learning_port import LearningStore
from agent.storage.protocols import MemoryCurator, MemoryStore

MAX_ALIKE = 20
"""What is known already is compared with a new lesson: so many that fit its words best."""
OPEN = ("active", "shadow", "candidate")
STRONGER = 0.1
"""By how much of what is missing to 1 the confidence grows with each piece of evidence more."""
SUPPORT = 3
"""Runs that speak for what a model worded, from which on it is told without a person's word."""
MERGE = "merge:"
"""Before the two ids in the source of a proposal to merge two lessons."""


async def keep(store: MemoryStore, new: Experience, *, instead_of: str | None = None, is_back: bool = False, by: str | None = None) -> str:
    """Record a lesson and return the id under which it is known. Learning it again changes nothing.

    `instead_of`: the id of what the same person said before, and takes back by this. `is_back`: it was taken back, and is said again.
    """
    if not isinstance(store, LearningStore):
        return await _keep_plainly(store, new, instead_of, by)
    known = await store.get(new.experience_id)
    if isinstance(known, Experience):
        if is_back and known.state not in OPEN:
            await store.restore(new.experience_id, by=by)
        return new.experience_id
    before = await store.get(instead_of) if instead_of is not None else None
    if isinstance(before, Experience) and before.state in OPEN:
        return await store.supersede(before.experience_id, new, by=by)
    alike = await _alike(store, new)
    for item in alike:
        if is_same(item, new):
            return await strengthen(store, item, new.evidence, by=by)
    contrary = next((item for item in alike if item.state != "candidate" and is_contradicted(item, new)), None)
    if contrary is not None and new.state == "active":
        return await store.supersede(contrary.experience_id, new, by=by)
    await store.add_experience(new)
    near = next((item for item in alike if item.state != "candidate" and item is not contrary and is_near(item, new)), None)
    if near is not None:
        await propose_merge(store, near, new)
    return new.experience_id


async def _keep_plainly(store: MemoryStore, new: Experience, instead_of: str | None, by: str | None) -> str:
    """The same in a store that cannot be looked through by state: only what was said by the same person before is closed."""
    if instead_of is not None and isinstance(store, MemoryCurator) and await store.get(instead_of) is not None and await store.get(new.experience_id) is None:
        return await store.supersede(instead_of, new, by=by)
    return await store.add_experience(new)


async def _alike(store: LearningStore, new: Experience) -> list[Experience]:
    """Return what the same owner has in the same scope that fits the words of a lesson, the oldest of equals last."""
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


async def withdraw(store: MemoryStore, experience_id: str, steps: Sequence[str], *, by: str | None = None) -> None:
    """Take what steps said out of a lesson; one that rests on nothing else is retired."""
    if not isinstance(store, MemoryCurator):
        return
    item = await store.get(experience_id)
    if not isinstance(item, Experience) or item.state not in OPEN:
        return
    left = tuple(step_id for step_id in item.evidence if step_id not in steps)
    if left and isinstance(store, LearningStore):
        await store.edit(experience_id, {"evidence": left}, by=by)
    elif not left:
        await store.retire(experience_id, by=by)


async def propose_merge(store: LearningStore, older: Experience, newer: Experience) -> None:
    """Record, as a candidate that is told to nobody, what two lessons would be as one. A pair that was refused is not proposed again."""
    ids = sorted((older.experience_id, newer.experience_id))
    if any("+" in one for one in ids):  # the two ids could not be told apart
        return
    await store.add_experience(
        Experience.create(
            experience_id=f"merge-{blake2b('+'.join(ids).encode(), digest_size=12).hexdigest()}",
            scope=newer.scope,
            condition=newer.condition,
            rule=merged_rule(older, newer),
            evidence=tuple(dict.fromkeys((*older.evidence, *newer.evidence))),
            source=f"{MERGE}{older.experience_id}+{newer.experience_id}",
            confidence=max(older.confidence, newer.confidence),
            kind=newer.kind,
            state="candidate",
            author=newer.author,
            uid=newer.uid,
            trust=least(older.trust, newer.trust),
            created_at=newer.created_at,
        )
    )


def merged(proposal: Experience) -> Experience:
    """Return the lesson that takes the place of two, as it is told once a person has agreed."""
    return replace(proposal, experience_id=f"{proposal.experience_id}.of", state="active", source="merge")
