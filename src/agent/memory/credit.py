"""Whether what was learnt helps: the lift of a memory and of its items, and the quarantine of items that do harm."""

from collections import OrderedDict
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from agent.core.advice import item_id_of
from agent.core.lift import HALF, Chance, item_chances, item_lifts, may_be_suspected, memory_lift, standing_of, with_standing
from agent.core.probation import Standing
from agent.errors import ExperienceNotFound
from agent.models.learning import Use, Used
from agent.models.lift import ItemLift, Lift
from agent.models.memory import Experience
from agent.models.value import Value
from agent.storage.learning_port import LearningStore

WINDOW = 1_000
"""The newest runs of a scope and owner that are looked at: memory grows, and its lift changes, so that old runs say little of it."""
REFRESH_AFTER = 100
"""Runs after which is read anew which items are on probation, where no outcome that this process recorded came before."""
MAX_REMEMBERED = 1_000
"""Scopes and owners of which it is kept at once who is on probation."""
MAX_CASES = 1_000
"""Newest cases of a scope among which the tool of a piece of advice is looked for."""
WAITING = ("shadow", "candidate")
"""States of items that are looked up, and told to nobody until somebody says so."""
QUARANTINE = "quarantine"
"""Who takes an item out of use where nobody did."""
BEGIN_ANEW = frozenset({"edited", "state_set", "restored"})
"""Changes of an item after which it is judged by the runs since: it says something else, or somebody has looked at it."""
FROM_CASES = "cases"
"""The source of an experience that stands for the cases of a tool: it has a state, and no words that are told."""


class Quarantined(Value, frozen=True, kw_only=True):
    """An item that was taken out of use, and why."""

    item_id: str
    kind: str
    reason: str


class Credit:
    """Reads what a memory's runs were told and how they went, and draws conclusions; every answer reads a bounded number of rows."""

    def __init__(self, memories: LearningStore) -> None:
        self.memories = memories
        self._known: OrderedDict[tuple[str, str | None], tuple[frozenset[str], int]] = OrderedDict()

    async def lift(self, scope: str, *, uid: str | None, window: int = WINDOW) -> Lift:
        """Return the lift of all advice together over the newest `window` runs of a scope and owner."""
        return memory_lift(await self.memories.uses(scope=scope, uid=uid, limit=window), scope)

    async def items(self, scope: str, *, uid: str | None, window: int = WINDOW) -> list[ItemLift]:
        """Return the lift of each item that these runs were told or spared, the most used first.

        What a person put back into use is judged by the runs since.
        """
        return await self._judged(await self.memories.uses(scope=scope, uid=uid, limit=window), scope, uid)

    async def both(self, scope: str, *, uid: str | None, window: int = WINDOW) -> tuple[Lift, list[ItemLift]]:
        """Return `lift` and `items` of the same runs, read once."""
        uses = await self.memories.uses(scope=scope, uid=uid, limit=window)
        return memory_lift(uses, scope), await self._judged(uses, scope, uid)

    async def scopes(self, *, uid: str | None, window: int = WINDOW) -> list[str]:
        """Return the scopes of the newest `window` runs of an owner."""
        return sorted({use.scope for use in await self.memories.uses(uid=uid, limit=window)})

    async def item(self, item_id: str, *, uid: str | None, window: int = WINDOW) -> ItemLift | None:
        """Return the lift of one item, in the scope in which it was used last; None where no run was told or spared it."""
        used = await self.memories.uses(item_id=item_id, uid=uid, limit=1)
        if not used:
            return None
        scope, owner = used[0].scope, used[0].uid
        found = next((item for item in await self.items(scope, uid=owner, window=window) if item.item_id == item_id), None)
        if found is not None:
            return found
        rare = await self.memories.uses(item_id=item_id, scope=scope, uid=owner, limit=window)
        return next((item for item in await self._judged(rare, scope, owner) if item.item_id == item_id), None)

    async def review(self, trace_id: str, *, uid: str | None) -> list[Quarantined]:
        """Take out of use the items of a run that do harm, now that its outcome is known; return them. The same again does nothing more.

        It reads one row where the run says nothing against its items.
        """
        found = await self.memories.uses(trace_id=trace_id, uid=uid, limit=1)
        if not found:
            return []
        use = found[0]
        accused = {item.item_id for item in use.items if _speaks_against(use, item)}
        if not accused:
            return []
        uses = await self.memories.uses(scope=use.scope, uid=use.uid, limit=WINDOW)
        suspects: set[str] = set()
        done: list[Quarantined] = []
        for item_id, chances in item_chances(uses, accused).items():
            standing = await self._standing(item_id, chances, uses, uid=use.uid)
            out = await self._quarantine(item_id, chances, standing, use) if standing.stage == "quarantine" else None
            if out is not None:
                done.append(out)
            elif standing.stage != "trusted":
                suspects.add(item_id)
        self._note(use.scope, use.uid, accused, suspects)
        return done

    async def put_back(self, item_id: str, *, by: str | None = None, uid: str | None = None) -> Experience:
        """Put an item into use, and return it; from now on it is judged by the runs to come.

        What waits in the shadow (quarantined, or worded by a model) is told from now on; of any other the last closing is taken back.

        Raises:
            ExperienceNotFound, BadInput: there is none, or nothing to take back.
        """
        self._known.clear()
        found = await self.memories.get(item_id, uid=uid)
        if found is None or found.state not in WAITING:
            return await self.memories.restore(item_id, by=by, uid=uid)
        return await self.memories.set_state(item_id, "active", by=by, reason="put into use", uid=uid)

    async def on_probation(self, scope: str, *, uid: str | None) -> frozenset[str]:
        """Return the ids of items that the toss of a coin decides about, where they are told at all: also of harmful ones that stay in use.

        It may be behind what other processes recorded by `REFRESH_AFTER` runs: that is no fault, since each run records the
        chance by which its items were drawn.
        """
        known = self._known.pop((scope, uid), None)
        if known is None or known[1] >= REFRESH_AFTER:
            known = (await self._suspects(scope, uid), 0)
        self._known[scope, uid] = (known[0], known[1] + 1)
        if len(self._known) > MAX_REMEMBERED:
            self._known.popitem(last=False)
        return known[0]

    def _note(self, scope: str, uid: str | None, looked_at: AbstractSet[str], suspects: AbstractSet[str]) -> None:
        """Keep what was found of some items of a scope, where its others are known."""
        known = self._known.get((scope, uid))
        if known is not None:
            self._known[scope, uid] = ((known[0] - looked_at) | suspects, known[1])

    async def _suspects(self, scope: str, uid: str | None) -> frozenset[str]:
        uses = await self.memories.uses(scope=scope, uid=uid, limit=WINDOW)
        chances = {item_id: found for item_id, found in item_chances(uses).items() if may_be_suspected(found)}
        standings = {item_id: await self._standing(item_id, found, uses, uid=uid) for item_id, found in chances.items()}
        return frozenset(item_id for item_id, standing in standings.items() if standing.stage != "trusted")

    async def _judged(self, uses: Sequence[Use], scope: str, uid: str | None) -> list[ItemLift]:
        items = item_lifts(uses, scope)
        for at, item in enumerate(items):
            if item.stage != "trusted":
                found = item_chances(uses, {item.item_id})[item.item_id]
                items[at] = with_standing(item, await self._standing(item.item_id, found, uses, uid=uid))
        return items

    async def _standing(self, item_id: str, found: Sequence[Chance], uses: Sequence[Use], *, uid: str | None) -> Standing:
        """Return how an item stands after the runs since somebody last changed it: a restored or edited one begins anew."""
        standing = standing_of(found)
        if standing.stage == "trusted":
            return standing
        changes = await self.memories.history(item_id=item_id, uid=uid)
        moments = [change["at"] for change in changes if change["change"] in BEGIN_ANEW and change["by"] != QUARANTINE]
        if not moments:
            return standing
        since = max(moments)
        return standing_of(item_chances([use for use in uses if use.at > since], {item_id}).get(item_id, []))

    async def _quarantine(self, item_id: str, found: Sequence[Chance], standing: Standing, use: Use) -> Quarantined | None:
        kind = next(item.kind for item in use.items if item.item_id == item_id)
        experience = await self.memories.get(item_id, uid=use.uid)
        if experience is None and kind == "advice":
            experience = await self._stand_in(item_id, use)
        if not isinstance(experience, Experience) or experience.state != "active":
            return None
        if experience.uid != use.uid:  # shared: what one owner's people say of their runs takes nothing from the others
            return None
        reason = _reason(found, standing)
        try:
            await self.memories.set_state(item_id, "shadow", by=QUARANTINE, reason=reason, uid=use.uid)
        except ExperienceNotFound:
            return None  # forgotten meanwhile
        return Quarantined(item_id=item_id, kind=kind, reason=reason)

    async def _stand_in(self, item_id: str, use: Use) -> Experience | None:
        """Record an experience for the cases of a tool, so that it has a state that people can see and change."""
        cases = await self.memories.cases(uid=use.uid, scopes=[use.scope], limit=MAX_CASES)
        tool = next((case.tool for case in cases if item_id_of(use.scope, use.uid, case.tool) == item_id), None)
        if tool is None:
            return None
        experience = Experience.create(
            use.scope, "what was tried on such requests, and how it ended", f"use {tool}", source=FROM_CASES, experience_id=item_id, uid=use.uid
        )
        await self.memories.add_experience(experience)
        return experience


def _speaks_against(use: Use, item: Used) -> bool:
    """Whether a run adds to the evidence that an item does harm: it was told and went badly, or spared and went well."""
    if use.outcome is None or item.arm not in {"injected", "withheld"}:
        return False
    return (use.outcome < HALF) == (item.arm == "injected")


def _reason(found: Sequence[Chance], standing: Standing) -> str:
    told, withheld = (_share(found, is_told=is_told) for is_told in (True, False))
    return (
        f"runs go worse with it: of those that were told it {told} went well, of those that chance kept it from {withheld} (e-value {standing.harm.value:.0f})"
    )


def _share(found: Sequence[Chance], *, is_told: bool) -> str:
    outcomes = [one.outcome for one in found if one.outcome is not None and one.is_told == is_told and 0 < one.propensity < 1]
    return f"{sum(outcomes):.3g} of {len(outcomes)}"
