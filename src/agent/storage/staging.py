"""Changes of states that wait for their step: what a `transactional` tool does goes to the disk in the commit of its result.

`StagingStates` and `StateLog` are ports beside those of `protocols`: a store that keeps traces and states in one place has both.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from agent.errors import BadInput, VersionConflict
from agent.models.trace import Step
from agent.models.value import Value, replace
from agent.storage.arguments import checks_arguments
from agent.storage.protocols import StateEntry, StateStore, TraceLog
from agent.storage.state_values import MAX_VALUE_BYTES, RESERVED, checked_key, encode_value, entry_of, expiry_of, next_version, not_reserved


class StateView(Value, frozen=True, kw_only=True):
    """A state as it stands in the store. `version` 0: there is none; `used` is the largest version that later ones must be above."""

    text: str | None = None  # JSON
    version: int = 0
    used: int = 0
    expires_ms: int | None = None


class StateChange(Value, frozen=True, kw_only=True):
    """What a call did to one state. Neither set nor deleted: it was only looked at, and must still be what it was."""

    key: str
    seen: int  # the version that it had when the call looked; 0: there was none
    text: str | None = None  # JSON of the value that is set
    version: int = 0  # that the set value gets
    ttl_s: float | None = None
    is_deleted: bool = False


@runtime_checkable
class StagingStates(StateStore, Protocol):
    """A state store whose changes can wait."""

    def stage(self, *, uid: str | None = None) -> "StagedStates":
        """Return the states of a uid as one call sees them: its own changes at once, nobody else's, and nothing written."""
        ...


@runtime_checkable
class StateLog(TraceLog, Protocol):
    """A log of runs that commits states together with steps."""

    def keeps(self, states: object) -> bool:
        """Return whether the states of that store lie where this log lies, so that both are one commit."""
        ...

    async def add_steps_and_states(
        self,
        trace_id: str,
        steps: Sequence[Step],
        staged: "StagedStates",
        *,
        epoch: int,
        changes: Mapping[str, Any] | None = None,
    ) -> None:
        """Append as `add_steps` does, and make the staged changes in the same commit: all of it or nothing.

        Raises:
            VersionConflict: a state that the call saw is another one by now. Neither a step nor a state was written.
            SequenceTaken, Fenced, TraceNotFound, StoreFull: as `add_steps`.
        """
        ...


@checks_arguments()
class StagedStates:
    """The states of one uid as one call sees them. What it set is read back, listed, and has its version before it is written.

    What it looked at stays what it was at the first look; if anything of that is another one at the commit, the commit is refused.
    """

    def __init__(
        self,
        states: StateStore,
        look: Callable[[str], Awaitable[StateView]],
        *,
        uid: str | None,
        now: Callable[[], datetime],
        max_value_bytes: int = MAX_VALUE_BYTES,
    ) -> None:
        self.states, self.uid = states, uid
        self._look, self._now, self._max_value_bytes = look, now, max_value_bytes
        self._seen: dict[str, StateView] = {}
        self._staged: dict[str, StateView] = {}
        self._ttls: dict[str, float | None] = {}
        self._is_closed = False

    async def get(self, key: str) -> Any:
        """Return the value (a copy), or None."""
        text = (await self._view(key)).text
        return None if text is None else json.loads(text)

    async def set(self, key: str, value: Any, *, if_version: int | None = None, ttl_s: float | None = None) -> int:
        """Set a JSON value and return the version that it will have; `if_version` and `ttl_s` as in the store.

        Raises:
            VersionConflict: it has another version.
            BadInput: the value is no JSON or too large, or the key is empty or too long.
        """
        text = encode_value(checked_key(key), value, max_bytes=self._max_value_bytes)
        expires_ms = expiry_of(ttl_s, self._now())
        before = await self._view(key)
        version = next_version(key, live=before.version, used=before.used, if_version=if_version)
        self._staged[key] = StateView(text=text, version=version, used=version, expires_ms=expires_ms)
        self._ttls[key] = ttl_s
        return version

    async def delete(self, key: str) -> bool:
        """Remove a value; return whether there was one."""
        before = await self._view(key)
        self._staged[key] = StateView(used=before.used)
        return before.version > 0

    async def list(self, prefix: str = "") -> list[StateEntry]:
        """Return the entries whose key begins with `prefix`, by key. A key that another writer adds meanwhile is not waited for."""
        self._check_open()
        for entry in await self.states.list(prefix, uid=self.uid):
            if entry.key.startswith(RESERVED):
                continue
            expires_ms = None if entry.expires_at is None else round(entry.expires_at.timestamp() * 1000)
            text = encode_value(entry.key, entry.value, max_bytes=self._max_value_bytes)
            self._seen.setdefault(entry.key, StateView(text=text, version=entry.version, used=entry.version, expires_ms=expires_ms))
        found = sorted((key, view) for key, view in {**self._seen, **self._staged}.items() if key.startswith(prefix) and view.text is not None)
        return [entry_of(key, view.text or "", view.version, view.expires_ms) for key, view in found]

    @property
    def changes(self) -> tuple[StateChange, ...]:
        """What the call did to each state that it touched."""
        return tuple(self._change(key, seen) for key, seen in self._seen.items())

    def close(self) -> None:
        """Take no more: the call is over, and what comes late (from a task or thread that it left behind) is refused."""
        self._is_closed = True

    def _change(self, key: str, seen: StateView) -> StateChange:
        staged = self._staged.get(key)
        change = StateChange(key=key, seen=seen.version)
        if staged is None:
            return change
        if staged.text is None:
            return replace(change, is_deleted=seen.version > 0)
        return replace(change, text=staged.text, version=staged.version, ttl_s=self._ttls[key])

    async def _view(self, key: str) -> StateView:
        self._check_open()
        checked_key(not_reserved(key))
        if key not in self._seen:
            view = await self._look(key)
            self._check_open()
            self._seen.setdefault(key, view)
        return self._staged.get(key) or self._seen[key]

    def _check_open(self) -> None:
        if self._is_closed:
            raise BadInput("the call that this state belonged to is over: what it does now counts for nothing")


def check_change(change: StateChange, *, live: int, used: int) -> None:
    """Refuse a change that was made of a state which is another one by now. `live`, `used`: as in `next_version`.

    Raises:
        VersionConflict: with both versions.
    """
    if live != change.seen:
        raise VersionConflict(change.key, change.seen, live)
    if change.text is not None and not live and change.version <= used:
        raise VersionConflict(change.key, change.version - 1, used)
