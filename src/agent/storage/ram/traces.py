"""The record of runs in memory: the same codec and the same answers as on a disk, gone when the process ends."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from agent.clock import to_ms
from agent.errors import BadInput, BlobNotFound, Fenced, SequenceTaken, StepNotFound, StoreClosed, TraceExists, TraceNotFound
from agent.models.payloads import Erased
from agent.models.trace import Step, Trace, is_subrun, step_id_of
from agent.models.value import replace
from agent.storage import liveness, restore
from agent.storage.arguments import checks_arguments
from agent.storage.chain import SIZE
from agent.storage.codec import Coded, blob_bytes, encode_step, encode_steps
from agent.storage.erasing import check_erasable, checked_sequences, checked_words
from agent.storage.fields import GROWING, check_newest, checked_changes, checked_trace
from agent.storage.lineage import check_fork, seam
from agent.storage.portable import Arrival, Carried, arrivals, carried_of, check_arrived, check_callers, check_conversation, is_there, taken_in
from agent.storage.protocols import TraceHead, Usage, Verified
from agent.storage.prune import Wanted, is_awaited, removable
from agent.storage.ram.rows import RamRows, Record, fields_of
from agent.storage.ram.states import RamStateStore
from agent.storage.staging import StagedStates
from agent.storage.verify import seal_of, verify_run


@checks_arguments(unless=frozenset({"add_steps"}), unicode_only=True)
class RamTraceStore:
    """Traces of this process. Nothing is shared with the caller: steps are encoded at the door."""

    def __init__(self) -> None:
        self.owner = liveness.new_owner()
        self._records: dict[str, Record] = {}
        self._blobs: dict[bytes, bytes] = {}
        self._log: list[tuple[str, int]] = []
        self._signalled: set[str] = set()  # traces that memory may learn from, and perhaps some from which it has
        self._count = 0
        self._is_closed = False

    async def close(self) -> None:
        """Forget everything. A second call does nothing."""
        liveness.release(self.owner)
        self._is_closed = True
        self._records.clear()
        self._blobs.clear()
        self._log.clear()

    # ---- writing

    async def create_trace(self, trace: Trace) -> str:
        """See `TraceStore`."""
        self._record_new(checked_trace(trace))
        return trace.trace_id

    async def open_trace(self, trace: Trace, steps: Sequence[Step], *, only_after: str | None = None) -> None:
        """See `TraceLog`."""
        trace = checked_trace(trace)
        owner, epoch = (self.owner, 1) if trace.status == "running" else (None, 0)
        coded = encode_steps(trace.trace_id, steps, epoch)
        _check_order(trace.trace_id, 0 if trace.fork_at is None else trace.fork_at + 1, coded)
        _check_names({}, coded)
        if only_after is not None:
            same = (r.trace for r in reversed(self._records.values()) if (r.trace.uid, r.trace.conversation_id) == (trace.uid, trace.conversation_id))
            newest = next(same, None)
            check_newest(trace, newest.trace_id if newest else None, newest.status if newest else None, only_after)
        record = self._record_new(trace)
        record.owner, record.epoch = owner, epoch
        record.loop = asyncio.get_running_loop()
        self._add(record, coded)

    async def add_step(self, step: Step) -> str:
        """See `TraceStore`."""
        coded = encode_step(step)
        record = self._record(step.trace_id)
        if coded.sequence in record.rows or (record.trace.fork_at is not None and coded.sequence <= record.trace.fork_at):
            raise SequenceTaken(step.trace_id, coded.sequence)
        _check_names(record.names, [coded])
        self._add(record, [coded])
        return coded.name or step_id_of(step.trace_id, step.sequence)

    async def add_steps(self, trace_id: str, steps: Sequence[Step], *, epoch: int | None = None, changes: Mapping[str, Any] | None = None) -> None:
        """See `TraceLog`."""
        if not steps and not changes:
            raise BadInput(f"nothing to append to trace {trace_id!r}: give steps, changes, or both")
        coded, checked = encode_steps(trace_id, steps, epoch), checked_changes(changes or {})
        record = self._record(trace_id)
        if epoch is not None and epoch != record.epoch:
            raise Fenced(trace_id, epoch)
        _check_order(trace_id, record.next_sequence, coded)
        _check_names(record.names, coded)
        self._add(record, coded)
        self._change(record, checked)

    def keeps(self, states: object) -> bool:
        """See `StateLog`: in one process, all that is in memory changes at once."""
        return isinstance(states, RamStateStore)

    async def add_steps_and_states(
        self, trace_id: str, steps: Sequence[Step], staged: StagedStates, *, epoch: int, changes: Mapping[str, Any] | None = None
    ) -> None:
        """See `StateLog`. Nothing is awaited between the check and the change."""
        states, made = staged.states, staged.changes
        assert isinstance(states, RamStateStore)
        states.check_staged(staged.uid, made)
        await self.add_steps(trace_id, steps, epoch=epoch, changes=changes)  # has no pause in it
        states.make_staged(staged.uid, made)

    async def update_trace(self, trace_id: str, **changes: Any) -> None:
        """See `TraceStore`."""
        checked = checked_changes(changes)
        self._change(self._record(trace_id), checked)

    async def claim(self, trace_id: str, *, expected_epoch: int) -> int:
        """See `TraceLog`."""
        record = self._record(trace_id)
        if record.epoch != expected_epoch:
            raise Fenced(trace_id, expected_epoch)
        record.epoch, record.owner = expected_epoch + 1, self.owner
        record.loop = asyncio.get_running_loop()
        record.trace = replace(record.trace, status="running", completed_at=None)
        record.seal = record.seal[:SIZE] + fields_of(record.trace)
        return record.epoch

    # ---- reading

    async def get_trace(self, trace_id: str, *, uid: str | None = None) -> Trace | None:
        """See `TraceLog`."""
        record = self._visible(trace_id, uid)
        return checked_trace(record.trace) if record else None  # a copy: the context is a dict

    async def head(self, trace_id: str) -> TraceHead:
        """See `TraceLog`."""
        record = self._record(trace_id)
        is_alive = record.owner == self.owner and not (record.loop is not None and record.loop.is_closed())
        return TraceHead(trace=checked_trace(record.trace), next_sequence=record.next_sequence, epoch=record.epoch, owner=record.owner, owner_is_alive=is_alive)

    async def read_steps(self, trace_id: str, *, after: int = -1, limit: int | None = None) -> list[Step]:
        """See `TraceLog`."""
        return restore.read_steps(self._rows(), trace_id, after, limit)

    async def get_steps(self, trace_id: str, *, after: int = -1, limit: int | None = None, uid: str | None = None) -> list[Step]:
        """See `TraceLog`."""
        return restore.get_steps(self._rows(), trace_id, after, limit) if self._visible(trace_id, uid) else []

    async def get_step(self, trace_id: str, step_id: str, *, uid: str | None = None) -> Step:
        """See `TraceLog`."""
        if not self._visible(trace_id, uid):
            raise TraceNotFound(trace_id)
        return restore.get_step(self._rows(), trace_id, step_id)

    async def get_trace_steps(self, trace_id: str, *, uid: str | None = None) -> list[Step]:
        """See `TraceLog`."""
        return restore.get_trace_steps(self._rows(), trace_id) if self._visible(trace_id, uid) else []

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
        """See `TraceLog`."""
        self._check_open()
        wanted = {"uid": uid, "status": status, "agent_type": agent_type, "conversation_id": conversation_id}
        if before is not None and before not in self._records:
            raise TraceNotFound(before, "the page before it cannot be told; begin again without `before`")
        below = self._count + 1 if before is None else self._records[before].no
        known = sorted(self._unlearnt().values(), key=lambda record: record.no) if is_unlearnt else self._records.values()
        records = (record for record in reversed(known) if record.no < below)
        found = [r.trace for r in records if all(value is None or getattr(r.trace, name) == value for name, value in wanted.items())]
        found = [trace for trace in found if is_waiting is None or bool(trace.waiting_calls) is is_waiting]
        found = [trace for trace in found if is_unlearnt is None or (trace.signalled > trace.learnt) is is_unlearnt]
        return [checked_trace(trace) for trace in (found if limit is None else found[: max(limit, 0)])]

    async def usage_since(self, moment: datetime, *, uid: str | None = None) -> Usage:
        """See `UsageLog`."""
        self._check_open()
        since = to_ms(moment)
        traces = [r.trace for r in self._records.values() if (uid is None or r.trace.uid == uid) and not is_subrun(r.trace)]
        found = [t for t in traces if to_ms(t.created_at) >= since or (t.completed_at is not None and to_ms(t.completed_at) >= since)]
        return Usage(
            runs=sum(1 for t in found if t.mode == "agent" and to_ms(t.created_at) >= since),
            tokens=sum(t.total_tokens for t in found),
            cost=sum(t.total_cost or 0.0 for t in found),
            cost_is_partial=any(t.cost_is_partial or t.total_cost is None for t in found),
        )

    async def changes_since(self, cursor: int | None) -> tuple[list[tuple[str, int]], int]:
        """See `TraceLog`."""
        self._check_open()
        if cursor is None:
            return [], len(self._log)
        return [change for change in self._log[cursor:] if change[0] in self._records], max(cursor, len(self._log))

    async def get_blob(self, digest: str) -> bytes:
        """See `TraceLog`."""
        try:
            return blob_bytes(self._blobs[bytes.fromhex(digest)])
        except (KeyError, ValueError):
            raise BlobNotFound(digest) from None

    # ---- upkeep

    async def verify(self, trace_id: str, *, head: str | None = None) -> Verified:
        """See `TraceLog`."""
        self._record(trace_id)
        return verify_run(self._rows(), trace_id, head)

    async def erase(self, trace_id: str, sequences: Sequence[int], *, reason: str, by: str | None = None) -> list[int]:
        """See `TraceLog`."""
        checked_words(reason, by)
        record = self._record(trace_id)
        check_erasable(record.trace)
        wanted = checked_sequences(sequences)
        if missing := sorted(set(wanted) - record.rows.keys()):
            raise StepNotFound(step_id_of(trace_id, missing[0]), f"trace {trace_id!r} has no such step; nothing was erased")
        gone = record.erase(wanted)
        if gone:
            has_input = any(record.rows[sequence][2] == "input" for sequence in gone)
            self._sweep()
            tombstone = Erased(sequences=gone, reason=reason, by=by)
            parents = [step_id_of(trace_id, sequence) for sequence in gone]
            step = Step(step_id_of(trace_id, record.next_sequence), trace_id, tombstone.step_type, record.next_sequence, parents, tombstone.to_data())
            self._add(record, encode_steps(trace_id, [step]))
            self._change(record, {"task": None, "context": {}} if has_input else {})
        return gone

    async def prune(
        self,
        *,
        before: datetime,
        uid: str | None = None,
        statuses: Sequence[str] = ("completed", "limit_reached", "cancelled", "failed"),
        is_dry_run: bool = False,
    ) -> list[str]:
        """See `TraceLog`. A trace that a kept one goes on from stays."""
        self._check_open()
        wanted = Wanted.of(before, uid, statuses)
        old = [record for record in self._records.values() if _is_old(record.trace, wanted) and not self._is_awaited(record.trace, wanted)]
        gone = removable([record.standing for record in old], [record.standing for record in self._records.values()])
        if not is_dry_run:
            for trace_id in gone:
                del self._records[trace_id]
            self._sweep()
        return gone

    async def backup(self, target: Path) -> int:
        """See `TraceLog`: there is no file, so this is always refused."""
        raise BadInput("a store in memory has no file to copy: open one with a path, such as sqlite:///runs.db")

    async def dump(self, trace_id: str) -> Carried:
        """See `TraceCarrier`."""
        return carried_of(self._rows(), trace_id)

    async def load(self, carried: Sequence[Carried], *, uid: str | None) -> list[str]:
        """See `TraceCarrier`."""
        ready = arrivals(carried, uid)
        self._check_open()
        before = dict(self._records), dict(self._blobs), self._count, len(self._log)
        try:
            with taken_in():
                return self._load(carried, ready, uid)
        except BaseException:
            self._records, self._blobs, self._count = before[:3]
            del self._log[before[3] :]
            raise

    # ---- inside

    def _load(self, carried: Sequence[Carried], ready: Sequence[Arrival], uid: str | None) -> list[str]:
        new = [(one, arrival) for one, arrival in zip(carried, ready, strict=True) if not is_there(self._rows(), one)]
        check_callers(self._rows(), [arrival for _, arrival in new])
        for _, arrival in new:
            trace = arrival.trace
            same = [r.trace.trace_id for r in self._records.values() if (r.trace.conversation_id, r.trace.uid) == (trace.conversation_id, trace.uid)]
            check_conversation(trace, same, carried)
            record = self._record_new(trace)
            record.epoch = arrival.epoch
            for step in arrival.steps:
                if step.sequence in record.rows or (trace.fork_at is not None and step.sequence <= trace.fork_at):
                    raise SequenceTaken(trace.trace_id, step.sequence)
                _check_names(record.names, [step])
                self._add(record, [step])
            self._change(record, {"status": trace.status})
        for one, _ in new:
            check_arrived(self._rows(), one, uid)
        return [one.trace.trace_id for one, _ in new]

    def _sweep(self) -> None:
        used = {digest for record in self._records.values() for digest in record.blobs}
        self._blobs = {digest: data for digest, data in self._blobs.items() if digest in used}

    def _check_open(self) -> None:
        if self._is_closed:
            raise StoreClosed("the store in memory was closed, and what it held is gone: open a new one")

    def _record(self, trace_id: str) -> Record:
        self._check_open()
        record = self._records.get(trace_id)
        if record is None:
            raise TraceNotFound(trace_id)
        return record

    def _visible(self, trace_id: str, uid: str | None) -> Record | None:
        self._check_open()
        record = self._records.get(trace_id)
        return record if record is not None and (uid is None or record.trace.uid == uid) else None

    def _record_new(self, trace: Trace) -> Record:
        self._check_open()
        if trace.trace_id in self._records:
            raise TraceExists(trace.trace_id)
        if trace.fork_at is not None:
            check_fork(self._rows(), trace)
        self._count += 1
        record = self._records[trace.trace_id] = Record(trace, self._count)
        if trace.signalled > trace.learnt:
            self._signalled.add(trace.trace_id)
        if trace.fork_at is not None:  # it has to be there before its lineage can be told
            record.begin_after(seam(self._rows(), trace.trace_id))
        return record

    def _add(self, record: Record, steps: Sequence[Coded]) -> None:
        for step in steps:
            record.add(step)
            self._blobs.update(step.blobs)
            self._log.append((record.trace.trace_id, step.sequence))

    def _change(self, record: Record, checked: Mapping[str, Any]) -> None:
        if not checked:
            return
        fields = dict(checked)
        if "owner" in fields:
            record.owner, record.loop = fields.pop("owner"), None
        if fields:
            record.trace = replace(
                record.trace, **{name: max(value, getattr(record.trace, name)) if name in GROWING else value for name, value in fields.items()}
            )
        if record.trace.signalled > record.trace.learnt:
            self._signalled.add(record.trace.trace_id)
        if not GROWING.issuperset(checked):
            record.seal = seal_of(record.link, fields_of(record.trace))

    def _unlearnt(self) -> dict[str, Record]:
        """Return the traces that memory has not learnt from yet, looking only at those of which it was ever said."""
        found = {trace_id: self._records[trace_id] for trace_id in self._signalled & self._records.keys()}
        found = {trace_id: record for trace_id, record in found.items() if record.trace.signalled > record.trace.learnt}
        self._signalled = set(found)
        return found

    def _rows(self) -> "RamRows":
        self._check_open()
        return RamRows(self._records, self._blobs)

    def _is_awaited(self, trace: Trace, wanted: Wanted) -> bool:
        record = self._records.get(trace.parent_trace_id or "")
        parent = (record.trace.status, to_ms(record.trace.created_at), record.trace.uid) if record is not None else None
        return is_awaited(trace.trace_id, trace.parent_trace_id, parent, wanted)


def _is_old(trace: Trace, wanted: Wanted) -> bool:
    return to_ms(trace.created_at) < wanted.before_ms and trace.status in wanted.statuses and (wanted.uid is None or trace.uid == wanted.uid)


def _check_order(trace_id: str, following: int, steps: Sequence[Coded]) -> None:
    for n, step in enumerate(steps):
        if step.sequence != following + n:
            raise SequenceTaken(trace_id, step.sequence)


def _check_names(taken: Mapping[str, int], steps: Sequence[Coded]) -> None:
    names = [step.name for step in steps if step.name is not None]
    for n, name in enumerate(names):
        if name in taken or name in names[:n]:
            raise BadInput(f"the trace has a step {name!r} already: choose another step_id, or leave it to the store")
