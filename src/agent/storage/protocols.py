"""The ports: what a store must do, in sentences that `agent.testing.contracts` tests.

`TraceStore`, `MemoryStore` and `StateStore` are the seed's: any object with those methods will do. `TraceLog` is what our own
stores add: whole-or-nothing appends, a fence, pages, leases. Stores are the trusted layer: `uid=None` means everybody's.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from agent.models.memory import Experience, Skill
from agent.models.trace import Step, Trace
from agent.models.value import Value


class TraceHead(Value, frozen=True, kw_only=True):
    """Where a trace stands, read without its steps."""

    trace: Trace
    next_sequence: int
    epoch: int
    owner: str | None  # who drives it, or drove it when it died; None: nobody
    owner_is_alive: bool


class Erasure(Value, frozen=True, kw_only=True):
    """What was forgotten on purpose, and who said so. Of a memory, `item_id` names it; of a trace, `sequences` do."""

    at: datetime
    by: str | None
    reason: str = ""
    sequences: tuple[int, ...] = ()
    item_id: str | None = None


class Verified(Value, frozen=True, kw_only=True):
    """The outcome of a check that found nothing. `head` stands for the whole log so far: kept elsewhere, it shows what is cut off or rolled back later."""

    entries: int  # steps of the trace, entries of the memory's log
    head: str
    erased: tuple[Erasure, ...] = ()


class Usage(Value, frozen=True, kw_only=True):
    """What some runs have used, as of when each last rested."""

    runs: int  # that began in the time asked about; single calls do not count
    tokens: int
    cost: float  # USD, as far as it is known
    cost_is_partial: bool


class StateEntry(Value, frozen=True, kw_only=True):
    """One value of the state store. `version` counts from 1."""

    key: str
    value: Any
    version: int
    expires_at: datetime | None = None


@runtime_checkable
class TraceStore(Protocol):
    """The seed's port for traces."""

    async def create_trace(self, trace: Trace) -> str:
        """Record a new trace and return its id.

        Raises:
            TraceExists: the id is taken.
        """
        ...

    async def add_step(self, step: Step) -> str:
        """Append one step at any free sequence and return its id; `step.data` is copied, as plain JSON data and bytes.

        Raises:
            SequenceTaken: the trace has a step of this sequence. Nothing was written.
            TraceNotFound: no trace has this id.
        """
        ...

    async def update_trace(self, trace_id: str, **changes: Any) -> None:
        """Set fields of the trace (status, completed_at, total_tokens …; `signalled`, `learnt` only grow); a naive moment is local time.

        Raises:
            TraceNotFound: no trace has this id.
            BadInput: a trace has no such field, or it may not be changed.
        """
        ...

    async def get_trace(self, trace_id: str) -> Trace | None:
        """Return the trace, or None. Our own stores also take `uid=`: another uid's trace is None."""
        ...

    async def get_trace_steps(self, trace_id: str) -> list[Step]:
        """Return all steps by sequence, whole: every `llm_call` with its `messages`; an unknown trace has none."""
        ...


@runtime_checkable
class TraceLog(TraceStore, Protocol):
    """The port of stores that runs can be resumed from. With `uid`, another uid's trace is as if it were not there."""

    async def get_trace(self, trace_id: str, *, uid: str | None = None) -> Trace | None:
        """Return the trace, or None."""
        ...

    async def get_trace_steps(self, trace_id: str, *, uid: str | None = None) -> list[Step]:
        """Return all steps by sequence, whole: every `llm_call` with its `messages`; an unknown trace has none."""
        ...

    async def open_trace(self, trace: Trace, steps: Sequence[Step], *, only_after: str | None = None) -> None:
        """Record a new trace with its first steps in one commit; this store's owner drives it, its epoch is 1.

        One whose status is not running rests: nobody drives it, its epoch is 0.

        With `fork_at` the trace is a fork: all reading shows the steps of its parent up to that sequence as they are there, by
        their own ids, and then its own, which begin at `fork_at` + 1. Nothing is copied; its chain goes on from the parent's.

        With `only_after` (a trace id; "" for none) only if that is the newest of the trace's conversation and uid, and has ended:
        of two runs that begin at once one is first.

        Raises:
            TraceExists: the id is taken.
            TraceNotFound, StepNotFound: of a fork: there is no such parent (of this uid), or it has no step `fork_at`.
            BadInput: of a fork: it is one too many of forks of forks.
            ConversationBusy: another run of the conversation was first, or goes on. Nothing was written.
        """
        ...

    async def add_steps(self, trace_id: str, steps: Sequence[Step], *, epoch: int | None = None, changes: Mapping[str, Any] | None = None) -> None:
        """Append `steps` whole, or not at all, and set `changes` of the trace in the same commit.

        `steps[0].sequence` must be the trace's next sequence (largest + 1, or 0), and the rest follow without a gap: that
        number is the lock. With `epoch` the append is fenced. `steps` may be empty if there are `changes`; a change
        `owner=None` gives the trace up. When this returns, the steps are on the disk.

        Raises:
            SequenceTaken: another writer was first, or there would be a gap. Nothing was written.
            Fenced: the trace has another epoch by now. Nothing was written.
            TraceNotFound: no trace has this id.
            StoreFull: no space. Nothing was written.
        """
        ...

    async def claim(self, trace_id: str, *, expected_epoch: int) -> int:
        """Become the owner: raise the epoch by one, set status running, and return the new epoch.

        Raises:
            Fenced: the epoch is not `expected_epoch` any more: someone else claimed it first.
            TraceNotFound: no trace has this id.
        """
        ...

    async def head(self, trace_id: str) -> TraceHead:
        """Return where the trace stands, reading none of its steps' payloads.

        Raises:
            TraceNotFound: no trace has this id.
        """
        ...

    async def read_steps(self, trace_id: str, *, after: int = -1, limit: int | None = None) -> list[Step]:
        """Return steps with a sequence above `after`, by sequence, as recorded: lean, what can be derived left out."""
        ...

    async def get_steps(self, trace_id: str, *, after: int = -1, limit: int | None = None, uid: str | None = None) -> list[Step]:
        """Return a page of steps with what was left out restored, except `messages` of model calls."""
        ...

    async def get_step(self, trace_id: str, step_id: str, *, uid: str | None = None) -> Step:
        """Return one step, restored as in `get_steps`, reading no more of the trace than that takes.

        Raises:
            TraceNotFound, StepNotFound: there is none.
        """
        ...

    async def list_traces(
        self,
        *,
        uid: str | None = None,
        status: str | None = None,
        limit: int | None = None,
        before: str | None = None,
        agent_type: str | None = None,
        conversation_id: str | None = None,
        is_waiting: bool | None = None,
        is_unlearnt: bool | None = None,
    ) -> list[Trace]:
        """Return traces, newest first; `before` is a trace id: only older ones (keyset pages).

        `is_waiting`: whether calls of it wait for a person. `is_unlearnt`: whether `signalled` > `learnt`; no others are looked at.
        """
        ...

    async def changes_since(self, cursor: int | None) -> tuple[list[tuple[str, int]], int]:
        """Return (trace id, sequence) of what was committed after `cursor` by any process, and the new cursor.

        In the order of commit, and perhaps only the first part: ask again from the new cursor. With None: nothing, and where the
        log ends now.
        """
        ...

    async def get_blob(self, digest: str) -> bytes:
        """Return a blob by its hash (hex).

        Raises:
            BlobNotFound: no blob has this hash.
        """
        ...

    async def verify(self, trace_id: str, *, head: str | None = None) -> Verified:
        """Check a trace against its hash chain: its steps, their order and parents, its blobs, its end, the fields of the trace.

        What was erased with `erase` is no fault, and is returned. With `head`, from an earlier `verify`, the trace must have
        gone on from there: only this finds steps cut off since, and a whole file that was rolled back.

        Raises:
            StoreUnusable: something was changed, removed, added or moved; says what.
        """
        ...

    async def erase(self, trace_id: str, sequences: Sequence[int], *, reason: str, by: str | None = None) -> list[int]:
        """Forget what steps of an ended run said, with blobs nobody else uses, and append a step that says who and why.

        Their place, kind and moment stay. With the first `input` the task goes from the trace too. Returns what was erased:
        what was erased before, and tombstones, are passed over.

        Raises:
            TraceNotFound, StepNotFound: there is none; nothing was erased.
            BadInput: the run is neither completed nor cancelled, or there is no reason.
        """
        ...

    async def prune(
        self,
        *,
        before: datetime,
        uid: str | None = None,
        statuses: Sequence[str] = ("completed", "limit_reached", "cancelled", "failed"),
        is_dry_run: bool = False,
    ) -> list[str]:
        """Remove ended traces created before a moment, with blobs nobody else uses; return their ids, newest first.

        A fork's parent, an earlier run of a conversation, and what a sub-agent did for a run that may go on stay as long as those. Freed space is used again.

        Raises:
            BadInput: a status is none at which a run has ended.
        """
        ...

    async def backup(self, target: Path) -> int:
        """Write a consistent copy to a new file while runs go on; return its size in bytes.

        Raises:
            BadInput: the target exists, or this store has no file.
        """
        ...


@runtime_checkable
class UsageLog(Protocol):
    """What daily limits need of a store; our own have it."""

    async def usage_since(self, moment: datetime, *, uid: str | None = None) -> Usage:
        """Return what the traces that began or ended at a moment or later have used in all (with `uid`, that uid's); a sub-agent's is in its caller's."""
        ...


@runtime_checkable
class MemoryStore(Protocol):
    """The seed's port for memory. A uid sees its own items and those without an owner."""

    async def search_skills(self, scope: str, query: str, *, uid: str | None = None, limit: int = 5) -> list[Skill]:
        """Return active skills of the scope that fit the query, best first."""
        ...

    async def search_experiences(self, scope: str, query: str, *, uid: str | None = None, limit: int = 5) -> list[Experience]:
        """Return active, valid experiences of the scope that fit the query, best first."""
        ...

    async def add_experience(self, experience: Experience) -> str:
        """Record an experience and return its id; the same id twice is one (the first stands)."""
        ...


@runtime_checkable
class MemoryCurator(MemoryStore, Protocol):
    """What our own stores add: people look after what was learnt. `list` comes last: below it the name is no type any more."""

    async def add_skill(self, skill: Skill) -> str:
        """Record a skill and return its id; the same scope, owner and name replaces the older one."""
        ...

    async def get(self, item_id: str, *, uid: str | None = None) -> Experience | Skill | None:
        """Return an experience or skill by its id, or None (also where it is another uid's)."""
        ...

    async def retire(self, item_id: str, *, by: str | None = None, uid: str | None = None) -> None:
        """Take an item out of use; it stays on the record.

        Raises:
            ExperienceNotFound: there is none (or it is another uid's).
        """
        ...

    async def supersede(self, item_id: str, successor: Experience, *, by: str | None = None, uid: str | None = None) -> str:
        """Close an experience (`valid_to`, `superseded_by`) and record its successor in one commit; return the new id."""
        ...

    async def promote(self, item_id: str, *, by: str, uid: str | None = None) -> None:
        """Share an owned item within its scope; who did it is recorded."""
        ...

    async def forget(self, item_id: str, *, by: str | None = None, uid: str | None = None) -> None:
        """Remove an item's words from the store, its indexes and its history; that it was forgotten stays known."""
        ...

    async def verify(self, *, head: str | None = None) -> Verified:
        """Check the memory's log (everybody's) against its hash chain, and the items against the log.

        What was forgotten is no fault, and is returned. With `head`, from an earlier `verify`, the log must have gone on from there.

        Raises:
            StoreUnusable: something was changed, removed, added or moved; says what.
        """
        ...

    async def history(self, *, uid: str | None = None, item_id: str | None = None) -> list[dict[str, Any]]:
        """Return the memory's own log, oldest first: number, at, change, item_id, by."""
        ...

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
        """Return experiences (or with `kind="skill"` skills), newest first."""
        ...


@runtime_checkable
class StateStore(Protocol):
    """Values by key, per uid. `uid=None` is a tenant of its own here: keys of nobody."""

    async def get(self, key: str, *, uid: str | None = None) -> Any:
        """Return the value (a copy), or None where there is none or it has expired."""
        ...

    async def set(self, key: str, value: Any, *, uid: str | None = None, if_version: int | None = None, ttl_s: float | None = None) -> int:
        """Set a JSON value and return its new version; versions of a key never repeat.

        `if_version=0` means: only if there is none. Without `ttl_s` it stays until deleted.

        Raises:
            VersionConflict: it has another version; nothing was set.
            BadInput: the value is no JSON, or the key is empty or too long.
        """
        ...

    async def delete(self, key: str, *, uid: str | None = None) -> bool:
        """Remove a value; return whether there was one."""
        ...

    async def list(self, prefix: str = "", *, uid: str | None = None) -> list[StateEntry]:
        """Return live entries whose key begins with `prefix`, by key."""
        ...


class Store(Protocol):
    """One place with all three, opened by `agent.open_store`."""

    @property
    def traces(self) -> TraceLog:
        """The record of runs."""
        ...

    @property
    def memories(self) -> MemoryCurator:
        """What was learnt."""
        ...

    @property
    def states(self) -> StateStore:
        """Values by key."""
        ...

    async def close(self) -> None:
        """Write what is queued, release what is held; a second call does nothing."""
        ...
