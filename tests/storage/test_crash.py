"""What was acknowledged is there after kill -9, and the chain holds."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agent.storage.sqlite.database import Database
from agent.storage.sqlite.traces import SqliteTraceStore

WRITER = """
import asyncio, os, sys
from agent.models.trace import Step, Trace, step_id_of
from agent.storage.sqlite.database import Database
from agent.storage.sqlite.traces import SqliteTraceStore

async def drive(store, number):
    trace = Trace.create(trace_id=f"t{os.getpid()}-{number}")
    await store.open_trace(trace, [])
    sequence = 0
    while True:
        numbers = range(sequence, sequence + 1 + sequence % 3)
        steps = [Step(step_id_of(trace.trace_id, n), trace.trace_id, "note", n, (), {"text": "x" * (n % 7 * 1000)}) for n in numbers]
        await store.add_steps(trace.trace_id, steps, epoch=1)
        sequence += len(steps)
        os.write(1, f"{trace.trace_id} {sequence}\\n".encode())

async def main():
    store = SqliteTraceStore(await Database.open(sys.argv[1]))
    await asyncio.gather(*(drive(store, n) for n in range(int(sys.argv[2]))))

asyncio.run(main())
"""


@pytest.mark.crash
@pytest.mark.parametrize("drivers", [1, 20])
async def test_every_acknowledged_append_survives_kill_9(tmp_path: Path, drivers: int) -> None:
    chance = random.Random(drivers)
    acknowledged: dict[str, int] = {}
    for _ in range(4):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path / "runs.db"), str(drivers)], stdout=subprocess.PIPE)  # noqa: ASYNC220
        lines = await asyncio.to_thread(_read_and_kill, process, chance.randrange(1, 150))
        acknowledged.update((trace_id, int(count)) for trace_id, count in lines)

    database = await Database.open(tmp_path / "runs.db")
    store = SqliteTraceStore(database)
    assert len(acknowledged) >= 4
    for trace_id, count in acknowledged.items():
        steps = await store.read_steps(trace_id)
        assert len(steps) >= count
        assert [step.sequence for step in steps] == list(range(len(steps)))
        assert (await store.verify(trace_id)).entries == len(steps)
        head = await store.head(trace_id)
        assert not head.owner_is_alive
        assert await store.claim(trace_id, expected_epoch=1) == 2
    assert await database.read(lambda db: db.execute("pragma integrity_check").fetchall()) == [("ok",)]
    await store.close()
    await database.close()


def _read_and_kill(process: "subprocess.Popen[bytes]", count: int) -> list[tuple[str, str]]:
    """Return what was acknowledged until the process was killed after about `count` lines; a last half line does not count."""
    assert process.stdout is not None
    text = b"".join(process.stdout.readline() for _ in range(count))
    os.kill(process.pid, signal.SIGKILL)
    text += process.stdout.read()
    process.stdout.close()
    process.wait()
    whole = text.decode().rpartition("\n")[0]
    return [(trace_id, number) for trace_id, number in (line.split() for line in whole.splitlines())]
