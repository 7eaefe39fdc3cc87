"""States that live as long as their process."""

import heapq
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from agent.clock import now as clock_now
from agent.clock import to_ms
from agent.storage.arguments import checks_arguments
from agent.storage.protocols import StateEntry
from agent.storage.staging import StagedStates, StateChange, StateView, check_change
from agent.storage.state_values import MAX_VALUE_BYTES, checked_key, checked_uid, encode_value, entry_of, expiry_of, next_version


class _Cell(NamedTuple):
    text: str  # JSON: who reads gets a copy
    version: int
    expires_ms: int | None


@checks_arguments()
class RamStateStore:
    """A `StateStore` without a disk. `now` is asked for the moment."""

    def __init__(self, *, now: Callable[[], datetime] = clock_now, max_value_bytes: int = MAX_VALUE_BYTES) -> None:
        self._now = now
        self._max_value_bytes = max_value_bytes
        self._cells: dict[tuple[str | None, str], _Cell] = {}
        self._used: dict[str | None, int] = {}  # the largest version that a removed key of the uid had: later ones begin above
        self._expiries: list[tuple[int, int, str | None, str]] = []  # a heap; the count in it keeps uids from being compared
        self._count = 0

    async def get(self, key: str, *, uid: str | None = None) -> Any:
        """Return the value (a copy), or None where there is none or it has expired."""
        self._clean()
        cell = self._cells.get((uid, key))
        return None if cell is None else json.loads(cell.text)

    async def set(self, key: str, value: Any, *, uid: str | None = None, if_version: int | None = None, ttl_s: float | None = None) -> int:
        """Set a JSON value and return its new version; see `StateStore`.

        Raises:
            VersionConflict: it has another version; nothing was set.
            BadInput: the value is no JSON or too large, or the key is empty or too long.
        """
        text = encode_value(checked_key(key), value, max_bytes=self._max_value_bytes)
        expires_ms = expiry_of(ttl_s, self._now())
        checked_uid(uid)
        self._clean()
        cell = self._cells.get((uid, key))
        live = cell.version if cell else 0
        version = next_version(key, live=live, used=live or self._used.get(uid, 0), if_version=if_version)
        self._keep(uid, key, _Cell(text, version, expires_ms))
        return version

    async def delete(self, key: str, *, uid: str | None = None) -> bool:
        """Remove a value; return whether there was one."""
        self._clean()
        return self._remove(uid, key)

    async def list(self, prefix: str = "", *, uid: str | None = None) -> list[StateEntry]:
        """Return live entries whose key begins with `prefix`, by key."""
        self._clean()
        found = sorted((key, cell) for (owner, key), cell in self._cells.items() if owner == uid and key.startswith(prefix))
        return [entry_of(key, cell.text, cell.version, cell.expires_ms) for key, cell in found]

    def stage(self, *, uid: str | None = None) -> StagedStates:
        """See `StagingStates`."""

        async def look(key: str) -> StateView:
            """Return the state as it stands."""
            self._clean()
            cell = self._cells.get((uid, key))
            if cell is None:
                return StateView(used=self._used.get(uid, 0))
            return StateView(text=cell.text, version=cell.version, used=cell.version, expires_ms=cell.expires_ms)

        return StagedStates(self, look, uid=checked_uid(uid), now=self._now, max_value_bytes=self._max_value_bytes)

    def check_staged(self, uid: str | None, changes: Sequence[StateChange]) -> None:
        """Refuse changes of states that are others by now.

        Raises:
            VersionConflict: one of them is.
        """
        self._clean()
        for change in changes:
            cell = self._cells.get((uid, change.key))
            check_change(change, live=cell.version if cell else 0, used=self._used.get(uid, 0))

    def make_staged(self, uid: str | None, changes: Sequence[StateChange]) -> None:
        """Make changes that were checked."""
        for change in changes:
            if change.text is not None:
                self._keep(uid, change.key, _Cell(change.text, change.version, expiry_of(change.ttl_s, self._now())))
            elif change.is_deleted:
                self._remove(uid, change.key)

    def _keep(self, uid: str | None, key: str, cell: _Cell) -> None:
        self._cells[uid, key] = cell
        if cell.expires_ms is not None:
            self._count += 1
            heapq.heappush(self._expiries, (cell.expires_ms, self._count, uid, key))

    def _remove(self, uid: str | None, key: str) -> bool:
        cell = self._cells.pop((uid, key), None)
        if cell is None:
            return False
        self._used[uid] = max(self._used.get(uid, 0), cell.version)
        return True

    def _clean(self) -> None:
        """Remove what has expired. An entry of the heap may be of a value that was set anew since."""
        now_ms = to_ms(self._now())
        while self._expiries and self._expiries[0][0] <= now_ms:
            _, _, uid, key = heapq.heappop(self._expiries)
            cell = self._cells.get((uid, key))
            if cell is not None and cell.expires_ms is not None and cell.expires_ms <= now_ms:
                self._remove(uid, key)
