"""The store against bare SQLite, in one process: appends, reads, bytes on the disk, many runs at once.

Prints ratios; run it on a quiet machine: `python bench/storage.py`. The bare side does for each step what it must: one
`begin immediate`, one insert of the payload with one unique index, one commit, WAL and `synchronous=FULL`.
"""

import asyncio
import json
import os
import platform
import random
import resource
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from agent.models.trace import Step, Trace, step_id_of
from agent.storage.sqlite.database import Database
from agent.storage.sqlite.traces import SqliteTraceStore

CHUNK = 50
SIZES = (50, 200, 1000)


def text(chance: random.Random, size: int) -> str:
    """Return text that deflates about as well as prose: half."""
    return chance.randbytes(size // 2).hex()


def step(trace_id: str, n: int, result: str) -> Step:
    """Return a step as a run makes them."""
    data = {"call_id": f"{n}.0", "tool_name": "search", "result": result, "took_s": 0.25}
    return Step(step_id_of(trace_id, n), trace_id, "tool_call", n, (step_id_of(trace_id, max(n - 1, 0)),), data, epoch=1)


def bare(path: Path) -> sqlite3.Connection:
    """Return the floor's connection."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("pragma journal_mode=wal")
    db.execute("pragma synchronous=full")
    db.execute("create table step(id integer primary key, trace text, seq integer, kind text, data blob, unique(trace, seq))")
    return db


def bare_append(db: sqlite3.Connection, trace_id: str, item: Step) -> None:
    """Append as the floor does."""
    db.execute("begin immediate")
    db.execute("insert into step(trace, seq, kind, data) values(?, ?, ?, ?)", (trace_id, item.sequence, item.step_type, json.dumps(item.data)))
    db.execute("commit")


class Clock:
    """CPU and wall seconds of chunks, of which the median counts."""

    def __init__(self) -> None:
        self.cpu: list[float] = []
        self.wall: list[float] = []

    def begin(self) -> None:
        """Begin a chunk."""
        self._cpu, self._wall = time.process_time(), time.perf_counter()

    def end(self) -> None:
        """End it."""
        self.cpu.append(time.process_time() - self._cpu)
        self.wall.append(time.perf_counter() - self._wall)


async def appends(folder: Path, count: int, sizes: tuple[int, ...], *, may_block_loop: bool) -> str:
    """Compare appends, one commit each, in chunks that alternate; then reads and disk."""
    chance = random.Random(count)  # noqa: S311  # the same texts in every run
    label = f"{count}-{len(sizes)}-{may_block_loop}"
    database = await Database.open(folder / f"ours-{label}.db", may_block_loop=may_block_loop)
    store, floor = SqliteTraceStore(database), bare(folder / f"bare-{label}.db")
    trace = Trace.create()
    await store.open_trace(trace, [])
    ours, theirs = Clock(), Clock()
    for begin in range(0, count, CHUNK):
        items = [step(trace.trace_id, n, text(chance, chance.choice(sizes))) for n in range(begin, begin + CHUNK)]
        theirs.begin()
        for item in items:
            bare_append(floor, trace.trace_id, item)
        theirs.end()
        ours.begin()
        for item in items:
            await store.add_steps(trace.trace_id, [item], epoch=1)
        ours.end()
    steps = await store.read_steps(trace.trace_id)
    unique = sum(len(json.dumps(item.data)) for item in steps)
    await database.alone(lambda db: db.execute("pragma wal_checkpoint(truncate)").fetchall())
    disk = database.path.stat().st_size / unique
    read = best(lambda: [json.loads(row[0]) for row in floor.execute("select data from step where trace=? order by seq", (trace.trace_id,)).fetchall()])
    began = min([await timed(store, trace.trace_id) for _ in range(9)])
    await store.close()
    await database.close()
    floor.close()
    cpu, wall = (statistics.median(getattr(ours, which)) / statistics.median(getattr(theirs, which)) for which in ("cpu", "wall"))
    spread = statistics.quantiles([a / b for a, b in zip(ours.cpu, theirs.cpu, strict=True)], n=4) if len(ours.cpu) > 1 else [cpu, cpu, cpu]
    what = f"{count:5d} steps of {min(sizes)}-{max(sizes)} bytes, {'on the loop' if may_block_loop else 'thread only'}"
    return (
        f"{what}: cpu {cpu:.2f} (quartiles {spread[0]:.2f}-{spread[2]:.2f}) = "
        f"{statistics.median(ours.cpu) / CHUNK * 1e6:.0f} us, wall {wall:.2f}, read {began / read:.2f} = {began / count * 1e6:.1f} us, disk {disk:.2f}"
    )


def best(work: Callable[[], object]) -> float:
    """Return the least CPU seconds of several tries."""
    tries = []
    for _ in range(9):
        began = time.process_time()
        work()
        tries.append(time.process_time() - began)
    return min(tries)


async def timed(store: SqliteTraceStore, trace_id: str) -> float:
    """Return the CPU seconds of reading a whole trace."""
    began = time.process_time()
    await store.read_steps(trace_id)
    return time.process_time() - began


async def many(folder: Path, runs: int, length: int) -> str:
    """Compare many runs at once, group commit against one commit each."""
    chance = random.Random(7)  # noqa: S311  # the same texts in every run
    database = await Database.open(folder / "many.db")
    store, floor = SqliteTraceStore(database), bare(folder / "many-bare.db")
    texts = [text(chance, 1000) for _ in range(100)]
    theirs = Clock()
    theirs.begin()
    for n in range(runs):
        for sequence in range(length):
            bare_append(floor, str(n), step(str(n), sequence, texts[(n + sequence) % 100]))
    theirs.end()

    async def run(number: int) -> None:
        trace = Trace.create()
        await store.open_trace(trace, [])
        for sequence in range(length):
            await asyncio.sleep(0)
            await store.add_steps(trace.trace_id, [step(trace.trace_id, sequence, texts[(number + sequence) % 100])], epoch=1)

    ours = Clock()
    ours.begin()
    await asyncio.gather(*(run(n) for n in range(runs)))
    ours.end()
    commits = database.writer.commits + database.commits_here
    await store.close()
    await database.close()
    floor.close()
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return f"{runs} runs x {length} at once: cpu {ours.cpu[0] / theirs.cpu[0]:.2f}, wall {ours.wall[0] / theirs.wall[0]:.2f}, {commits} commits, rss {rss} MB"


async def main() -> None:
    """Print all comparisons."""
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {sys.version.split()[0]}, SQLite {sqlite3.sqlite_version}; ratios to bare SQLite, medians")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(await many(folder, 1000, 10))
        for may_block_loop in (True, False):
            for count in SIZES:
                print(await appends(folder, count, (200, 500, 1000, 2000), may_block_loop=may_block_loop))
        print(await appends(folder, 1000, (10_000,), may_block_loop=True))


if __name__ == "__main__":
    asyncio.run(main())
