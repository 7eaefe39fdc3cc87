"""A memory that lives as long as its process."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from agent.clock import now as clock_now
from agent.clock import to_ms
from agent.core.rank import MIN_RELEVANCE, Candidate, Corpus, rank
from agent.core.text import query_tokens, tokens
from agent.errors import ExperienceNotFound
from agent.models.memory import Experience, Skill
from agent.models.value import replace
from agent.storage import memory_rules
from agent.storage.arguments import checks_arguments
from agent.storage.memory_chain import Entry, Pledge, check_log, pledge
from agent.storage.memory_log import MAX_ITEM_BYTES, Change, Item, ItemKind, checked_kind, id_of, is_in_use, is_visible, kind_of, moment, searched_text
from agent.storage.protocols import Verified


class _Entry(NamedTuple):
    item: Item
    counts: Counter[str]
    length: int


class _Ledger:
    """The log and what it amounts to; see `memory_rules.Ledger`."""

    def __init__(self, max_item_bytes: int) -> None:
        self.max_item_bytes = max_item_bytes
        self.changes: list[Change] = []
        self.pledges: list[Pledge] = []
        self.entries: dict[str, _Entry] = {}
        self.forgotten: set[str] = set()

    def find(self, item_id: str) -> Item | None:
        entry = self.entries.get(item_id)
        return entry and entry.item

    def skill_named(self, scope: str, uid: str | None, name: str) -> Skill | None:
        for entry in self.entries.values():
            if isinstance(entry.item, Skill) and (entry.item.scope, entry.item.uid, entry.item.name, entry.item.state) == (scope, uid, name, "active"):
                return entry.item
        return None

    def was_forgotten(self, item_id: str) -> bool:
        return item_id in self.forgotten

    def record(self, change: Change, after: Item | None) -> None:
        self.changes.append(change)
        self.pledges.append(pledge(self.pledges[-1].link if self.pledges else b"", len(self.changes), change))
        if after is None:
            del self.entries[change.item_id]
            self.forgotten.add(change.item_id)
            return
        words = tokens(searched_text(after))
        self.entries[change.item_id] = _Entry(after, Counter(words), len(words))

    def erase(self, item_id: str) -> None:
        for place, change in enumerate(self.changes):
            if change.item_id == item_id and change.data is not None:
                self.changes[place], self.pledges[place] = replace(change, data=None), self.pledges[place]._replace(salt=None)


@checks_arguments()
class RamMemoryStore:
    """A `MemoryCurator` without a disk. `now` is asked for the moment; what scores `min_relevance` or less is not found."""

    def __init__(self, *, now: Callable[[], datetime] = clock_now, min_relevance: float = MIN_RELEVANCE, max_item_bytes: int = MAX_ITEM_BYTES) -> None:
        self._now = now
        self._min_relevance = min_relevance
        self._ledger = _Ledger(max_item_bytes)

    async def add_experience(self, experience: Experience) -> str:
        """Record an experience and return its id; see `MemoryStore`.

        Raises:
            BadInput: it cannot be recorded, or its id is another owner's.
        """
        return memory_rules.add_experience(self._ledger, experience, at=moment(self._now()))

    async def add_skill(self, skill: Skill) -> str:
        """Record a skill and return its id; see `MemoryCurator`.

        Raises:
            BadInput: it cannot be recorded, or its id is that of something else.
        """
        return memory_rules.add_skill(self._ledger, skill, at=moment(self._now()))

    async def search_experiences(self, scope: str, query: str, *, uid: str | None = None, limit: int = 5) -> list[Experience]:
        """Return active, valid experiences of the scope that fit the query, best first."""
        found = await self.ranked("experience", scope, query, uid=uid, limit=limit)
        return [item for item, _ in found if isinstance(item, Experience)]

    async def search_skills(self, scope: str, query: str, *, uid: str | None = None, limit: int = 5) -> list[Skill]:
        """Return active skills of the scope that fit the query, best first."""
        found = await self.ranked("skill", scope, query, uid=uid, limit=limit)
        return [item for item, _ in found if isinstance(item, Skill)]

    async def ranked(self, kind: ItemKind, scope: str, query: str, *, uid: str | None = None, limit: int = 5) -> list[tuple[Item, float]]:
        """Return what the searches return, each with its score (see `core.rank`)."""
        words, now_ms = query_tokens(query), to_ms(self._now())
        corpus = [
            entry
            for entry in self._ledger.entries.values()
            if entry.item.scope == scope and kind_of(entry.item) == kind and is_visible(entry.item.uid, uid) and is_in_use(entry.item, now_ms)
        ]
        candidates = []
        for entry in corpus:
            counts = {word: entry.counts[word] for word in words if word in entry.counts}
            if counts:
                candidates.append(Candidate(id_of(entry.item), to_ms(entry.item.created_at), entry.length, counts))
        size = Corpus(len(corpus), sum(entry.length for entry in corpus))
        best = rank(words, candidates, size, floor=self._min_relevance, limit=max(limit, 0))
        return [(self._ledger.entries[found.item_id].item, found.score) for found in best]

    async def get(self, item_id: str, *, uid: str | None = None) -> Experience | Skill | None:
        """Return an experience or skill by its id, or None (also where it is another uid's)."""
        item = self._ledger.find(item_id)
        return item if item is not None and is_visible(item.uid, uid) else None

    async def retire(self, item_id: str, *, by: str | None = None, uid: str | None = None) -> None:
        """Take an item out of use; it stays on the record.

        Raises:
            ExperienceNotFound: there is none (or it is another uid's).
        """
        memory_rules.retire(self._ledger, item_id, at=moment(self._now()), by=by, uid=uid)

    async def supersede(self, item_id: str, successor: Experience, *, by: str | None = None, uid: str | None = None) -> str:
        """Close an experience and record its successor in one commit; return the new id.

        Raises:
            ExperienceNotFound: there is none (or it is another uid's).
            BadInput: it was superseded by another, or the successor does not fit it.
        """
        return memory_rules.supersede(self._ledger, item_id, successor, at=moment(self._now()), by=by, uid=uid)

    async def promote(self, item_id: str, *, by: str, uid: str | None = None) -> None:
        """Share an owned item within its scope; who did it is recorded.

        Raises:
            ExperienceNotFound: there is none (or it is another uid's).
        """
        memory_rules.promote(self._ledger, item_id, at=moment(self._now()), by=by, uid=uid)

    async def forget(self, item_id: str, *, by: str | None = None, uid: str | None = None) -> None:
        """Remove an item's words; that it was forgotten stays known.

        Raises:
            ExperienceNotFound: there is none (or it is another uid's).
        """
        memory_rules.forget(self._ledger, item_id, at=moment(self._now()), by=by, uid=uid)

    async def verify(self, *, head: str | None = None) -> Verified:
        """Check the log against its chain; see `MemoryCurator`.

        Raises:
            StoreUnusable: something was changed, removed, added or moved; says what.
        """
        return check_log((Entry(n, c, *p) for n, (c, p) in enumerate(zip(self._ledger.changes, self._ledger.pledges, strict=True), 1)), head)

    async def history(self, *, uid: str | None = None, item_id: str | None = None) -> list[dict[str, Any]]:
        """Return the log, oldest first: number, at, change, item_id, by, uid."""
        return [
            {"number": number, "at": entry.at, "change": entry.change, "item_id": entry.item_id, "by": entry.by, "uid": entry.uid}
            for number, entry in enumerate(self._ledger.changes, 1)
            if is_visible(entry.uid, uid) and item_id in {None, entry.item_id}
        ]

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
        wanted = checked_kind(kind)
        found = sorted(
            (_age(entry.item), entry.item)
            for entry in self._ledger.entries.values()
            if kind_of(entry.item) == wanted
            and is_visible(entry.item.uid, uid)
            and (scope is None or entry.item.scope == scope)
            and (state is None or entry.item.state == state)
        )
        if before is not None:
            last = await self.get(before, uid=uid)
            if last is None:
                raise ExperienceNotFound(before, "list from the start again")
            found = [(age, item) for age, item in found if age < _age(last)]
        newest = [item for _, item in reversed(found)][: None if limit is None else max(limit, 0)]
        if wanted == "skill":
            return [item for item in newest if isinstance(item, Skill)]
        return [item for item in newest if isinstance(item, Experience)]


def _age(item: Item) -> tuple[int, str]:
    return to_ms(item.created_at), id_of(item)
