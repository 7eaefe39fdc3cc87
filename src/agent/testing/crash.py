"""Kills a process at a chosen point of a run, and writes down what tools and models did where no kill can undo it.

Made for tests that run a child process, kill it, and let another one go on: give both a `KillPoints`, `arm` the store, and
compare the `Journal` with the log.
"""

import functools
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from agent.storage.protocols import Store, TraceLog


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


TRACE_WRITES = ("open_trace", "add_steps", "add_steps_and_states", "claim", "update_trace", "erase")
MEMORY_WRITES = (
    "add_experience", "add_skill", "retire", "supersede", "promote", "forget", "add_cases", "edit", "set_state", "restore", "forget_from", "record_use",
    "record_outcome",
)  # fmt: skip
STATE_WRITES = ("set", "delete")


def arm(log: TraceLog, points: KillPoints) -> None:
    """Have a store of traces come by a point before and after each of its durable writes."""
    _arm(log, TRACE_WRITES, points)


def arm_store(store: Store, points: KillPoints) -> None:
    """Have a whole store come by a point before and after each of its durable writes; one on SQLite inside its transactions too."""
    for part, names in ((store.traces, TRACE_WRITES), (store.memories, MEMORY_WRITES), (store.states, STATE_WRITES)):
        _arm(part, names, points)
    database = getattr(store, "database", None)
    if hasattr(database, "write"):
        _arm_transactions(database, points)


def _arm(part: object, names: Sequence[str], points: KillPoints) -> None:
    for name in names:
        method = getattr(part, name, None)
        if method is not None:
            setattr(part, name, _around(name, method, points))


def _around(name: str, method: Callable[..., Awaitable[Any]], points: KillPoints) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(method)
    async def armed(*args: Any, **kwargs: Any) -> Any:
        """As the store does, with a point on either side."""
        full = _full_name(name, args, kwargs)
        points.reached(f"before {full}")
        result = await method(*args, **kwargs)
        points.reached(f"after {full}")
        return result

    return armed


def _full_name(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    if not name.startswith("add_steps"):
        return name
    kinds = [str(step.step_type) for step in args[1]] if len(args) > 1 else []
    return f"add_steps({'+'.join([*kinds, *sorted(kwargs.get('changes') or {}), *(['states'] if name == 'add_steps_and_states' else [])])})"


def _arm_transactions(database: Any, points: KillPoints) -> None:
    write = database.write

    async def armed(change: Callable[..., Any]) -> Any:
        """Come by a point between the rows of a transaction and its commit."""

        def dying(db: Any) -> Any:
            """Make the change, then come by."""
            done = change(db)
            points.reached("inside a transaction")
            return done

        return await write(dying)

    database.write = armed
