"""Traces on their way to another store: whole, as recorded, with all that they rest on; what comes in is a stranger's word.

A trace is carried as its rows are on the disk, so that its hash chain holds where it arrives.
"""

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol, runtime_checkable

import msgspec

import agent.models.payloads as said
from agent.clock import from_ms
from agent.core.prompt import continues_of
from agent.errors import AgentError, BadInput, NotFound, SequenceTaken, TraceExists, TraceNotFound
from agent.models.message import task_text
from agent.models.payloads import payload_of
from agent.models.trace import FORMAT, Step, Trace, is_subrun
from agent.models.value import Value, replace
from agent.storage.codec import SEQUENCE_LIMIT, Coded, Page, Row, checked_name, commitment_of, parents_of, parents_text
from agent.storage.fields import checked_trace
from agent.storage.plain import plain
from agent.storage.protocols import TraceLog
from agent.storage.restore import Rows, lean, read_steps
from agent.storage.verify import Chains, verify_run

MAX_TRACES = 10_000
"""So many traces are carried at once."""
MAX_ROWS = 1_000_000
"""So many steps of one trace."""
MAX_INFLATED = 1_000_000_000
"""Bytes that all which is carried may have once it is unpacked."""
MAX_EPOCH = 1 << 53

_ZLIB, _SALT = 0x78, 8
FAULTS = (ValueError, TypeError, LookupError, ArithmeticError, OSError, RecursionError, zlib.error, msgspec.DecodeError)
"""What reading a stranger's data raises."""


class Carried(Value, frozen=True, kw_only=True):
    """One trace as it is on the disk. `rows` are in the order of commit; `blobs` by their hash; `head` stands for all of it."""

    trace: Trace
    head: str
    rows: list[Row]
    blobs: dict[bytes, bytes] = {}


@runtime_checkable
class TraceCarrier(Protocol):
    """The port of stores whose traces can be carried to another store."""

    async def dump(self, trace_id: str) -> Carried:
        """Return a trace as it is recorded, without what it rests on.

        Raises:
            TraceNotFound: no trace has this id.
            StoreUnusable: it is not what was recorded.
        """
        ...

    async def load(self, carried: Sequence[Carried], *, uid: str | None) -> list[str]:
        """Take traces in, all or none, and return the ids of those that were not there; each after those that it rests on.

        Nobody drives them: one that was running rests, `paused`. One that is there already, with the same steps, stays as it is.

        Raises:
            BadInput: they are not what was recorded, are another uid's than `uid`, or rest on what is not there. Nothing was taken in.
            TraceExists: one has the id of another trace that is there.
        """
        ...


# ---- out


async def gather(log: TraceLog, trace_id: str) -> list[Carried]:
    """Return a trace after all that it rests on: what it was forked from, the runs of its conversation before it, its sub-agents' runs.

    Raises:
        TraceNotFound: one of them is gone.
        BadInput: they are more than can be carried, or the store cannot do it.
    """
    if not isinstance(log, TraceCarrier):
        raise BadInput(f"{type(log).__name__} cannot carry traces elsewhere: it has no dump and load")
    found: dict[str, Carried] = {}
    wanted = [trace_id]
    while wanted:
        one = wanted.pop()
        found[one] = await log.dump(one)
        if len(found) > MAX_TRACES:
            raise BadInput(f"trace {trace_id!r} rests on more than {MAX_TRACES} others: they cannot be carried at once")
        wanted += [other for other in _rests_on(found[one].trace, await log.read_steps(one)) if other not in found and other not in wanted]
    return _ordered(found)


def _rests_on(trace: Trace, steps: Iterable[Step]) -> list[str]:
    steps = list(steps)
    place = continues_of(steps)
    subruns = [payload.trace_id for step in steps if step.trace_id == trace.trace_id and isinstance(payload := payload_of(step), said.Subrun)]
    parent = trace.parent_trace_id if trace.fork_at is not None else None
    return [*([parent] if parent is not None else []), *([place[0]] if place is not None else []), *dict.fromkeys(subruns)]


def _ordered(found: Mapping[str, Carried]) -> list[Carried]:
    """Return traces by the moment they began: what a trace rests on is older, and of a fork its parent comes first in any case."""
    by_age = sorted(found.values(), key=lambda carried: (carried.trace.created_at, carried.trace.trace_id))
    done: dict[str, Carried] = {}
    for carried in by_age:
        chain = [carried]
        while (parent := found.get(chain[-1].trace.parent_trace_id or "")) is not None and chain[-1].trace.fork_at is not None:
            if parent.trace.trace_id in done or parent in chain:
                break
            chain.append(parent)
        done |= {one.trace.trace_id: one for one in reversed(chain)}
    return list(done.values())


def carried_of(rows: Chains, trace_id: str) -> Carried:
    """Return a trace as a store holds it, checked.

    Raises:
        TraceNotFound: no trace has this id.
        StoreUnusable: it is not what was recorded.
    """
    found = rows.evidence(trace_id)
    if found is None:
        raise TraceNotFound(trace_id)
    return Carried(trace=found.trace, head=verify_run(rows, trace_id).head, rows=[row for row, _ in found.rows], blobs=dict(rows.blobs(sorted(found.held))))


# ---- in


class Arrival(NamedTuple):
    """A trace that was checked, and its steps in the order of commit."""

    trace: Trace
    steps: list[Coded]
    epoch: int


def arrivals(carried: Sequence[Carried], uid: str | None) -> list[Arrival]:
    """Return traces ready to be taken in.

    Raises:
        BadInput: one cannot be; says which, and why.
    """
    if len(carried) > MAX_TRACES:
        raise BadInput(f"{len(carried)} traces are more than can be taken in at once ({MAX_TRACES})")
    room = MAX_INFLATED
    found: list[Arrival] = []
    for one in carried:
        trace_id = one.trace.trace_id
        try:
            room -= sum(_unpacked(row[5][:-_SALT] if row[5][:1] == bytes((_ZLIB,)) else row[5], room) for row in one.rows)
            room -= sum(_unpacked(data, room) for data in one.blobs.values())
            found.append(_arrival(one, uid))
        except AgentError as error:
            raise BadInput(f"trace {trace_id!r:.100} cannot be taken in: {error}") from error
        except FAULTS as error:
            why = f"it is not what a store records ({type(error).__name__}: {str(error)[:200]})"
            raise BadInput(f"trace {trace_id!r:.100} cannot be taken in: {why}") from error
    return found


def _unpacked(data: bytes, most: int) -> int:
    """Return how many bytes these are once unpacked."""
    if data[:1] != bytes((_ZLIB,)):
        return len(data)
    size = len(zlib.decompressobj().decompress(data, most + 1))
    if size > most:
        raise BadInput(f"it has more than {MAX_INFLATED} bytes once it is unpacked")
    return size


def _arrival(one: Carried, uid: str | None) -> Arrival:
    trace = checked_trace(one.trace)
    if uid is not None and trace.uid != uid:
        raise BadInput(f"it is the run of uid {trace.uid!r}: take it in as that uid, or not at all")
    if trace.format > FORMAT:
        raise BadInput(f"a newer version recorded it (format {trace.format}, known up to {FORMAT}): install a newer seasoned")
    if len(one.rows) > MAX_ROWS:
        raise BadInput(f"it has {len(one.rows)} steps, at most {MAX_ROWS} can be taken in")
    if trace.status == "running":
        trace = replace(trace, status="paused")
    steps = [_coded(trace.trace_id, row, one.blobs) for row in one.rows]
    return Arrival(trace, steps, max((step.epoch for step in steps), default=0))


def _coded(trace_id: str, row: Row, blobs: Mapping[bytes, bytes]) -> Coded:
    sequence, epoch, kind, at, parents, data, name = row
    checked_name(kind, "step_type")
    if name is not None:
        checked_name(name, "step_id")
    if not 0 <= sequence < SEQUENCE_LIMIT or not 0 <= epoch < MAX_EPOCH or not data:
        raise BadInput(f"step {sequence} has a number, an epoch or data that none can have")
    from_ms(at)
    if parents_text(trace_id, parents_of(trace_id, parents)) != parents:
        raise BadInput(f"step {sequence} rests on {parents!r:.100}, which is no list of steps")
    page = Page(trace_id)
    page.add([row])
    wanted = page.wanted
    page.fill(blobs)
    payload: Any = page.steps[0].data
    if not isinstance(payload, dict) or not all(isinstance(key, str) for key in payload):
        raise BadInput(f"step {sequence} has data that are no object")
    plain(payload, "data")
    return Coded(sequence, epoch, kind, at, parents, name, data, commitment_of(data), tuple((digest, blobs[digest]) for digest in wanted))


def is_there(rows: Chains, one: Carried) -> bool:
    """Return whether a store has a trace already; one that went on there counts.

    Raises:
        TraceExists: it has another one of this id.
    """
    trace_id = one.trace.trace_id
    if rows.origin(trace_id) is None:
        return False
    here = carried_of(rows, trace_id)
    if here.trace.uid != one.trace.uid or here.rows[: len(one.rows)] != one.rows:
        raise TraceExists(trace_id)
    return True


def check_callers(rows: Chains, new: Iterable[Arrival]) -> None:
    """Refuse sub-agents' runs whose caller is there already: it would take their word for that of the run that it calls.

    Raises:
        BadInput: one is such.
    """
    for arrival in new:
        caller = arrival.trace.parent_trace_id
        if is_subrun(arrival.trace) and caller is not None and rows.origin(caller) is not None:
            raise BadInput(f"trace {arrival.trace.trace_id!r} carries out a call of {caller!r}, which is there already: take both in together, or neither")


@contextmanager
def taken_in() -> Iterator[None]:
    """Turn what a store refuses of traces that come in into what it means: they cannot be used.

    Raises:
        BadInput: a number is taken twice, or what they rest on is not there.
    """
    try:
        yield
    except (SequenceTaken, NotFound) as error:
        raise BadInput(f"what comes in does not fit together: {error}") from error


def check_conversation(trace: Trace, here: Iterable[str], carried: Sequence[Carried]) -> None:
    """Refuse a run of a conversation that has others `here`: it would be taken for the newest of them.

    Raises:
        BadInput: it has.
    """
    others = sorted(set(here) - {one.trace.trace_id for one in carried})
    if trace.conversation_id is not None and others:
        raise BadInput(f"the conversation {trace.conversation_id!r:.100} has other runs here ({others[0]}): take it in into a store of its own")


def check_arrived(rows: Chains, one: Carried, uid: str | None) -> None:
    """Check a trace that was taken in, before that is final: its chain, and that what it goes on from is its uid's.

    Raises:
        BadInput: it is not what was recorded, or goes on from what is not there.
    """
    trace_id = one.trace.trace_id
    try:
        head = verify_run(rows, trace_id).head
    except AgentError as error:
        raise BadInput(f"trace {trace_id!r} cannot be taken in: {error}") from error
    if head != one.head:
        raise BadInput(f"trace {trace_id!r} cannot be taken in: it is not what was recorded, its steps do not lead to the head {one.head[:64]!r}")
    _check_said(one.trace, read_steps(rows, trace_id, -1, None))
    place = continues_of(_first_steps(rows, trace_id))
    origin = rows.origin(place[0]) if place is not None else None
    if place is not None and (origin is None or (uid is not None and origin.uid != uid)):
        raise BadInput(f"trace {trace_id!r} goes on from the run {place[0]!r:.100}, which is not there: the export is not whole")


def _check_said(trace: Trace, steps: Iterable[Step]) -> None:
    """Refuse a trace that says another task or agent of itself than its steps: lists show the one, the model saw the other.

    Raises:
        BadInput: says which.
    """
    said_by_steps: dict[str, str | None] = {}
    for payload in map(payload_of, steps):
        if isinstance(payload, said.Input) and not payload.is_resume:
            said_by_steps |= {"task": task_text(payload.task or ""), "agent_type": payload.agent_type}
        elif isinstance(payload, said.Forked) and "task" in payload.changes:
            said_by_steps["task"] = task_text(payload.changes["task"])
    for name, words in said_by_steps.items():
        own = getattr(trace, name)
        if own is not None and words is not None and own != words:
            raise BadInput(f"trace {trace.trace_id!r} cannot be taken in: its {name} is not what its steps say")


def _first_steps(rows: Rows, trace_id: str) -> list[Step]:
    own = lean(rows, trace_id, rows.span(trace_id, -1, None))
    return read_steps(rows, trace_id, -1, None) if not any(step.step_type == "input" for step in own) else own
