"""Where lessons get in each other's way: one that took another's place, and two that say nearly the same. A person has the last word."""

from hashlib import blake2b
from typing import Any, Literal

from agent.core.lessons import least
from agent.core.likeness import diff_of, is_near, merged_rule
from agent.errors import BadInput, ExperienceNotFound
from agent.memory.credit import FROM_CASES
from agent.memory.keeping import alike_to
from agent.models.conflict import Conflict
from agent.models.memory import Experience
from agent.models.value import replace
from agent.storage.learning_port import LearningStore

LOOKED_AT = 500
"""The newest lessons of an owner, of each state, that are compared."""
ACCEPT: Literal["accept"] = "accept"
REFUSE: Literal["refuse"] = "refuse"
REFUSED = "merge refused"
"""The source of what two lessons would have been as one, had a person agreed: it is kept, so that it is not proposed again."""


class Conflicts:
    """Finds and settles conflicts between the experiences of one memory."""

    def __init__(self, memories: LearningStore) -> None:
        self.memories = memories

    async def _merges(self, uid: str | None) -> list[Conflict]:
        found: dict[str, Conflict] = {}
        for item in await self._of_state("active", uid):
            for other in await alike_to(self.memories, item):
                conflict = _merge(*sorted((item, other), key=lambda one: (one.created_at, one.experience_id)))
                is_known = conflict.conflict_id in found or other.state == "candidate" or not is_near(item, other)
                if not is_known and await self.memories.get(conflict.conflict_id) is None:
                    found[conflict.conflict_id] = conflict
        return list(found.values())

    async def _contradictions(self, uid: str | None) -> list[Conflict]:
        found = []
        for older in await self._of_state("superseded", uid):
            newer = await self.memories.get(older.superseded_by or "", uid=uid)
            if isinstance(newer, Experience) and newer.state in ("active", "shadow"):
                diff = diff_of(older, newer)
                found.append(Conflict(conflict_id=older.experience_id, kind="superseded", older=older, newer=newer, diff=diff))
        return found

    async def _of_state(self, state: str, uid: str | None) -> list[Experience]:
        items: list[Any] = await self.memories.list(uid=uid, state=state, limit=LOOKED_AT)
        return [item for item in items if isinstance(item, Experience) and item.source != FROM_CASES and (uid is None or item.uid == uid)]

    async def settle(self, conflict_id: str, verdict: Literal["accept", "refuse"], *, by: str | None = None, uid: str | None = None) -> Experience:
        """Do what a conflict proposes, or not, and return the experience that is told from now on. Each can be undone with `restore`.

        Of a merge: `accept` puts one experience in the place of both, `refuse` leaves both and never proposes it again (it returns
        the newer). Of what took another's place: `accept` leaves it so, `refuse` brings the older back and retires the newer.

        Raises:
            BadInput: no such verdict.
            ExperienceNotFound: there is no such conflict (any more).
        """
        if verdict not in ("accept", "refuse"):
            raise BadInput(f"verdict {verdict!r} does not exist: accept or refuse")
        conflict = next((one for one in await self.list(uid=uid) if one.conflict_id == conflict_id), None)
        if conflict is None:
            raise ExperienceNotFound(conflict_id, "there is no conflict of this id (any more): `seasoned memory conflicts` lists them")
        if conflict.kind == "superseded":
            return conflict.newer if verdict == "accept" else await self.memories.restore(conflict_id, by=by, uid=uid)
        assert conflict.proposal is not None
        if verdict == "refuse":
            await self.memories.add_experience(replace(conflict.proposal, state="retired", source=REFUSED, author=by))
            return conflict.newer
        merged = await self.memories.supersede(conflict.newer.experience_id, conflict.proposal, by=by, uid=uid)
        await self.memories.set_state(conflict.older.experience_id, "retired", by=by, reason=f"merged into {merged}", uid=uid)
        item = await self.memories.get(merged, uid=uid)
        assert isinstance(item, Experience)
        return item

    async def list(self, *, uid: str | None) -> list[Conflict]:  # last: below it the name is no type any more
        """Return the conflicts among the newest experiences of an owner: proposals to merge first, then what took another's place."""
        return [*await self._merges(uid), *await self._contradictions(uid)]


def _merge(older: Experience, newer: Experience) -> Conflict:
    """Return the proposal to make one of two. Its id follows from the two: a pair that was refused is known."""
    ids = f"{older.experience_id}\0{newer.experience_id}"
    proposal = Experience.create(
        experience_id=f"merge-{blake2b(ids.encode(errors='surrogatepass'), digest_size=12).hexdigest()}",
        scope=newer.scope,
        condition=newer.condition,
        rule=merged_rule(older, newer),
        evidence=tuple(dict.fromkeys((*older.evidence, *newer.evidence))),
        source="merge",
        confidence=max(older.confidence, newer.confidence),
        kind=newer.kind,
        state="active" if "active" in (older.state, newer.state) else newer.state,
        author=newer.author,
        uid=newer.uid,
        trust=least(older.trust, newer.trust),
    )
    return Conflict(conflict_id=proposal.experience_id, kind="merge", older=older, newer=newer, proposal=proposal, diff=diff_of(older, newer))
