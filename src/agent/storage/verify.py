"""Whether a trace is what was recorded: its chain, its end, its blobs, its own fields, and what it inherits."""

import zlib
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple, Protocol

import agent.models.payloads as said
from agent.clock import to_ms
from agent.errors import StoreUnusable
from agent.models.payloads import payload_of
from agent.models.trace import Step, Trace
from agent.storage import chain
from agent.storage.chain import SIZE, Identity
from agent.storage.codec import Coded, Page, Row, blob_bytes, commitment_of
from agent.storage.erasing import is_erased
from agent.storage.lineage import lineage
from agent.storage.protocols import Erasure, Verified
from agent.storage.restore import Rows

SEALED_FIELDS_FROM = 2
"""The first format of a trace whose seal covers its fields."""
ERASURE = said.Erased.step_type


class Evidence(NamedTuple):
    """All that is known of a trace. `rows` are in the order of commit, each with its hash; `fields` is the hash of its own fields now."""

    trace: Trace
    rows: Sequence[tuple[Row, bytes]]
    seal: bytes | None
    fields: bytes
    held: frozenset[bytes]  # hashes of the blobs that it holds: another one would go with another trace


class Chains(Rows, Protocol):
    """Rows, and the chains that they form."""

    def evidence(self, trace_id: str) -> Evidence | None:
        """Return all that is known of a trace; None where there is no such trace."""
        ...


class _Checked(NamedTuple):
    links: list[bytes]  # before the first step, then of each
    erased: list[Erasure]


def seal_of(link: bytes, fields: bytes) -> bytes:
    """Return what is kept beside a trace: its last step's hash when its fields were last set, and the hash of those fields."""
    return (link or bytes(SIZE)) + fields


def verify_run(rows: Chains, trace_id: str, head: str | None = None) -> Verified:
    """Return how far the chain of a trace goes, of a fork over what it inherits too, its head, and what was erased.

    Steps cut off the end show if the fields were set after them, or by a `head` kept elsewhere.

    Raises:
        StoreUnusable: something was changed, removed, added or moved; says what.
    """
    count, seam = 0, b""
    erased: list[Erasure] = []
    heads: list[str] = []
    for part in lineage(rows, trace_id):
        found = rows.evidence(part.trace_id)
        if found is None:
            raise _changed(trace_id, f"trace {part.trace_id!r}, from which it goes on, is gone")
        if part.last is not None and found.trace.fork_at is not None and part.last <= found.trace.fork_at:
            continue  # nothing of its own is inherited
        checked = _check(found, seam, rows)
        covered = len(found.rows) if part.last is None else next((n for n, (row, _) in enumerate(found.rows, 1) if row[0] == part.last), 0)
        count += covered
        seam = checked.links[covered]
        erased += [gone for gone in checked.erased if part.last is None or min(gone.sequences, default=0) <= part.last]
        heads = [head_of(found.trace, link) for link in (checked.links if head is not None else checked.links[-1:])]
    if head is not None and head.strip().lower() not in heads:
        raise _changed(
            trace_id, f"the head {head.strip()[:64]!r} is none of its {len(heads)}: steps were cut off or made anew, or the file was put back to an older one"
        )
    return Verified(entries=count, head=heads[-1], erased=tuple(erased))


def _check(found: Evidence, seam: bytes, rows: Rows) -> _Checked:
    trace_id, link = found.trace.trace_id, identity_of(found.trace).link(seam)
    links = [link]
    for row, expected in found.rows:
        link = _link(trace_id, row, link)
        if link != expected:
            raise _changed(trace_id, f"step {row[0]}, or what stood before it, is not what was recorded (changed, removed, added or moved)")
        links.append(link)
    _check_seal(found, links)
    return _Checked(links, _erasures(trace_id, found.rows, _check_blobs(found, rows)))


def head_of(trace: Trace, link: bytes) -> str:
    """Return what stands for a trace up to the step of a hash, and for whose and what it is."""
    return chain.digest((link, tuple(identity_of(trace)))).hex()


def identity_of(trace: Trace) -> Identity:
    """Return what a trace is from its first moment on."""
    created = to_ms(trace.created_at)
    return Identity(trace.trace_id, trace.mode, trace.uid, created, trace.conversation_id, trace.parent_trace_id, trace.fork_at, trace.format)


def _changed(trace_id: str, what: str) -> StoreUnusable:
    return StoreUnusable(f"trace {trace_id!r} was changed: {what}")


def _check_seal(found: Evidence, links: Sequence[bytes]) -> None:
    trace_id, seal = found.trace.trace_id, found.seal
    if found.trace.format < SEALED_FIELDS_FROM and (seal is None or len(seal) == SIZE):
        link = seal or links[0]
    elif seal is None or len(seal) != 2 * SIZE:
        raise _changed(trace_id, "its seal is missing")
    else:
        link = b"" if seal[:SIZE] == bytes(SIZE) else seal[:SIZE]
        if seal[SIZE:] != found.fields:
            raise _changed(trace_id, "its fields (status, totals, task, uid …) are not what was recorded")
    if link not in links:
        after = f"step {found.rows[-1][0][0]}" if found.rows else "its beginning"
        raise _changed(trace_id, f"steps at its end, after {after}, were removed")


def _link(trace_id: str, row: Sequence[Any], before: bytes) -> bytes:
    sequence, epoch, kind, at, parents, data, name = row
    try:
        return Coded(sequence, epoch, kind, at, parents, name, data, commitment_of(data), ()).link(before, trace_id)
    except (TypeError, ValueError, IndexError, zlib.error) as error:
        raise _changed(trace_id, f"step {sequence} cannot be read ({error})") from error


def _check_blobs(found: Evidence, rows: Rows) -> list[Step]:
    page = Page(found.trace.trace_id)
    page.add([row for row, _ in found.rows])
    blobs: Mapping[bytes, bytes] = rows.blobs(page.wanted) if page.wanted else {}
    for digest in page.wanted:
        if digest not in found.held or digest not in blobs or not _is_right(digest, blobs[digest]):
            raise _changed(found.trace.trace_id, f"its blob {digest.hex()} is not what was recorded")
    return page.steps


def _is_right(digest: bytes, stored: bytes) -> bool:
    try:
        return sha256(blob_bytes(stored)).digest()[:SIZE] == digest
    except (TypeError, IndexError, zlib.error):
        return False


def _erasures(trace_id: str, rows: Sequence[tuple[Row, bytes]], steps: Sequence[Step]) -> list[Erasure]:
    """Return what was forgotten with an announcement; what lacks one was tampered with."""
    missing = {row[0] for row, _ in rows if is_erased(row[5])}
    tombstones = [(step, payload) for step in steps if step.step_type == ERASURE and isinstance(payload := payload_of(step), said.Erased)]
    announced = {sequence for _, payload in tombstones for sequence in payload.sequences}
    if missing - announced:
        raise _changed(trace_id, f"what step {min(missing - announced)} said was removed, and no step says that it was erased")
    return [Erasure(at=step.created_at, by=said_of.by, reason=said_of.reason, sequences=tuple(said_of.sequences)) for step, said_of in tombstones]
