"""What is read for traces, each with one connection, fetched whole."""

import sqlite3
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from agent.clock import from_ms
from agent.errors import BlobNotFound, StoreUnusable, TraceNotFound
from agent.models.trace import Trace
from agent.storage.chain import digest
from agent.storage.codec import Row, blob_bytes, unpack
from agent.storage.lineage import Origin
from agent.storage.unicode import findable
from agent.storage.verify import Evidence

_STEP = """select s.seq, s.epoch, s.kind, s.at, s.parents, s.data, n.name from step s
    left join step_name n on n.step=s.id where s.trace=(select no from trace where id=?)"""
_UNNAMED = "select s.seq, s.epoch, s.kind, s.at, s.parents, s.data, null from step s where s.trace=(select no from trace where id=?)"
_HAS_NAMES = "select 1 from step_name where trace=(select no from trace where id=?) limit 1"
_TRACE = (
    "t.id, t.mode, t.task, t.agent_type, t.uid, t.context, t.status, t.created, t.completed, t.tokens, t.cost, t.is_partial, t.waiting, "
    "t.conversation, t.parent, t.fork_at, t.format, t.signalled, t.learnt"
)
_OPEN = ("running", "waiting", "paused")
_LARGEST = (1 << 63) - 1  # what SQLite can compare
_AT_ONCE = 500  # values of one `in (…)`

# An index would answer for `trace` and `seq` with values of its own: what is checked is what stands in the table.
_CHAIN = """select s.seq, s.epoch, s.kind, s.at, s.parents, s.data, n.name, s.hash, s.trace from step s not indexed
    left join step_name n not indexed on n.step=s.id and n.trace=s.trace where s.id in (select id from step where trace=?) order by s.id"""
_HELD = "select b.hash, u.trace from blob_use u join blob b on b.id=u.blob where u.trace=?"  # as above: the second tells, not the look-up
SEALED = (
    "id", "mode", "task", "agent_type", "uid", "context", "status", "created", "completed", "tokens", "cost", "is_partial", "waiting", "conversation",
    "parent", "fork_at", "format", "epoch", "owner",
)  # fmt: skip
"""Columns of a trace that its seal covers, in the order in which it does. Not what only grows: `signalled` and `learnt`."""
_FIELDS = f"select {', '.join(SEALED)} from trace where no=?"  # noqa: S608  # our own column names

DAMAGE = (TypeError, ValueError, LookupError, OverflowError, OSError, zlib.error, msgspec.MsgspecError)
"""What reading a damaged row raises."""
CHANGES_LIMIT = 10_000
"""So many changes are told at once; the cursor goes on from there."""


class SqliteRows:
    """The rows of steps and blobs, read with one connection."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db

    def origin(self, trace_id: str) -> Origin | None:
        """Return where a trace comes from, and whose it is; None where there is no such trace."""
        found = self.db.execute("select uid, parent, fork_at from trace where id=?", (findable(trace_id),)).fetchone()
        return Origin(*found) if found else None

    def link(self, trace_id: str, sequence: int) -> bytes | None:
        """Return the hash of a step of the trace's own."""
        found = self.db.execute("select hash from step where trace=(select no from trace where id=?) and seq=?", (trace_id, sequence)).fetchone()
        return bytes(found[0]) if found else None

    def evidence(self, trace_id: str) -> Evidence | None:
        """Return all that is known of a trace; its rows in the order of commit.

        Raises:
            StoreUnusable: what the trace says of itself cannot be read.
        """
        trace = read_trace(self.db, trace_id, None)
        if trace is None:
            return None
        try:
            ((no, seal),) = self.db.execute("select no, seal from trace where id=?", (trace_id,)).fetchall()
            found = self.db.execute(_CHAIN, (no,)).fetchall()
            fields, held = fields_of(self.db, no), frozenset(digest for digest, holder in self.db.execute(_HELD, (no,)).fetchall() if holder == no)
        except DAMAGE as error:
            raise StoreUnusable(f"trace {trace_id!r} was changed: its fields cannot be read ({error})") from error
        if astray := [row for row in found if row[8] != no]:
            raise StoreUnusable(f"trace {trace_id!r} was changed: step {astray[0][0]} was moved to another trace")
        return Evidence(trace, [(row[:7], row[7]) for row in found], seal, fields, held)

    def span(self, trace_id: str, after: int, limit: int | None, last: int | None = None) -> Sequence[Row]:
        """Return rows with a sequence above `after`, and up to `last`, by sequence."""
        rows = _STEP if self.db.execute(_HAS_NAMES, (trace_id,)).fetchone() else _UNNAMED  # the join costs a tenth of a long read
        place = (trace_id, max(min(after, _LARGEST), -1), _LARGEST if last is None else last, _limit(limit))
        return self.db.execute(f"{rows} and s.seq>? and s.seq<=? order by s.seq limit ?", place).fetchall()

    def at(self, trace_id: str, sequences: Sequence[int]) -> Sequence[Row]:
        """Return the rows of these sequences that there are, by sequence."""
        rows: list[Row] = []
        for part in _parts(sorted(n for n in sequences if n <= _LARGEST)):
            rows += self.db.execute(f"{_STEP} and s.seq in ({_marks(part)}) order by s.seq", (trace_id, *part)).fetchall()
        return rows

    def named(self, trace_id: str, name: str) -> Sequence[Row]:
        """Return the row whose caller chose this id."""
        found = self.db.execute("select step from step_name where trace=(select no from trace where id=?) and name=?", (trace_id, name)).fetchone()
        return self.db.execute(f"{_STEP} and s.id=?", (trace_id, found[0])).fetchall() if found else ()

    def blobs(self, digests: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """Return the stored form of blobs by their hash."""
        found: dict[bytes, bytes] = {}
        for part in _parts(digests):
            found.update(self.db.execute(f"select hash, data from blob where hash in ({_marks(part)})", part).fetchall())  # noqa: S608  # marks only
        return found


def _parts(values: Sequence[Any]) -> list[Sequence[Any]]:
    return [values[n : n + _AT_ONCE] for n in range(0, len(values), _AT_ONCE)]


def _limit(limit: int | None) -> int:
    return -1 if limit is None else max(min(limit, _LARGEST), 0)


def _marks(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))


def fields_of(db: sqlite3.Connection, no: int) -> bytes:
    """Return the hash of all that a trace says of itself."""
    (row,) = db.execute(_FIELDS, (no,)).fetchall()
    return digest(row)


def is_visible(db: sqlite3.Connection, trace_id: str, uid: str | None) -> bool:
    """Return whether there is such a trace, and it is that uid's (None: anybody's)."""
    return db.execute("select 1 from trace where id=?1 and (?2 is null or uid=?2)", (trace_id, uid)).fetchone() is not None


def read_trace(db: sqlite3.Connection, trace_id: str, uid: str | None) -> Trace | None:
    """Return the trace, or None."""
    row = db.execute(f"select {_TRACE} from trace t where t.id=?1 and (?2 is null or t.uid=?2)", (trace_id, uid)).fetchone()  # noqa: S608  # our own column names
    return _trace(row) if row else None


def read_head(db: sqlite3.Connection, trace_id: str) -> tuple[Trace, int, int, str | None, int | None]:
    """Return the trace, its next sequence, epoch, owner, and when the owner last said that it is there.

    Raises:
        TraceNotFound: no trace has this id.
    """
    rest = "coalesce((select max(seq) from step where trace=t.no), t.fork_at), t.epoch, t.owner, p.beat from trace t left join process p on p.owner=t.owner"
    sql = f"select {_TRACE}, {rest} where t.id=?"  # our own column names
    row = db.execute(sql, (trace_id,)).fetchone()
    if row is None:
        raise TraceNotFound(trace_id)
    last, epoch, owner, beat = row[-4:]
    return _trace(row[:-4]), 0 if last is None else last + 1, epoch, owner, beat


def list_traces(
    db: sqlite3.Connection,
    equal: Mapping[str, str | None],
    *,
    limit: int | None,
    before: str | None,
    is_waiting: bool | None = None,
    is_unlearnt: bool | None = None,
) -> list[Trace]:
    """Return traces whose columns have these values (None: any), newest first.

    Raises:
        TraceNotFound: there is no trace `before`.
    """
    wanted = {name: value for name, value in equal.items() if value is not None}
    where, values = [f"t.{name}=?" for name in wanted], list[Any](wanted.values())
    if wanted.get("status") in _OPEN:
        where.append(f"t.status in {_OPEN!r}")  # so that the partial index serves
    if is_waiting is not None:
        where.append("t.waiting>0" if is_waiting else "t.waiting=0")
    if is_unlearnt is not None:
        where.append("t.signalled>t.learnt" if is_unlearnt else "t.signalled<=t.learnt")
    if before is not None:
        found = db.execute("select no from trace where id=?", (before,)).fetchone()
        if found is None:
            raise TraceNotFound(before, "the page before it cannot be told; begin again without `before`")
        where.append("t.no<?")
        values.append(found[0])
    table = "trace t indexed by trace_unlearnt" if is_unlearnt else "trace t"  # which holds few or none; the planner would take another
    sql = f"select {_TRACE} from {table} {'where ' + ' and '.join(where) if where else ''} order by t.no desc limit ?"  # noqa: S608  # our own names
    return [_trace(row) for row in db.execute(sql, (*values, _limit(limit))).fetchall()]


def changes_since(db: sqlite3.Connection, cursor: int | None) -> tuple[list[tuple[str, int]], int]:
    """Return (trace id, sequence) of the steps after the cursor, in the order of commit, and the new cursor."""
    if cursor is None:
        return [], db.execute("select coalesce(max(id), 0) from step").fetchone()[0]
    rows = db.execute(
        "select s.id, t.id, s.seq from step s join trace t on t.no=s.trace where s.id>? order by s.id limit ?", (cursor, CHANGES_LIMIT)
    ).fetchall()
    return [(trace_id, sequence) for _, trace_id, sequence in rows], rows[-1][0] if rows else cursor


def read_blob(db: sqlite3.Connection, digest: str) -> bytes:
    """Return a blob's bytes.

    Raises:
        BlobNotFound: no blob has this hash.
    """
    try:
        row = db.execute("select data from blob where hash=?", (bytes.fromhex(digest),)).fetchone()
    except ValueError:
        row = None
    if row is None:
        raise BlobNotFound(digest)
    return blob_bytes(row[0])


def _text(value: str | bytes | None) -> str | None:
    return value.decode("utf-8", "surrogatepass") if isinstance(value, bytes) else value


def _trace(row: Sequence[Any]) -> Trace:
    try:
        return _decoded(row)
    except DAMAGE as error:
        raise StoreUnusable(f"trace {row[0]!r:.100} was changed: its fields cannot be read ({error})") from error


def _decoded(row: Sequence[Any]) -> Trace:
    trace_id, mode, task, agent_type, uid, context, status, created, completed, tokens, cost, is_partial, waiting, *origin = row
    conversation, parent, fork_at, written, signalled, learnt = origin
    return Trace(
        trace_id=trace_id,
        mode=mode,
        task=_text(task),
        agent_type=_text(agent_type),
        uid=uid,
        context=unpack(context),
        status=status,
        created_at=from_ms(created),
        completed_at=None if completed is None else from_ms(completed),
        total_tokens=tokens,
        total_cost=cost,
        cost_is_partial=bool(is_partial),
        waiting_calls=waiting,
        conversation_id=conversation,
        parent_trace_id=parent,
        fork_at=fork_at,
        format=written,
        signalled=signalled,
        learnt=learnt,
    )
