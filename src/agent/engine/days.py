"""Limits on what one uid may do in a day: asked of the store, and of what this process runs now."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from agent.clock import now
from agent.core.limits import DAILY, Amount, Outside
from agent.errors import DailyLimitReached, Unsupported
from agent.storage.protocols import TraceStore, Usage, UsageLog

LOOK_S = 1.0
"""How old a run's knowledge of what other runs of its uid used may be."""
Unrecorded = Callable[[str | None], tuple[int, float]]


class Days:
    """What the uids of one runner used today. `unrecorded` tells what runs here have used and the store does not know yet."""

    def __init__(self, store: TraceStore | None, unrecorded: Unrecorded) -> None:
        self.store, self.unrecorded = store, unrecorded
        self._beginning = asyncio.Lock()

    def of(self, limits: Mapping[str, Any], uid: str | None) -> "Day | None":
        """Return what bounds a run that goes on, or None where no daily limit does.

        Raises:
            Unsupported: there are daily limits, and a store that cannot count.
        """
        return Day(self._log(), self.unrecorded, limits, uid) if any(name in limits for name in DAILY) else None

    @contextlib.asynccontextmanager
    async def beginning(self, limits: Mapping[str, Any], uid: str | None) -> AsyncIterator[None]:
        """Within it a run may begin: in this process one after the other, so that none slips past a limit on runs.

        Raises:
            DailyLimitReached: none may begin today.
            Unsupported: as in `of`.
        """
        day = self.of(limits, uid)
        if day is None:
            yield
            return
        async with self._beginning:
            await day.check(is_new=True)
            yield

    async def check(self, limits: Mapping[str, Any], uid: str | None) -> None:
        """Let a single call, or a run that goes on, use something today.

        Raises:
            DailyLimitReached: not today.
            Unsupported: as in `of`.
        """
        day = self.of(limits, uid)
        if day is not None:
            await day.check(is_new=False)

    def _log(self) -> UsageLog:
        if isinstance(self.store, UsageLog):
            return self.store
        what = "without a trace store nothing is counted" if self.store is None else f"{type(self.store).__name__} cannot count (no usage_since)"
        raise Unsupported(f"cannot hold {', '.join(DAILY)}: {what}. Use a store of agent.open_store(...), or leave the daily limits out")


class Day:
    """The daily limits of one uid, as one run sees them."""

    def __init__(self, log: UsageLog, unrecorded: Unrecorded, limits: Mapping[str, Any], uid: str | None) -> None:
        self.log, self.unrecorded, self.uid = log, unrecorded, uid
        self.limits: dict[str, Amount] = {name: limits[name] for name in DAILY if name in limits}
        self._usage: Usage | None = None
        self._next_look = 0.0

    async def broken(self) -> Outside | None:
        """Return the limit that lets a run make no further model call today."""
        found = await self._broken(is_new=False)
        return None if found is None else Outside(found[0], self.limits[found[0]])

    async def check(self, *, is_new: bool) -> None:
        """Let a run begin, or go on.

        Raises:
            DailyLimitReached: not today; says from when on.
        """
        found = await self._broken(is_new=is_new)
        if found is not None:
            raise DailyLimitReached(self.uid, found[0], self.limits[found[0]], found[1], _midnight() + timedelta(days=1))

    async def _broken(self, *, is_new: bool) -> tuple[str, Amount] | None:
        if self._usage is None or is_new or time.monotonic() >= self._next_look:
            self._usage = await self.log.usage_since(_midnight(), uid=self.uid)
            self._next_look = time.monotonic() + LOOK_S
        tokens, cost = self.unrecorded(self.uid)
        used: dict[str, Amount] = {"max_tokens_per_day": self._usage.tokens + tokens, "max_cost_per_day": self._usage.cost + cost}
        if is_new:
            used["max_runs_per_day"] = self._usage.runs
        return next(((name, amount) for name, amount in used.items() if name in self.limits and amount >= self.limits[name]), None)


def _midnight() -> datetime:
    return now().replace(hour=0, minute=0, second=0, microsecond=0)
