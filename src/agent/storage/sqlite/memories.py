"""A memory in a SQLite file, beside the record of runs."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from agent.clock import now as clock_now
from agent.clock import to_ms
from agent.core.rank import MIN_RELEVANCE, rank
from agent.core.text import query_tokens
from agent.errors import ExperienceNotFound
from agent.models.learning import Case
from agent.models.memory import Experience, Skill
from agent.storage import memory_rules
from agent.storage.arguments import checks_arguments
from agent.storage.memory_log import MAX_ITEM_BYTES, Item, ItemKind, checked_kind, is_visible, moment
from agent.storage.protocols import Verified
from agent.storage.sqlite import memory_evidence
from agent.storage.sqlite.database import Database
from agent.storage.sqlite.journal import empty_journal
from agent.storage.sqlite.memory_tables import SqliteLedger, entries, items_of, matches, newest
from agent.storage.sqlite.owners import owner_of
from agent.storage.sqlite.parts import Part, blank
from agent.storage.unicode import findable

T = TypeVar("T")


@checks_arguments()
class SqliteMemoryStore:
    """A `MemoryCurator` in a file. `now` is asked for the moment; what scores `min_relevance` or less is not found."""

    def __init__(
        self,
        database: Database,
        *,
        now: Callable[[], datetime] = clock_now,
        min_relevance: float = MIN_RELEVANCE,
        max_item_bytes: int = MAX_ITEM_BYTES,
    ) -> None:
        self._database = database
        self._part = Part(database, "memory")
        self._now = now
        self._min_relevance = min_relevance
        self._max_item_bytes = max_item_bytes
        self._is_indexed = False  # by this program's tokenizer, as far as is known

    async def add_experience(self, experience: Experience) -> str:
        """Record an experience and return its id; see `MemoryStore`.

        Raises:
            BadInput: it cannot be recorded, or its id is another owner's.
        """
        at = moment(self._now())
        return await self._write(lambda ledger: memory_rules.add_experience(ledger, experience, at=at))

    async def add_skill(self, skill: Skill) -> str:
        """Record a skill and return its id; see `MemoryCurator`.

        Raises:
            BadInput: it cannot be recorded, or its id is that of something else.
        """
        at = moment(self._now())
        return await self._write(lambda ledger: memory_rules.add_skill(ledger, skill, at=at))

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
        words = query_tokens(query)
        if not words:
            return []
        place = {"kind": kind, "scope": findable(scope), "owner": _seen_by(uid), "now": to_ms(self._now())}
        await self._index()
        return await self._part.read(lambda db: _best(db, words, place, floor=self._min_relevance, limit=max(limit, 0)))

    async def get(self, item_id: str, *, uid: str | None = None) -> Experience | Skill | None:
        """Return an experience or skill by its id, or None (also where it is another uid's)."""
        item = await self._part.read(lambda db: SqliteLedger(db).find(item_id), is_small=True)
        return item if item is not None and not isinstance(item, Case) and is_visible(item.uid, uid) else None

    async def retire(self, item_id: str, *, by: str | None = None, uid: str | None = None) -> None:
        """Take an item out of use; it stays on the record.

        Raises:
            ExperienceNotFound: there is none (or it is another uid's).
        """
        at = moment(self._now())
        await self._write(lambda ledger: memory_rules.retire(ledger, item_id, at=at, by=by, uid=uid))

    async def supersede(self, item_id: str, successor: Experience, *, by: str | None = None, uid: str | None = None) -> str:
        """Close an experience and record its successor in one commit; return the new id.

        Raises:
            ExperienceNotFound: there is none (or it is another uid's).
            BadInput: it was superseded by another, or the successor does not fit it.
        """
        at = moment(self._now())
        return await self._write(lambda ledger: memory_rules.supersede(ledger, item_id, successor, at=at, by=by, uid=uid))

    async def promote(self, item_id: str, *, by: str, uid: str | None = None) -> None:
        """Share an owned item within its scope; who did it is recorded.

        Raises:
            ExperienceNotFound: there is none (or it is another uid's).
        """
        at = moment(self._now())
        await self._write(lambda ledger: memory_rules.promote(ledger, item_id, at=at, by=by, uid=uid))

    async def forget(self, item_id: str, *, by: str | None = None, uid: str | None = None) -> None:
        """Remove an item's words from the file and its journal; that it was forgotten stays known.

        While another process reads, the journal keeps them until its next checkpoint.

        Raises:
            ExperienceNotFound: there is none (or it is another uid's).
        """
        at = moment(self._now())
        await self._write(lambda ledger: memory_rules.forget(ledger, item_id, at=at, by=by, uid=uid))
        await self._database.alone(empty_journal)

    async def history(self, *, uid: str | None = None, item_id: str | None = None) -> list[dict[str, Any]]:
        """Return the log, oldest first: number, at, change, item_id, by, uid."""
        return await self._part.read(lambda db: entries(db, uid=uid, item_id=item_id))

    async def verify(self, *, head: str | None = None) -> Verified:
        """Check the log against its chain, and items, shelves and postings against the log; see `MemoryCurator`.

        Raises:
            StoreUnusable: something was changed, removed, added or moved; says what.
        """
        return await self._part.read(lambda db: memory_evidence.verify(db, lambda: blank("memory"), head))

    async def rebuild(self) -> None:
        """Make the tables of items and their index anew from the log; what they hold is the same afterwards."""
        await self._part.write(lambda db: SqliteLedger(db).rebuild())

    async def _write(self, change: Callable[[SqliteLedger], T]) -> T:
        await self._index()
        return await self._part.write(lambda db: change(SqliteLedger(db, self._max_item_bytes)))

    async def _index(self) -> None:
        """See to it that what is stored and what is asked was cut into tokens alike."""
        if self._is_indexed:
            return
        if not await self._part.read(lambda db: SqliteLedger(db).is_indexed(), is_small=True):
            await self.rebuild()
        self._is_indexed = True

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
        filters = {"kind": wanted, "owner": _seen_by(uid), "scope": scope and findable(scope), "state": state and findable(state)}
        last = None if before is None else await self.get(before, uid=uid)
        if before is not None and last is None:
            raise ExperienceNotFound(before, "list from the start again")
        seen = {"created": last and to_ms(last.created_at), "id": before}
        items = await self._part.read(lambda db: newest(db, {**filters, **seen}, limit=limit))
        if wanted == "skill":
            return [item for item in items if isinstance(item, Skill)]
        return [item for item in items if isinstance(item, Experience)]


def _seen_by(uid: str | None) -> str | bytes | None:
    """Return whose items a uid sees beside nobody's; None: everybody's."""
    return None if uid is None else findable(owner_of(uid))


def _best(db: sqlite3.Connection, words: Sequence[str], place: Mapping[str, Any], *, floor: float, limit: int) -> list[tuple[Item, float]]:
    db.execute("begin")  # one snapshot for both questions
    try:
        candidates, corpus = matches(db, words, place)
        best = rank(words, candidates, corpus, floor=floor, limit=limit)
        items = items_of(db, [found.item_id for found in best])
    finally:
        db.execute("rollback")
    return [(items[found.item_id], found.score) for found in best]
