"""A memory of 10,000 and of 100,000 cases: what a search, a batch, a use and forgetting take, and what they weigh.

Prints milliseconds of CPU (of the process; a search also waits for no lock); run it on a quiet machine: `python bench/memory.py`
(sizes as arguments: `python bench/memory.py 10000`). Words are drawn as often as in prose (Zipf), 6 to 16 a task, from 8,000; a query is
another such task. Cases lie in 200 scopes; `alone` is one agent with all of them in a single scope.
"""

import asyncio
import os
import platform
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from itertools import accumulate
from pathlib import Path

from agent.models.learning import Case, Use, Used
from agent.storage.learning_port import Sources
from agent.storage.sqlite.database import Database
from agent.storage.sqlite.memories import SqliteMemoryStore

SCOPES = 200
BATCH = 50  # cases of one commit
QUERIES = int(os.environ.get("BENCH_QUERIES", "300"))
WORDS = 8_000


class Tasks:
    """Tasks of words as frequent as in prose."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311  # tasks, no keys
        letters = "abcdefghiklmnoprstuvw"
        self.words = sorted({"".join(self.chance.choice(letters) for _ in range(self.chance.randint(4, 9))) for _ in range(WORDS)})
        self.chance.shuffle(self.words)
        self.weights = list(accumulate(1 / (rank + 3) for rank in range(len(self.words))))

    def one(self) -> str:
        """Return a task."""
        return " ".join(self.chance.choices(self.words, cum_weights=self.weights, k=self.chance.randint(6, 16)))


async def cpu_ms(operation: Callable[[], Awaitable[object]]) -> float:
    """Return the CPU time of an operation, threads included."""
    began = time.process_time()
    await operation()
    return (time.process_time() - began) * 1000


def told(what: str, times: list[float]) -> None:
    """Print a line of figures."""
    ordered = sorted(times)
    print(f"  {what:58} median {statistics.median(ordered):7.2f}   p95 {ordered[int(len(ordered) * 0.95)]:7.2f} ms CPU   (n={len(ordered)})", flush=True)


async def filled(store: SqliteMemoryStore, tasks: Tasks, size: int, scopes: int) -> None:
    """Record cases, and say what that takes."""
    batches: list[float] = []
    for first in range(0, size, BATCH):
        cases = [
            Case(
                case_id=f"{n:032x}",
                scope=f"agent:{n // BATCH % scopes}",
                uid=None,
                task=tasks.one(),
                tool=f"tool_{n % 77}",
                sign=1 if n % 3 else -1,
                signal="approved",
                trace_id=f"{n // 2:032x}",
                step_id=f"{n // 2:032x}/7",
            )
            for n in range(first, first + BATCH)
        ]
        batches.append(await cpu_ms(lambda cases=cases: store.add_cases(cases)))  # type: ignore[misc]  # mypy cannot infer it
    told(f"a batch of {BATCH} cases, with their index", batches)


async def searched(store: SqliteMemoryStore, tasks: Tasks, what: str, scopes: int) -> None:
    """Search so many of the scopes (0: the only one), and say what that takes."""
    queries = [(tasks.one(), [f"agent:{n}" for n in tasks.chance.sample(range(SCOPES), scopes)] or ["agent:0"]) for _ in range(QUERIES)]
    found = 0
    for query, place in queries[:5]:  # warm
        await store.search(query, scopes=place, kind="case", limit=50)

    async def search(query: str, place: list[str]) -> None:
        """Search once."""
        nonlocal found
        found += len(await store.search(query, scopes=place, kind="case", limit=50))

    times = [await cpu_ms(lambda query=query, place=place: search(query, place)) for query, place in queries]  # type: ignore[misc]  # as above
    told(f"{what}, {found / len(queries):.0f} found", times)


async def measure(size: int) -> None:
    """Print the figures of one size."""
    for scopes in (SCOPES, 1):
        tasks = Tasks(size)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "memory.db"
            database = await Database.open(path)
            store = SqliteMemoryStore(database)
            print(f"{size:,} cases in {scopes} scope{'s' * (scopes > 1)}:")
            await filled(store, tasks, size, scopes)
            if scopes == 1:
                await searched(store, tasks, "search the 50 best of all", 0)
            else:
                await searched(store, tasks, "search the 50 best of one scope", 1)
                await searched(store, tasks, "search the 50 best of four scopes", 4)
            await the_rest(store, database, path, size)
            await database.close()


async def the_rest(store: SqliteMemoryStore, database: Database, path: Path, size: int) -> None:
    """Print what uses, forgetting and the disk take."""
    items = tuple(Used(item_id=f"{n:032x}", kind="advice", rank=n, score=0.5) for n in range(5))
    runs = [Use(trace_id=f"run {n}", scope="agent:0", uid=None, items=items, arm="injected") for n in range(QUERIES)]
    touch = "update part set version = version where name = 'memory'"
    told("beside: a commit of one row", [await cpu_ms(lambda: database.write(lambda db: db.execute(touch).rowcount)) for _ in runs])
    told("a use of 5 items", [await cpu_ms(lambda use=use: store.record_use(use)) for use in runs])  # type: ignore[misc]  # as above
    told("an outcome", [await cpu_ms(lambda use=use: store.record_outcome(use.trace_id, 1.0, signal="score")) for use in runs])  # type: ignore[misc]
    told("how many runs a scope had", [await cpu_ms(lambda: store.run_count("agent:0", uid=None)) for _ in runs])
    await database.alone(lambda db: db.execute("pragma wal_checkpoint(truncate)").fetchall())
    weighs = await asyncio.to_thread(path.stat)
    print(f"  {'on the disk':58} {weighs.st_size / size:7.0f} bytes a case")
    told("forget what came from a run", [await cpu_ms(lambda: store.forget_from(Sources(trace_id=f"{7:032x}")))])


async def main() -> None:
    """Print the figures of each size."""
    print(f"{platform.platform()}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {os.cpu_count()} cores")
    for size in [int(text) for text in sys.argv[1:]] or [10_000, 100_000]:
        await measure(size)


if __name__ == "__main__":
    asyncio.run(main())
