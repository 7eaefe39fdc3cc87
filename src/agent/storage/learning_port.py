"""The port for memories that learn: cases, uses and outcomes, states of items, and forgetting by where something came from."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from agent.models.learning import Case, Found, Signal, Use
from agent.models.memory import Experience
from agent.models.value import Value
from agent.storage.protocols import MemoryCurator


class Sources(Value, frozen=True, kw_only=True):
    """Which items are meant: those for which all that is given holds. At least one must be given besides `uid`, or `uid` alone for all of one owner."""

    uid: str | None = None  # the owner
    trace_id: str | None = None  # evidence, cases and uses of this run
    source: str | None = None  # as in Experience.source
    text: str | None = None  # words, as they stand, anywhere in an item
    item_id: str | None = None


class RunCount(Value, frozen=True):
    """How often a scope was used by one owner so far."""

    runs: int
    eligible: int  # runs for which there was advice, told or withheld


@runtime_checkable
class LearningStore(MemoryCurator, Protocol):
    """What our own stores add for learning. Every change is an entry of the memory's log; the tables are a projection of it.

    With `uid`, another uid's item is as if it were not there. `by` says who did it, and stays on the record.
    """

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
        """Return what fits a query, best first; of several scopes as one collection. `kind` is experience, skill or case.

        `floor`: what scores no more is left out (None: the ranker's own). Cases have no states; expired ones are left out.
        """
        ...

    async def add_cases(self, cases: Sequence[Case]) -> None:
        """Record cases in one commit; an id that is known, or was forgotten, is passed over."""
        ...

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
        """Return cases, newest first; `before` is the id of the last one seen."""
        ...

    async def edit(self, item_id: str, changes: Mapping[str, Any], *, by: str | None = None, uid: str | None = None) -> Experience:
        """Record a new version of an experience under its id and return it; the older versions stay in the log.

        `changes` are any of condition, rule, kind, confidence, evidence, trust, valid_to.

        Raises:
            ExperienceNotFound, BadInput: nothing was changed.
        """
        ...

    async def set_state(self, item_id: str, state: str, *, by: str | None = None, reason: str = "", uid: str | None = None) -> Experience:
        """Make an experience candidate, shadow, active or retired, and return it; the same again changes nothing.

        Raises:
            ExperienceNotFound, BadInput: no such item or state, or it was superseded.
        """
        ...

    async def restore(self, item_id: str, *, by: str | None = None, uid: str | None = None) -> Experience:
        """Take the last closing of an experience back: retired or superseded, it is again as it was before; its successor is then retired.

        Raises:
            ExperienceNotFound, BadInput: there is none, or nothing to take back.
        """
        ...

    async def forget_from(self, sources: Sources, *, by: str | None = None, is_dry_run: bool = False) -> list[str]:
        """Remove all that came from somewhere, with what was derived from it, from the tables, the indexes and the log; return the ids.

        What the runs themselves say is on the record of runs: `TraceLog.erase` forgets it. Afterwards no byte of their words is in
        the file or its journal; names (a uid, an id, `by`) stay. An experience that rests on other evidence besides is
        kept, without that part, where the words are not from there.

        Raises:
            BadInput: nothing was given to go by.
        """
        ...

    async def record_use(self, use: Use) -> Use:
        """Record what a run was told and return it with its number; of a trace that has one already the first stands and is returned."""
        ...

    async def record_outcome(self, trace_id: str, value: float | None, *, signal: Signal, by: str | None = None, uid: str | None = None) -> None:
        """Set how a run went, 0..1, in its use; None: it is not known after all. A trace without a use is passed over."""
        ...

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
        """Return uses, newest first: of one item, one scope, one run."""
        ...

    async def run_count(self, scope: str, *, uid: str | None) -> RunCount:
        """Return how many runs of exactly this scope and owner were recorded."""
        ...
