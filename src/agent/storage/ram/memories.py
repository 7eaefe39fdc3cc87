"""A memory that lives as long as its process."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from agent.clock import now as clock_now
from agent.clock import to_ms
from agent.core.rank import MIN_RELEVANCE
from agent.errors import ExperienceNotFound
from agent.models.learning import Case, Found, Signal, Use
from agent.models.memory import Experience, Skill
from agent.storage import memory_forgetting, memory_learning, memory_rules, memory_uses
from agent.storage.arguments import checks_arguments
from agent.storage.learning_port import RunCount, Sources
from agent.storage.memory_chain import Entry, check_log
from agent.storage.memory_log import MAX_ITEM_BYTES, OF_USES, Item, id_of, is_visible, listed_kind, moment, state_of, told_of
from agent.storage.memory_search import question
from agent.storage.protocols import Verified
from agent.storage.ram.memory_shelves import RamLedger, visible_items


@checks_arguments()
class RamMemoryStore:
    """A `LearningStore` without a disk. `now` is asked for the moment; what scores `min_relevance` or less is not found."""

    def __init__(self, *, now: Callable[[], datetime] = clock_now, min_relevance: float = MIN_RELEVANCE, max_item_bytes: int = MAX_ITEM_BYTES) -> None:
        self._now = now
        self._min_relevance = min_relevance
        self._ledger = RamLedger(max_item_bytes)

    async def add_experience(self, experience: Experience) -> str:
        """Record an experience and return its id; see `MemoryStore`.

        Raises:
            BadInput: it cannot be recorded, or its id is another owner's.
        """
        return memory_rules.add_experience(self._ledger, experience, at=self._moment())

    async def add_skill(self, skill: Skill) -> str:
        """Record a skill and return its id; see `MemoryCurator`.

        Raises:
            BadInput: it cannot be recorded, or its id is that of something else.
        """
        return memory_rules.add_skill(self._ledger, skill, at=self._moment())

    async def search_experiences(self, scope: str, query: str, *, uid: str | None = None, limit: int = 5) -> list[Experience]:
        """Return active, valid experiences of the scope that fit the query, best first."""
        found = await self.ranked("experience", scope, query, uid=uid, limit=limit)
        return [one.item for one in found if isinstance(one.item, Experience)]

    async def search_skills(self, scope: str, query: str, *, uid: str | None = None, limit: int = 5) -> list[Skill]:
        """Return active skills of the scope that fit the query, best first."""
        found = await self.ranked("skill", scope, query, uid=uid, limit=limit)
        return [one.item for one in found if isinstance(one.item, Skill)]

    async def ranked(self, kind: str, scope: str, query: str, *, uid: str | None = None, limit: int = 5) -> list[Found]:
        """Return what the searches return, each with its score (see `core.rank`)."""
        return await self.search(query, scopes=(scope,), kind=kind, uid=uid, limit=limit)

    async def search(
        self,
        query: str,
        *,
        scopes: Sequence[str],
        kind: str = "experience",
        uid: str | None = None,
        states: Sequence[str] = ("active",),
        limit: int = 5,
        floor: float | None = None,
    ) -> list[Found]:
        """Return what fits a query, best first; see `LearningStore`."""
        asked = question(
            query,
            scopes=scopes,
            kind=kind,
            uid=uid,
            states=states,
            now_ms=to_ms(self._now()),
            limit=limit,
            floor=self._min_relevance if floor is None else floor,
        )
        return [Found(item, score) for item, score in self._ledger.search(asked)]

    async def get(self, item_id: str, *, uid: str | None = None) -> Experience | Skill | None:
        """Return an experience or skill by its id, or None (also where it is another uid's)."""
        item = self._ledger.find(item_id)
        return item if item is not None and not isinstance(item, Case) and is_visible(item.uid, uid) else None

    async def retire(self, item_id: str, *, by: str | None = None, uid: str | None = None) -> None:
        """Take an item out of use; it stays on the record.

        Raises:
            ExperienceNotFound: there is none (or it is another uid's).
        """
        memory_rules.retire(self._ledger, item_id, at=self._moment(), by=by, uid=uid)

    async def supersede(self, item_id: str, successor: Experience, *, by: str | None = None, uid: str | None = None) -> str:
        """Close an experience and record its successor in one commit; return the new id.

        Raises:
            ExperienceNotFound: there is none (or it is another uid's).
            BadInput: it was superseded by another, or the successor does not fit it.
        """
        return memory_rules.supersede(self._ledger, item_id, successor, at=self._moment(), by=by, uid=uid)

    async def promote(self, item_id: str, *, by: str, uid: str | None = None) -> None:
        """Share an owned item within its scope; who did it is recorded.

        Raises:
            ExperienceNotFound: there is none (or it is another uid's).
        """
        memory_rules.promote(self._ledger, item_id, at=self._moment(), by=by, uid=uid)

    async def forget(self, item_id: str, *, by: str | None = None, uid: str | None = None) -> None:
        """Remove an item's words; that it was forgotten stays known.

        Raises:
            ExperienceNotFound: there is none (or it is another uid's).
        """
        memory_rules.forget(self._ledger, item_id, at=self._moment(), by=by, uid=uid)

    async def verify(self, *, head: str | None = None) -> Verified:
        """Check the log against its chain; see `MemoryCurator`.

        Raises:
            StoreUnusable: something was changed, removed, added or moved; says what.
        """
        return check_log((Entry(n, c, *p) for n, (c, p) in enumerate(zip(self._ledger.changes, self._ledger.pledges, strict=True), 1)), head)

    async def history(self, *, uid: str | None = None, item_id: str | None = None) -> list[dict[str, Any]]:
        """Return the log, oldest first; see `memory_log.told_of`. Entries about uses only with `item_id`, the run."""
        entries = enumerate(self._ledger.changes, 1) if item_id is None else self._ledger.numbered(item_id)
        shown = ((n, entry) for n, entry in entries if is_visible(entry.uid, uid) and (item_id is not None or entry.change not in OF_USES))
        return [told_of(n, entry, with_item=item_id is not None) for n, entry in shown]

    async def add_cases(self, cases: Sequence[Case]) -> None:
        """Record cases in one commit; see `LearningStore`.

        Raises:
            BadInput: one cannot be recorded; nothing was.
        """
        memory_learning.add_cases(self._ledger, cases, at=self._moment())

    async def cases(
        self,
        *,
        uid: str | None = None,
        scopes: Sequence[str] | None = None,
        tool: str | None = None,
        trace_id: str | None = None,
        limit: int | None = None,
        before: str | None = None,
    ) -> list[Case]:
        """Return cases, newest first; see `LearningStore`.

        Raises:
            ExperienceNotFound: there is no case `before` (or it is another uid's).
        """
        wanted = [case for case in visible_items(self._ledger, "case", uid) if isinstance(case, Case)]
        wanted = [c for c in wanted if (scopes is None or c.scope in scopes) and tool in {None, c.tool} and trace_id in {None, c.trace_id}]
        return [item for item in self._page(wanted, uid, limit, before) if isinstance(item, Case)]

    async def edit(self, item_id: str, changes: Mapping[str, Any], *, by: str | None = None, uid: str | None = None) -> Experience:
        """Record a new version of an experience and return it; see `LearningStore`.

        Raises:
            ExperienceNotFound, BadInput: nothing was changed.
        """
        return memory_learning.edit(self._ledger, item_id, changes, at=self._moment(), by=by, uid=uid)

    async def set_state(self, item_id: str, state: str, *, by: str | None = None, reason: str = "", uid: str | None = None) -> Experience:
        """Make an experience candidate, shadow, active or retired; see `LearningStore`.

        Raises:
            ExperienceNotFound, BadInput: no such item or state, or it was superseded.
        """
        return memory_learning.set_state(self._ledger, item_id, state, at=self._moment(), by=by, reason=reason, uid=uid)

    async def restore(self, item_id: str, *, by: str | None = None, uid: str | None = None) -> Experience:
        """Take the last closing of an experience back; see `LearningStore`.

        Raises:
            ExperienceNotFound, BadInput: there is none, or nothing to take back.
        """
        return memory_learning.restore(self._ledger, item_id, at=self._moment(), by=by, uid=uid)

    async def forget_from(self, sources: Sources, *, by: str | None = None, is_dry_run: bool = False) -> list[str]:
        """Remove all that came from somewhere, with what was derived from it; see `LearningStore`.

        Raises:
            BadInput: nothing was given to go by.
        """
        return memory_forgetting.forget_from(self._ledger, sources, at=self._moment(), by=by, is_dry_run=is_dry_run)

    async def record_use(self, use: Use) -> Use:
        """Record what a run was told and return it with its number; see `LearningStore`.

        Raises:
            BadInput: it cannot be recorded.
        """
        return memory_uses.record_use(self._ledger, use, at=self._moment())

    async def record_outcome(self, trace_id: str, value: float | None, *, signal: Signal, by: str | None = None, uid: str | None = None) -> None:
        """Set how a run went; see `LearningStore`.

        Raises:
            BadInput: the value is not 0 to 1, or the signal is not known.
        """
        memory_uses.record_outcome(self._ledger, trace_id, value, at=self._moment(), signal=signal, by=by, uid=uid)

    async def uses(
        self,
        *,
        uid: str | None = None,
        scope: str | None = None,
        item_id: str | None = None,
        trace_id: str | None = None,
        since: datetime | None = None,
        limit: int | None = None,
    ) -> list[Use]:
        """Return uses, newest first; see `LearningStore`."""
        found = (told.use for told in reversed(self._ledger.uses.values()) if is_visible(told.use.uid, uid))
        chosen = [
            use
            for use in found
            if scope in {None, use.scope}
            and trace_id in {None, use.trace_id}
            and (since is None or to_ms(use.at) >= to_ms(since))
            and (item_id is None or any(used.item_id == item_id for used in use.items))
        ]
        return chosen[: None if limit is None else max(limit, 0)]

    async def run_count(self, scope: str, *, uid: str | None) -> RunCount:
        """Return how many runs of exactly this scope and owner were recorded."""
        return memory_uses.count_of(self._ledger.last_use(scope, uid))

    def _moment(self) -> datetime:
        return moment(self._now())

    def _page(self, items: Iterable[Item], uid: str | None, limit: int | None, before: str | None) -> list[Item]:
        """Return items, newest first, from after `before` on.

        Raises:
            ExperienceNotFound: there is no item `before` (or it is another uid's).
        """
        found = sorted((_age(item), item) for item in items)
        if before is not None:
            last = self._ledger.find(before)
            if last is None or not is_visible(last.uid, uid):
                raise ExperienceNotFound(before, "list from the start again")
            found = [(age, item) for age, item in found if age < _age(last)]
        return [item for _, item in reversed(found)][: None if limit is None else max(limit, 0)]

    async def list(
        self,
        *,
        uid: str | None = None,
        scope: str | None = None,
        state: str | None = None,
        kind: str = "experience",
        limit: int | None = None,
        before: str | None = None,
    ) -> list[Experience] | list[Skill]:
        """Return experiences (or with `kind="skill"` skills), newest first; `before` is an id: only older ones.

        Raises:
            BadInput: the kind is not known.
            ExperienceNotFound: there is no item `before` (or it is another uid's).
        """
        wanted = listed_kind(kind)
        chosen = [i for i in visible_items(self._ledger, wanted, uid) if scope in {None, i.scope} and state in {None, state_of(i)}]
        newest = self._page(chosen, uid, limit, before)
        if wanted == "skill":
            return [item for item in newest if isinstance(item, Skill)]
        return [item for item in newest if isinstance(item, Experience)]


def _age(item: Item) -> tuple[int, str]:
    return to_ms(item.created_at), id_of(item)
