"""Whether a trace is what was recorded: its chain, its end, its blobs."""

import zlib
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple, Protocol

from agent.errors import StoreUnusable
from agent.storage.chain import SIZE
from agent.storage.codec import Coded, Page, Row, blob_bytes, commitment_of
from agent.storage.lineage import lineage
from agent.storage.restore import Rows


class Chain(NamedTuple):
    """What a trace holds: its rows in the order of commit, each with its hash, and the hash of the last when its status was last set."""

    rows: Sequence[tuple[Row, bytes]]
    seal: bytes | None


class Chains(Rows, Protocol):
    """Rows, and the chains that they form."""

    def chain(self, trace_id: str) -> Chain:
        """Return the chain of a trace."""
        ...


def verify_run(rows: Chains, trace_id: str) -> int:
    """Return how many steps the chain of a trace covers, of a fork also those that it inherits.

    Raises:
        StoreUnusable: a step was changed, removed, added or moved; says which.
    """
    count, link = 0, b""
    for part in lineage(rows, trace_id):
        chain = rows.chain(part.trace_id)
        if part.last is not None:
            chain = _until(chain, part.last)
        check_trace(part.trace_id, chain.rows, chain.seal, rows.blobs, link)
        count += len(chain.rows)
        link = chain.rows[-1][1] if chain.rows else link
    return count


def _until(chain: Chain, last: int) -> Chain:
    """Return the part of a chain that a fork rests on; what came later is no concern of it."""
    place = next((n for n, (row, _) in enumerate(chain.rows) if row[0] == last), -1)
    return Chain(chain.rows[: place + 1], None)


def check_trace(
    trace_id: str, rows: Sequence[tuple[Row, bytes]], seal: bytes | None, blobs: Callable[[Sequence[bytes]], Mapping[bytes, bytes]], link: bytes = b""
) -> int:
    """Return how many steps the chain covers. `rows` are in the order of commit, each with its hash; `link` is that of the step before them.

    A forgotten payload is no fault: its commitment stays. Steps cut off the end show if the status was set after them.

    Raises:
        StoreUnusable: a step was changed, removed, added or moved; says which.
    """
    is_sealed = seal is None or seal == link
    for row, expected in rows:
        link = _link(trace_id, row, link)
        if link != expected:
            raise StoreUnusable(
                f"trace {trace_id!r} was changed: step {row[0]}, or what stood before it, is not what was recorded (changed, removed, added or moved)"
            )
        is_sealed = is_sealed or link == seal
    if not is_sealed:
        raise StoreUnusable(f"trace {trace_id!r} was changed: steps at its end, after {f'step {rows[-1][0][0]}' if rows else 'its beginning'}, were removed")
    _check_blobs(trace_id, [row for row, _ in rows], blobs)
    return len(rows)


def _link(trace_id: str, row: Sequence[Any], before: bytes) -> bytes:
    sequence, epoch, kind, at, parents, data, name = row
    try:
        return Coded(sequence, epoch, kind, at, parents, name, data, commitment_of(data), ()).link(before, trace_id)
    except (TypeError, ValueError, IndexError, zlib.error) as error:
        raise StoreUnusable(f"trace {trace_id!r} was changed: step {sequence} cannot be read ({error})") from error


def _check_blobs(trace_id: str, rows: Sequence[Row], blobs: Callable[[Sequence[bytes]], Mapping[bytes, bytes]]) -> None:
    page = Page(trace_id)
    page.add(rows)
    found = blobs(page.wanted) if page.wanted else {}
    for digest in page.wanted:
        if digest not in found or not _is_right(digest, found[digest]):
            raise StoreUnusable(f"trace {trace_id!r} was changed: its blob {digest.hex()} is not what was recorded")


def _is_right(digest: bytes, stored: bytes) -> bool:
    try:
        return sha256(blob_bytes(stored)).digest()[:SIZE] == digest
    except (TypeError, IndexError, zlib.error):
        return False
