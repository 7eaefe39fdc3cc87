"""States in a SQLite file, beside the record of runs.

`set_state` and `delete_state` work inside a transaction of somebody else's, so that a state and a step can be one commit.
"""

import itertools
import json
import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from agent.clock import now as clock_now
from agent.clock import to_ms
from agent.storage.arguments import checks_arguments
from agent.storage.protocols import StateEntry
from agent.storage.sqlite.database import Database
from agent.storage.sqlite.owners import owner_of
from agent.storage.sqlite.parts import Part, ensure, version_of
from agent.storage.staging import StagedStates, StateChange, StateView, check_change
from agent.storage.state_values import MAX_VALUE_BYTES, checked_key, checked_uid, encode_value, entry_of, expiry_of, next_version
from agent.storage.unicode import findable, is_unicode

CLEAN_AT_MOST = 100
"""Expired states that one change takes along, whoever they belong to."""


def set_state(db: sqlite3.Connection, owner: str, key: str, text: str, *, if_version: int | None, expires_ms: int | None, now_ms: int) -> int:
    """Set a state to `text` (JSON) and return its new version. `owner` is that of `owner_of`.

    Raises:
        VersionConflict: it has another version; nothing was set.
    """
    ensure(db, "state")
    _clean(db, now_ms)
    _drop(db, "owner = ? and key = ? and expires <= ?", (owner, key, now_ms))
    live, used = _versions(db, owner, key)
    version = next_version(key, live=live, used=used, if_version=if_version)
    _put(db, owner, key, version, expires_ms, text)
    return version


def delete_state(db: sqlite3.Connection, owner: str, key: str, *, now_ms: int) -> bool:
    """Remove a state; return whether there was one."""
    if not version_of(db, "state"):
        return False
    ensure(db, "state")
    _clean(db, now_ms)
    _drop(db, "owner = ? and key = ? and expires <= ?", (owner, key, now_ms))
    return _drop(db, "owner = ? and key = ?", (owner, key)) > 0


def make_staged(db: sqlite3.Connection, owner: str, changes: Sequence[StateChange], now: datetime) -> None:
    """Make staged changes, all of them or none.

    Raises:
        VersionConflict: a state is another one by now; the transaction is to be taken back.
    """
    ensure(db, "state")
    now_ms = to_ms(now)
    for change in changes:
        _drop(db, "owner = ? and key = ? and expires <= ?", (owner, change.key, now_ms))
        live, used = _versions(db, owner, change.key)
        check_change(change, live=live, used=used)
    for change in changes:  # checked first: a removal below raises what others are compared with
        if change.text is not None:
            _put(db, owner, change.key, change.version, expiry_of(change.ttl_s, now), change.text)
        elif change.is_deleted:
            _drop(db, "owner = ? and key = ?", (owner, change.key))


@checks_arguments()
class SqliteStateStore:
    """A `StateStore` in a file. `now` is asked for the moment."""

    def __init__(self, database: Database, *, now: Callable[[], datetime] = clock_now, max_value_bytes: int = MAX_VALUE_BYTES) -> None:
        self._database = database
        self._part = Part(database, "state")
        self._now = now
        self._max_value_bytes = max_value_bytes

    async def get(self, key: str, *, uid: str | None = None) -> Any:
        """Return the value (a copy), or None where there is none or it has expired."""
        place = (findable(owner_of(uid)), findable(key), to_ms(self._now()))
        row = await self._part.read(
            lambda db: db.execute("select value from state where owner = ? and key = ? and (expires is null or expires > ?)", place).fetchone(), is_small=True
        )
        return None if row is None else json.loads(row[0])

    async def set(self, key: str, value: Any, *, uid: str | None = None, if_version: int | None = None, ttl_s: float | None = None) -> int:
        """Set a JSON value and return its new version; see `StateStore`.

        Raises:
            VersionConflict: it has another version; nothing was set.
            BadInput: the value is no JSON or too large, or the key is empty or too long.
        """
        text = encode_value(checked_key(key), value, max_bytes=self._max_value_bytes)
        now, owner = self._now(), owner_of(checked_uid(uid))
        expires_ms = expiry_of(ttl_s, now)
        return await self._database.write(
            lambda db: set_state(db, owner, key, text, if_version=if_version, expires_ms=expires_ms, now_ms=to_ms(now)),
        )

    def stage(self, *, uid: str | None = None) -> StagedStates:
        """See `StagingStates`."""
        owner = owner_of(checked_uid(uid))

        async def look(key: str) -> StateView:
            """Return the state as it stands."""
            now_ms = to_ms(self._now())
            return await self._part.read(lambda db: _look(db, owner, key, now_ms), is_small=True)

        return StagedStates(self, look, uid=uid, now=self._now, max_value_bytes=self._max_value_bytes)

    def making(self, staged: StagedStates) -> Callable[[sqlite3.Connection], None]:
        """Return what makes staged changes inside a transaction."""
        owner, changes = owner_of(staged.uid), staged.changes
        return lambda db: make_staged(db, owner, changes, self._now())

    def lies_in(self, database: Database) -> bool:
        """Return whether a database has the same file."""
        return database.path == self._database.path

    async def delete(self, key: str, *, uid: str | None = None) -> bool:
        """Remove a value; return whether there was one."""
        now_ms = to_ms(self._now())
        if not (is_unicode(key) and is_unicode(owner_of(uid))):
            return False
        return await self._database.write(lambda db: delete_state(db, owner_of(uid), key, now_ms=now_ms))

    async def list(self, prefix: str = "", *, uid: str | None = None) -> list[StateEntry]:
        """Return live entries whose key begins with `prefix`, by key."""
        now_ms = to_ms(self._now())
        return await self._part.read(lambda db: _entries(db, owner_of(uid), prefix, now_ms))


def _versions(db: sqlite3.Connection, owner: str, key: str) -> tuple[int, int]:
    """Return the version of a state (0: there is none), and the one that the next must be above."""
    row = db.execute("select version from state where owner = ? and key = ?", (owner, key)).fetchone()
    used = row or db.execute("select version from state_used where owner = ?", (owner,)).fetchone() or (0,)
    return row[0] if row else 0, used[0]


def _put(db: sqlite3.Connection, owner: str, key: str, version: int, expires_ms: int | None, text: str) -> None:
    db.execute(
        "insert into state(owner, key, version, expires, value) values(?, ?, ?, ?, ?)"
        " on conflict(owner, key) do update set version = excluded.version, expires = excluded.expires, value = excluded.value",
        (owner, key, version, expires_ms, text),
    )


def _look(db: sqlite3.Connection, owner: str, key: str, now_ms: int) -> StateView:
    """Return a state as it stands. One that has expired counts as removed, which it will be by the next change."""
    row = db.execute("select value, version, expires from state where owner = ? and key = ?", (owner, key)).fetchone()
    if row is not None and (row[2] is None or row[2] > now_ms):
        return StateView(text=row[0], version=row[1], used=row[1], expires_ms=row[2])
    used = db.execute("select version from state_used where owner = ?", (owner,)).fetchone() or (0,)
    return StateView(used=max(used[0], row[1] if row is not None else 0))


def _entries(db: sqlite3.Connection, owner: str, prefix: str, now_ms: int) -> list[StateEntry]:
    """Read on from the first key that could begin with `prefix`: SQLite compares bytes of UTF-8, in the order of the characters."""
    if not (is_unicode(owner) and is_unicode(prefix)):
        return []
    rows = db.execute(
        "select key, value, version, expires from state where owner = ? and key >= ? and (expires is null or expires > ?) order by key", (owner, prefix, now_ms)
    )
    found = [entry_of(*row) for row in itertools.takewhile(lambda row: row[0].startswith(prefix), rows)]
    rows.close()
    return found


def _clean(db: sqlite3.Connection, now_ms: int) -> None:
    _drop(db, "no in (select no from state where expires <= ? limit ?)", (now_ms, CLEAN_AT_MOST))


def _drop(db: sqlite3.Connection, condition: str, values: tuple[str | int, ...]) -> int:
    """Remove states and remember the largest version of each owner's."""
    gone = db.execute(f"delete from state where {condition} returning owner, version", values).fetchall()  # noqa: S608 (our own conditions)
    db.executemany("insert into state_used(owner, version) values(?, ?) on conflict(owner) do update set version = max(version, excluded.version)", gone)
    return len(gone)
