"""What is written for a trace, each inside a transaction that the database has begun."""

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from agent.clock import to_ms
from agent.errors import BadInput, Fenced, SequenceTaken, TraceExists, TraceNotFound
from agent.models.trace import Trace
from agent.storage.chain import SIZE, Identity, digest
from agent.storage.codec import Coded, pack
from agent.storage.fields import GROWING, check_newest
from agent.storage.lineage import check_fork, seam
from agent.storage.sqlite.rows import SEALED, SqliteRows, fields_of
from agent.storage.unicode import findable
from agent.storage.verify import seal_of

_TIP = """select t.no, t.epoch, t.tail, s.seq, s.hash, t.fork_at from trace t
    left join step s on s.trace=t.no and s.seq=(select max(seq) from step where trace=t.no) where t.id=?"""
_INSERT = "insert into step(trace, seq, epoch, kind, at, parents, data, hash) values(?, ?, ?, ?, ?, ?, ?, ?)"
_FENCED_HEAD = "insert into step(trace, seq, epoch, kind, at, parents, data, hash) "
_FENCED_ROW = "select no, ?, ?, ?, ?, ?, ?, ? from trace where id=? and epoch=? and tail is null"
FEW = 8
"""Steps that one statement may append: more than a usual commit has."""
_FENCED = [_FENCED_HEAD + " union all ".join([_FENCED_ROW] * count) for count in range(FEW + 1)]
_IDENTITY = ("id", "mode", "uid", "created", "conversation", "parent", "fork_at", "format")
_STALE_MS = 86_400_000  # a beat older than a day tells nothing any more

_COLUMNS = {
    "task": "task",
    "agent_type": "agent_type",
    "context": "context",
    "status": "status",
    "completed_at": "completed",
    "total_tokens": "tokens",
    "total_cost": "cost",
    "cost_is_partial": "is_partial",
    "waiting_calls": "waiting",
    "signalled": "signalled",
    "learnt": "learnt",
    "owner": "owner",
    "trace_id": "id",
    "mode": "mode",
    "uid": "uid",
    "created_at": "created",
    "conversation_id": "conversation",
    "parent_trace_id": "parent",
    "fork_at": "fork_at",
    "format": "format",
}


def columns_of(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return checked fields of a trace as columns and values."""
    return {_COLUMNS[name]: _stored(name, value) for name, value in fields.items()}


def _stored(name: str, value: Any) -> Any:
    if name == "context":
        return pack(value)
    if isinstance(value, datetime):
        return to_ms(value)
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:  # a lone surrogate: no text for SQLite, but nothing to lose
            return value.encode("utf-8", "surrogatepass")
    return value


def insert_trace(db: sqlite3.Connection, trace: Trace, columns: Mapping[str, Any], *, owner: str | None) -> None:
    """Record a trace. With an owner its epoch is 1.

    Raises:
        TraceExists: the id is taken.
        TraceNotFound, StepNotFound, BadInput: of a fork: there is nothing at that place, or it is too deep.
    """
    if db.execute("select 1 from trace where id=?", (trace.trace_id,)).fetchone():
        raise TraceExists(trace.trace_id)
    if trace.fork_at is not None:
        check_fork(SqliteRows(db), trace)
    row = {**columns, "owner": owner, "epoch": 1 if owner else 0, "is_partial": int(columns["is_partial"])}
    is_fork = trace.fork_at is not None
    row["seal"] = None if is_fork else seal_of(Identity(*map(row.get, _IDENTITY)).link(), digest(tuple(map(row.get, SEALED))))  # type: ignore[arg-type]
    no = db.execute(f"insert into trace({', '.join(row)}) values({', '.join('?' * len(row))})", tuple(row.values())).lastrowid  # our own column names
    if is_fork:  # what it goes on from can be told only now
        _seal(db, no or 0, _beginning(db, no or 0))


def check_conversation(db: sqlite3.Connection, trace: Trace, only_after: str) -> None:
    """Return where the newest trace of the conversation is `only_after` ("": none), and has ended.

    Raises:
        ConversationBusy: it is another one, or goes on.
    """
    found = db.execute("select id, status from trace where conversation=? and uid is ? order by no desc limit 1", (trace.conversation_id, trace.uid)).fetchone()
    newest_id, status = found or (None, None)
    check_newest(trace, newest_id, status, only_after)


class Tip(NamedTuple):
    """The end of a trace as its driver left it: valid for as long as the next number is free, no gap was made and the epoch stands."""

    no: int
    sequence: int
    link: bytes


class Ready(NamedTuple):
    """Steps as the parameters of one statement, and the end of the trace after it."""

    row: tuple[Any, ...]
    steps: int
    tip: Tip


def ready(trace_id: str, steps: Sequence[Coded], *, epoch: int, tip: Tip) -> Ready | None:
    """Return steps made ready for `append_after`; None where they do not simply follow the tip."""
    count, link, following = len(steps), tip.link, tip.sequence + 1
    if not 0 < count <= FEW:
        return None
    row: tuple[Any, ...] = ()
    for step in steps:
        sequence = step.sequence
        if sequence != following or step.name is not None or step.blobs:
            return None
        link = step.link(link, trace_id)
        row += (sequence, step.epoch, step.kind, step.at, step.parents, step.data, link, trace_id, epoch)
        following += 1
    return Ready(row, count, Tip(tip.no, following - 1, link))


def append_after(db: sqlite3.Connection, trace_id: str, ready: Ready) -> Tip | None:
    """Append steps after a tip that is known, in one statement with the fence, which needs no transaction around it.

    Returns the new end; None, with nothing appended, where the tip or the epoch is old. Safe against other processes: what
    they append takes the next number, which is unique; a step with a gap before it sets `tail`; and who takes the trace over
    raises the epoch.

    Raises:
        SequenceTaken: nothing of it stands.
    """
    try:
        return ready.tip if db.execute(_FENCED[ready.steps], ready.row).rowcount else None
    except sqlite3.IntegrityError as error:
        raise SequenceTaken(trace_id, ready.row[0]) from error


def append_steps(db: sqlite3.Connection, trace_id: str, steps: Sequence[Coded], columns: Mapping[str, Any], *, epoch: int | None) -> Tip:
    """Append steps after the trace's last one, set columns of the trace, and return its new end.

    Raises:
        TraceNotFound, Fenced, SequenceTaken: nothing of it may stand.
    """
    found = db.execute(_TIP, (findable(trace_id),)).fetchone()
    if found is None:
        raise TraceNotFound(trace_id)
    no, current, tail, last, link, fork_at = found
    if epoch is not None and epoch != current:
        raise Fenced(trace_id, epoch)
    if tail is not None:
        link = _link_at(db, tail)
    if last is None:
        last, link = fork_at, _beginning(db, no)
    following = 0 if last is None else last + 1
    for step in steps:
        if step.sequence != following:
            raise SequenceTaken(trace_id, step.sequence)
        link = step.link(link, trace_id)
        _insert(db, no, step, link)
        following += 1
    if steps and tail is not None:
        columns = {**columns, "tail": None}
    set_columns(db, no, columns, link)
    return Tip(no, following - 1, link)


def add_step(db: sqlite3.Connection, trace_id: str, step: Coded) -> None:
    """Append one step at any free sequence.

    Raises:
        TraceNotFound, SequenceTaken: nothing of it may stand.
    """
    found = db.execute(_TIP, (trace_id,)).fetchone()
    if found is None:
        raise TraceNotFound(trace_id)
    no, _, tail, last, link, fork_at = found
    if fork_at is not None and step.sequence <= fork_at:
        raise SequenceTaken(trace_id, step.sequence)
    if tail is not None:
        link = _link_at(db, tail)
    if last is None:
        last, link = fork_at, _beginning(db, no)
    is_last = last is None or step.sequence > last
    if not is_last and db.execute("select 1 from step where trace=? and seq=?", (no, step.sequence)).fetchone():
        raise SequenceTaken(trace_id, step.sequence)
    step_no = _insert(db, no, step, step.link(link, trace_id))
    is_next = is_last and step.sequence == (0 if last is None else last + 1)
    if not is_next or tail is not None:  # also after a gap: whoever remembers the end of the trace must look again
        db.execute("update trace set tail=? where no=?", (None if is_next else step_no, no))


def update_trace(db: sqlite3.Connection, trace_id: str, columns: Mapping[str, Any]) -> None:
    """Set columns of the trace.

    Raises:
        TraceNotFound: no trace has this id.
    """
    append_steps(db, trace_id, (), columns, epoch=None)


def set_columns(db: sqlite3.Connection, no: int, columns: Mapping[str, Any], link: bytes) -> None:
    """Set columns of a trace, and seal them with the hash of the last step."""
    if columns:
        values = ", ".join(f"{name}=max({name}, ?)" if name in GROWING else f"{name}=?" for name in columns)
        db.execute(f"update trace set {values} where no=?", (*columns.values(), no))  # noqa: S608  # our own column names
        if not GROWING.issuperset(columns):
            _seal(db, no, link)


def _beginning(db: sqlite3.Connection, no: int) -> bytes:
    """Return what the first step of a trace's own is linked to."""
    (row,) = db.execute(f"select {', '.join(_IDENTITY)} from trace where no=?", (no,)).fetchall()  # noqa: S608  # our own column names
    identity = Identity(*row)
    return identity.link(b"" if identity.fork_at is None else seam(SqliteRows(db), identity.trace_id))


def _seal(db: sqlite3.Connection, no: int, link: bytes) -> None:
    db.execute("update trace set seal=? where no=?", (seal_of(link, fields_of(db, no)), no))


def claim(db: sqlite3.Connection, trace_id: str, expected_epoch: int, owner: str) -> int:
    """Make `owner` the driver and return the new epoch.

    Raises:
        TraceNotFound, Fenced: nothing was changed.
    """
    sql = "update trace set epoch=epoch+1, owner=?, status='running', completed=null where id=? and epoch=?"
    if db.execute(sql, (owner, trace_id, expected_epoch)).rowcount:
        _seal_again(db, trace_id)
        return expected_epoch + 1
    if db.execute("select 1 from trace where id=?", (trace_id,)).fetchone() is None:
        raise TraceNotFound(trace_id)
    raise Fenced(trace_id, expected_epoch)


def _seal_again(db: sqlite3.Connection, trace_id: str) -> None:
    """Seal changed fields; steps appended since then are left to the next one."""
    ((no, seal),) = db.execute("select no, seal from trace where id=?", (trace_id,)).fetchall()
    db.execute("update trace set seal=? where no=?", ((seal or bytes(SIZE))[:SIZE] + fields_of(db, no), no))


def beat(db: sqlite3.Connection, owner: str, now_ms: int) -> None:
    """Say that the owner is there."""
    if not db.execute("update process set beat=? where owner=?", (now_ms, owner)).rowcount:
        db.execute("insert into process(owner, beat) values(?, ?)", (owner, now_ms))
        db.execute("delete from process where beat<?", (now_ms - _STALE_MS,))


def _link_at(db: sqlite3.Connection, step_no: int) -> bytes:
    ((link,),) = db.execute("select hash from step where id=?", (step_no,)).fetchall()
    return bytes(link)


def _insert(db: sqlite3.Connection, no: int, step: Coded, link: bytes) -> int:
    row = (no, step.sequence, step.epoch, step.kind, step.at, step.parents, step.data, link)
    step_no = db.execute(_INSERT, row).lastrowid or 0
    if step.name is not None:
        _name(db, no, step_no, step.name)
    for blob, data in step.blobs:
        db.execute("insert or ignore into blob(hash, data) values(?, ?)", (blob, data))
        db.execute("insert or ignore into blob_use(trace, blob) select ?, id from blob where hash=?", (no, blob))
    return step_no


def _name(db: sqlite3.Connection, no: int, step_no: int, name: str) -> None:
    if db.execute("select 1 from step_name where trace=? and name=?", (no, name)).fetchone():
        raise BadInput(f"the trace has a step {name!r} already: choose another step_id, or leave it to the store")
    db.execute("insert into step_name(step, trace, name) values(?, ?, ?)", (step_no, no, name))
