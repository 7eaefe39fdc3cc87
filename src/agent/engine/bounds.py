"""What bounds a run from outside of its log: the time for which it is driven, and what its uid may use in a day."""

import asyncio
import time
from collections.abc import Awaitable
from typing import TypeVar

from agent.core.limits import Outside
from agent.core.state import RunState
from agent.engine.days import Day

T = TypeVar("T")


class Bounds:
    """The outside limits of one run while one owner drives it. Only a run that has such limits has bounds."""

    def __init__(self, max_wall_s: float | None, driven_s: float, *, final_s: float, day: Day | None) -> None:
        self.max_wall_s, self.final_s, self.day = max_wall_s, final_s, day
        self._deadline = None if max_wall_s is None else time.monotonic() + max_wall_s - driven_s
        self._is_final_over = False
        self._broken_day: Outside | None = None

    @property
    def left_s(self) -> float | None:
        """Seconds until the run's time is over; None where it has no such limit."""
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    @property
    def is_time_up(self) -> bool:
        """Whether the run's time is over."""
        return self._deadline is not None and time.monotonic() >= self._deadline

    @property
    def outside(self) -> Outside | None:
        """The limit that is broken now."""
        if self.max_wall_s is not None and self.is_time_up:
            return Outside("max_wall_s", self.max_wall_s, ends_calls=True, is_final_over=self._is_final_over)
        return self._broken_day

    async def is_day_over(self) -> bool:
        """See whether a daily limit is broken; `outside` then tells it."""
        if self.day is not None:
            self._broken_day = await self.day.broken()
        return self._broken_day is not None

    async def within(self, work: Awaitable[T], *, is_final: bool = False) -> T | None:
        """Return what `work` returns, or None where the run's time was over and it was stopped; the final answer has `final_s` in any case."""
        left_s = self.left_s
        if left_s is None:
            return await work
        bound = asyncio.timeout(max(left_s, self.final_s) if is_final else left_s)
        try:
            async with bound:
                return await work
        except TimeoutError:
            if not bound.expired():
                raise
            self._is_final_over = is_final
            return None


def in_time(bounds: Bounds | None, work: Awaitable[T], *, is_final: bool = False) -> Awaitable[T | None]:
    """Return what is to be awaited for `work` to be done, or stopped when the time is over (then it gives None)."""
    return work if bounds is None else bounds.within(work, is_final=is_final)


def bounds_of(state: RunState, *, driven_s: float, final_s: float, day: Day | None) -> Bounds | None:
    """Return the bounds of a run; None where it has none."""
    max_wall_s = state.limits.get("max_wall_s")
    return Bounds(max_wall_s, driven_s, final_s=final_s, day=day) if max_wall_s is not None or day is not None else None
