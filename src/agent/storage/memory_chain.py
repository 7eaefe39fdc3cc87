"""The hash chain of a memory's log, and whether the log is what was recorded. The same for every store."""

import os
from collections.abc import Iterable
from typing import NamedTuple

from agent.clock import to_ms
from agent.errors import StoreUnusable
from agent.storage.chain import SALT_SIZE, commitment, digest
from agent.storage.memory_log import CARRYING, OF_USES, Change
from agent.storage.protocols import Erasure, Verified

EMPTY_HEAD = digest("").hex()
"""The head of a log without entries."""


class Pledge(NamedTuple):
    """What the chain knows of an entry."""

    salt: bytes | None  # gone with the item
    commitment: bytes
    link: bytes


class Entry(NamedTuple):
    """One entry of the log with its place in the chain; parts that are missing are None."""

    number: int
    change: Change
    salt: bytes | None
    commitment: bytes | None
    link: bytes | None


def pledge(before: bytes, number: int, change: Change) -> Pledge:
    """Return an entry's place in the chain, after the link `before` (the first: b'')."""
    salt = os.urandom(SALT_SIZE)
    commit = commitment(salt, change.data or b"")
    return Pledge(salt, commit, _link(before, number, change, commit))


def check_log(entries: Iterable[Entry], head: str | None = None) -> Verified:
    """Return how many entries the chain covers, its head, and what was forgotten.

    Raises:
        StoreUnusable: an entry was changed, removed, added or moved, or the log does not go on from `head`; says which.
    """
    link, count, heads = b"", 0, {EMPTY_HEAD}
    forgotten: dict[tuple[str, bool], Erasure] = {}
    cuts: dict[str, int] = {}
    emptied: dict[tuple[str, bool], int] = {}  # the last one of each item, or use
    for number, change, salt, commit, expected in entries:
        link = b"" if commit is None else _link(link, number, change, commit)
        if not link or link != expected or not _holds(change, salt, commit):
            raise _changed(f"entry {number}, or what stood before it, is not what was recorded (changed, removed, added or moved)")
        what = (change.item_id, change.change in OF_USES)
        if change.data is None and change.change in CARRYING:
            emptied[what] = number
        if change.change in {"forgotten", "use_forgotten"}:
            forgotten[what] = Erasure(at=change.at, by=change.by, item_id=change.item_id)
        elif change.change == "cut":
            cuts[change.item_id] = number
        count += 1
        heads.add(link.hex())
    for what, number in emptied.items():
        is_cut = not what[1] and number < cuts.get(what[0], 0)
        if what not in forgotten and not is_cut:
            raise _changed(f"what entry {number} said was removed, and no entry says that it was forgotten")
    if head is not None and head.strip().lower() not in heads:
        raise _changed(f"the head {head.strip()[:64]!r} is none of its {count}: entries were cut off or made anew, or the file was put back to an older one")
    return Verified(entries=count, head=link.hex() or EMPTY_HEAD, erased=tuple(forgotten.values()))


def _link(before: bytes, number: int, change: Change, commit: bytes) -> bytes:
    return digest((before, number, to_ms(change.at), change.uid, change.change, change.item_id, change.by, change.successor_id, commit))


def _holds(change: Change, salt: bytes | None, commit: bytes | None) -> bool:
    """Return whether an entry's item is what was committed to; a forgotten one cannot be told any more."""
    if change.change in CARRYING and change.data is None:
        return salt is None
    return salt is not None and commitment(salt, change.data or b"") == commit


def _changed(what: str) -> StoreUnusable:
    return StoreUnusable(f"the memory was changed: {what}")
