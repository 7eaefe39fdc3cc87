"""Kills a process at a chosen point of a run, and writes down what tools and models did where no kill can undo it.

Made for tests that run a child process, kill it, and let another one go on: give both a `KillPoints`, `arm` the store, and
compare the `Journal` with the log.
"""

import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from agent.models.trace import Step, Trace
from agent.storage.protocols import TraceLog
from agent.storage.staging import StagedStates, StateLog


class KillPoints:
    """Counts the points that a process comes by, and kills it with SIGKILL at number `at` (from 0); None: never."""

    def __init__(self, at: int | None = None) -> None:
        self.at = at
        self.names: list[str] = []

    def reached(self, name: str) -> None:
        """Come by a point; may not return."""
        self.names.append(name)
        if self.at is not None and len(self.names) - 1 == self.at:
            os.kill(os.getpid(), signal.SIGKILL)


class Journal:
    """Lines in a file of their own, each written whole: what really happened, whatever the log says."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, *words: object) -> None:
        """Write one line; words hold no spaces."""
        line = " ".join(str(word) for word in words) + "\n"
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(file, line.encode())
        finally:
            os.close(file)

    def lines(self) -> list[list[str]]:
        """Return the words of every line so far."""
        return [line.split(" ") for line in self.path.read_text().splitlines()] if self.path.exists() else []


def arm(log: TraceLog, points: KillPoints) -> None:
    """Have a store come by a point before and after each of its durable writes."""
    opened, added, claimed = log.open_trace, log.add_steps, log.claim

    async def open_trace(trace: Trace, steps: Sequence[Step], **options: Any) -> None:
        """As the store does, with a point on either side."""
        await _around("open_trace", lambda: opened(trace, steps, **options))

    async def add_steps(trace_id: str, steps: Sequence[Step], *, epoch: int | None = None, changes: Mapping[str, Any] | None = None) -> None:
        """As the store does, with a point on either side."""
        what = "+".join([step.step_type for step in steps] + sorted(changes or {}))
        await _around(f"add_steps({what})", lambda: added(trace_id, steps, epoch=epoch, changes=changes))

    async def claim(trace_id: str, *, expected_epoch: int) -> int:
        """As the store does, with a point on either side."""
        epoch: int = await _around("claim", lambda: claimed(trace_id, expected_epoch=expected_epoch))
        return epoch

    async def _around(name: str, write: Callable[[], Awaitable[Any]]) -> Any:
        points.reached(f"before {name}")
        result = await write()
        points.reached(f"after {name}")
        return result

    for name, method in (("open_trace", open_trace), ("add_steps", add_steps), ("claim", claim)):
        setattr(log, name, method)
    if isinstance(log, StateLog):
        _arm_states(log, _around)


def _arm_states(log: StateLog, around: Callable[[str, Callable[[], Awaitable[Any]]], Awaitable[Any]]) -> None:
    both = log.add_steps_and_states

    async def add_steps_and_states(trace_id: str, steps: Sequence[Step], staged: StagedStates, *, epoch: int, changes: Mapping[str, Any] | None = None) -> None:
        """As the store does, with a point on either side."""
        what = "+".join([*(step.step_type for step in steps), "states"])
        await around(f"add_steps({what})", lambda: both(trace_id, steps, staged, epoch=epoch, changes=changes))

    log.add_steps_and_states = add_steps_and_states  # type: ignore[method-assign]  # what arming means
