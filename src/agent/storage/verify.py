"""Whether a trace is what was recorded: its chain, its end, its blobs."""

import zlib
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any

from agent.errors import StoreUnusable
from agent.storage.chain import SIZE
from agent.storage.codec import Coded, Page, Row, blob_bytes, commitment_of


def check_trace(trace_id: str, rows: Sequence[tuple[Row, bytes]], seal: bytes | None, blobs: Callable[[Sequence[bytes]], Mapping[bytes, bytes]]) -> int:
    """Return how many steps the chain covers. `rows` are in the order of commit, each with its hash.

    A forgotten payload is no fault: its commitment stays. Steps cut off the end show if the status was set after them.

    Raises:
        StoreUnusable: a step was changed, removed, added or moved; says which.
    """
    link, is_sealed = b"", seal is None
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
