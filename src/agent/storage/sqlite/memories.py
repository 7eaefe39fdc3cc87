"""A memory in a SQLite file, beside the record of runs."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from agent.clock import now as clock_now
from agent.clock import to_ms
from agent.core.rank import MIN_RELEVANCE
from agent.errors import ExperienceNotFound
from agent.models.learning import Case, Found, Signal, Use
from agent.models.memory import Experience, Skill
from agent.storage import memory_forgetting, memory_learning, memory_rules, memory_uses
from agent.storage.arguments import checks_arguments
from agent.storage.learning_port import RunCount, Sources
from agent.storage.memory_log import MAX_ITEM_BYTES, Item, is_visible, listed_kind, moment
from agent.storage.memory_search import question
from agent.storage.protocols import Verified
from agent.storage.sqlite import memory_best, memory_evidence, memory_queries
from agent.storage.sqlite.database import Database
from agent.storage.sqlite.journal import empty_journal
from agent.storage.sqlite.memory_tables import SPOKEN, SqliteLedger
from agent.storage.sqlite.parts import Part, blank
from agent.storage.unicode import findable

T = TypeVar("T")


@checks_arguments()
class SqliteMemoryStore:
    """A `LearningStore` in a file. `now` is asked for the moment; what scores `min_relevance` or less is not found."""

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
        at = self._moment()
        return await self._write(lambda ledger: memory_rules.add_experience(ledger, experience, at=at))

    async def add_skill(self, skill: Skill) -> str:
        """Record a skill and return its id; see `MemoryCurator`.

        Raises:
            BadInput: it cannot be recorded, or its id is that of something else.
        """
        at = self._moment()
        return await self._write(lambda ledger: memory_rules.add_skill(ledger, skill, at=at))

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
        least = self._min_relevance if floor is None else floor
        now_ms = to_ms(self._now())
        asked = question(query, scopes=scopes, kind=kind, uid=uid, states=states, now_ms=now_ms, limit=limit, floor=least)
        if not asked.words or not asked.scopes:
            return []
        await self._index()
        return await self._part.read(lambda db: memory_best.best(db, asked))

    async def get(self, item_id: str, *, uid: str | None = None) -> Experience | Skill | None:
        """Return an experience or skill by its id, or None (also where it is another uid's)."""
        item = await self._part.read(lambda db: SqliteLedger(db).find(item_id), is_small=True)
        return item if item is not None and not isinstance(item, Case) and is_visible(item.uid, uid) else None

    async def retire(self, item_id: str, *, by: str | None = None, uid: str | None = None) -> None:
        """Take an item out of use; it stays on the record.

        Raises:
            ExperienceNotFound: there is none (or it is another uid's).
        """
        at = self._moment()
        await self._write(lambda ledger: memory_rules.retire(ledger, item_id, at=at, by=by, uid=uid))

    async def supersede(self, item_id: str, successor: Experience, *, by: str | None = None, uid: str | None = None) -> str:
        """Close an experience and record its successor in one commit; return the new id.

        Raises:
            ExperienceNotFound: there is none (or it is another uid's).
            BadInput: it was superseded by another, or the successor does not fit it.
        """
        at = self._moment()
        return await self._write(lambda ledger: memory_rules.supersede(ledger, item_id, successor, at=at, by=by, uid=uid))

    async def promote(self, item_id: str, *, by: str, uid: str | None = None) -> None:
        """Share an owned item within its scope; who did it is recorded.

        Raises:
            ExperienceNotFound: there is none (or it is another uid's).
        """
        at = self._moment()
        await self._write(lambda ledger: memory_rules.promote(ledger, item_id, at=at, by=by, uid=uid))

    async def forget(self, item_id: str, *, by: str | None = None, uid: str | None = None) -> None:
        """Remove an item's words from the file and its journal; that it was forgotten stays known.

        What holds words is written anew (.05 ms an item of the whole memory): forget many things at once with `forget_from`.
        While another process reads, the journal keeps them until its next checkpoint.

        Raises:
            ExperienceNotFound: there is none (or it is another uid's).
        """
        at = self._moment()
        await self._write(lambda ledger: memory_rules.forget(ledger, item_id, at=at, by=by, uid=uid))
        await self._scrub()

    async def history(self, *, uid: str | None = None, item_id: str | None = None) -> list[dict[str, Any]]:
        """Return the log, oldest first; see `memory_log.told_of`. Entries about uses only with `item_id`, the run."""
        return await self._part.read(lambda db: memory_queries.entries(db, uid=uid, item_id=item_id))

    async def verify(self, *, head: str | None = None) -> Verified:
        """Check the log against its chain, and items, shelves and postings against the log; see `MemoryCurator`.

        Raises:
            StoreUnusable: something was changed, removed, added or moved; says what.
        """
        return await self._part.read(lambda db: memory_evidence.verify(db, lambda: blank("memory"), head))

    async def add_cases(self, cases: Sequence[Case]) -> None:
        """Record cases in one commit; see `LearningStore`.

        Raises:
            BadInput: one cannot be recorded; nothing was.
        """
        at = self._moment()
        await self._write(lambda ledger: memory_learning.add_cases(ledger, cases, at=at))

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
        filters = {"kind": "case", "tool": tool, "trace_id": trace_id}
        return [item for item in await self._page(filters, scopes, uid, limit, before) if isinstance(item, Case)]

    async def edit(self, item_id: str, changes: Mapping[str, Any], *, by: str | None = None, uid: str | None = None) -> Experience:
        """Record a new version of an experience and return it; see `LearningStore`.

        Raises:
            ExperienceNotFound, BadInput: nothing was changed.
        """
        at = self._moment()
        return await self._write(lambda ledger: memory_learning.edit(ledger, item_id, changes, at=at, by=by, uid=uid))

    async def set_state(self, item_id: str, state: str, *, by: str | None = None, reason: str = "", uid: str | None = None) -> Experience:
        """Make an experience candidate, shadow, active or retired; see `LearningStore`.

        Raises:
            ExperienceNotFound, BadInput: no such item or state, or it was superseded.
        """
        at = self._moment()
        return await self._write(lambda ledger: memory_learning.set_state(ledger, item_id, state, at=at, by=by, reason=reason, uid=uid))

    async def restore(self, item_id: str, *, by: str | None = None, uid: str | None = None) -> Experience:
        """Take the last closing of an experience back; see `LearningStore`.

        Raises:
            ExperienceNotFound, BadInput: there is none, or nothing to take back.
        """
        at = self._moment()
        return await self._write(lambda ledger: memory_learning.restore(ledger, item_id, at=at, by=by, uid=uid))

    async def forget_from(self, sources: Sources, *, by: str | None = None, is_dry_run: bool = False) -> list[str]:
        """Remove all that came from somewhere, with what was derived from it; see `LearningStore`.

        What the runs themselves say is on the record of runs: there, `erase` their steps, or `prune` the runs. While another
        process reads, the journal keeps the words until its next checkpoint.

        Raises:
            BadInput: nothing was given to go by.
        """
        at = self._moment()
        gone = await self._write(lambda ledger: memory_forgetting.forget_from(ledger, sources, at=at, by=by, is_dry_run=is_dry_run))
        if not is_dry_run:
            await self._scrub()
        return gone

    async def record_use(self, use: Use) -> Use:
        """Record what a run was told and return it with its number; see `LearningStore`.

        Raises:
            BadInput: it cannot be recorded.
        """
        at = self._moment()
        return await self._write(lambda ledger: memory_uses.record_use(ledger, use, at=at))

    async def record_outcome(self, trace_id: str, value: float | None, *, signal: Signal, by: str | None = None, uid: str | None = None) -> None:
        """Set how a run went; see `LearningStore`.

        Raises:
            BadInput: the value is not 0 to 1, or the signal is not known.
        """
        at = self._moment()
        await self._write(lambda ledger: memory_uses.record_outcome(ledger, trace_id, value, at=at, signal=signal, by=by, uid=uid))

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
        filters = {
            "owner": memory_queries.seen_by(uid),
            "item_id": None if item_id is None else findable(item_id),
            "trace_id": None if trace_id is None else findable(trace_id),
            "since": None if since is None else to_ms(since),
        }
        return await self._part.read(lambda db: memory_queries.uses(db, filters, scope=scope, limit=limit))

    async def run_count(self, scope: str, *, uid: str | None) -> RunCount:
        """Return how many runs of exactly this scope and owner were recorded."""
        return memory_uses.count_of(await self._part.read(lambda db: SqliteLedger(db).last_use(scope, uid), is_small=True))

    async def rebuild(self) -> None:
        """Make all that the log amounts to anew: items, their index, uses; what the tables hold is the same afterwards."""
        await self._part.write(lambda db: SqliteLedger(db).rebuild())

    async def _scrub(self) -> None:
        """Clear the pages and the journal of what was forgotten; runs have their turn between one table and the next."""
        for table in SPOKEN:
            await self._part.write(lambda db, table=table: SqliteLedger(db).scrub(table))  # type: ignore[misc]  # mypy cannot infer it
        await self._database.alone(empty_journal)

    def _moment(self) -> datetime:
        return moment(self._now())

    async def _page(self, filters: Mapping[str, Any], scopes: Sequence[str] | None, uid: str | None, limit: int | None, before: str | None) -> list[Item]:
        """Return items, newest first, from after `before` on.

        Raises:
            ExperienceNotFound: there is no item `before` (or it is another uid's).
        """
        last = None if before is None else await self._part.read(lambda db: SqliteLedger(db).find(before), is_small=True)
        if before is not None and (last is None or not is_visible(last.uid, uid)):
            raise ExperienceNotFound(before, "list from the start again")
        texts = {name: None if value is None else findable(value) for name, value in filters.items()}
        place: dict[str, Any] = {"state": None, "tool": None, "trace_id": None} | texts
        place |= {"owner": memory_queries.seen_by(uid), "created": None if last is None else to_ms(last.created_at), "id": before}
        return await self._part.read(lambda db: memory_queries.newest(db, place, scopes=scopes, limit=limit))

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
        wanted = listed_kind(kind)
        items = await self._page({"kind": wanted, "state": state}, None if scope is None else (scope,), uid, limit, before)
        if wanted == "skill":
            return [item for item in items if isinstance(item, Skill)]
        return [item for item in items if isinstance(item, Experience)]
