"""The power fails: what was acknowledged is there, whatever became of the writes that were not synced.

`SEASONED_CRASH=all` tries ten times as many images.
"""

import os
import random
import shutil
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from agent.assemble import open_store
from agent.errors import AgentError

sys.path.insert(0, str(Path(__file__).parent))

import disks  # type: ignore[import-not-found]  # it lies beside this file

IMAGES = 5_000 if os.environ.get("SEASONED_CRASH") == "all" else 500
pytestmark = [
    pytest.mark.crash,
    pytest.mark.timeout(3_600 if IMAGES > 500 else 240),
    pytest.mark.skipif(disks.COMPILER is None, reason="needs a C compiler, to watch what a process writes"),
]
PROGRAM = """
import asyncio, os, sys
from pathlib import Path
from typing import Any
folder, plant = Path(sys.argv[1]), sys.argv[2]

from agent.storage.sqlite import database, schema, writer
plain = schema.connect

def connect(path, **options):
    db = plain(path, **options)
    db.execute("pragma wal_autocheckpoint=15")  # so that journals are written back while we look
    if plant != "nothing":
        db.execute(f"pragma synchronous={plant}")
    return db

schema.connect = database.connect = writer.connect = connect

import agent
from agent.models.memory import Experience
from agent.models.trace import Step, Trace, step_id_of
from agent.testing.scripted import ScriptedLLM, asks, tool_request

acks = os.open(folder / "acks", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

def acknowledge(*words):
    os.write(acks, (" ".join(str(word) for word in words) + "\\n").encode())

async def drive(store, number):
    trace = Trace.create(trace_id=f"t{number}")
    await store.traces.open_trace(trace, [])
    sequence = 0
    for turn in range(12):
        numbers = range(sequence, sequence + 2)
        steps = [Step(step_id_of(trace.trace_id, n), trace.trace_id, "note", n, (), {"text": os.urandom(n % 4 * 1500).hex()}) for n in numbers]
        await store.traces.add_steps(trace.trace_id, steps, epoch=1)
        sequence += len(steps)
        acknowledge("trace", trace.trace_id, sequence)

async def main():
    registry = agent.ToolRegistry()

    @registry.tool(effect="read")
    async def look(n: int) -> str:
        "Look."
        return os.urandom(40_000).hex()

    async with agent.open_store(f"sqlite:///{folder / 'runs.db'}") as store:
        for number in range(3):
            await asyncio.gather(drive(store, number), drive(store, number + 10))
            item = Experience.create("s", f"condition {number}", "rule " * 300)
            await store.memories.add_experience(item)
            acknowledge("memory", item.experience_id, 0)
            acknowledge("state", "key", await store.states.set("key", {"number": number}))
        model = ScriptedLLM([asks(tool_request("look", {"n": 1})), asks(tool_request("look", {"n": 2})), "done"])
        async with agent.AgentRunner(store.traces, tool_registry=registry, llm_call=model) as runner:
            async for event in runner.run("look twice", tools=["look"]):
                if "sequence" in event.data:
                    acknowledge("trace", event.data["trace_id"], event.data["sequence"] + 1)

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiled: Path = disks.shim(tmp_path_factory.mktemp("shim"))
    return compiled


def recorded(library: Path, folder: Path, plant: str) -> list[Any]:
    folder.mkdir()
    done = disks.play(library, PROGRAM, folder, plant)
    assert done.returncode == 0, done.stderr
    operations: list[Any] = disks.record_of(Path(f"{folder}.log"))
    return operations


def images(operations: Sequence[Any], count: int, chance: random.Random) -> Iterator[tuple[list[list[str]], dict[str, bytes]]]:
    """Yield what was acknowledged, and the files that were found, for so many moments at which the power failed."""
    moments = sorted(chance.choices(range(1, len(operations) + 1), k=count))
    disk, done, acknowledged = disks.Disk(), 0, b""
    for moment in moments:
        for operation in operations[done:moment]:
            if operation.name == "acks":
                acknowledged += operation.data
            else:
                disk.take(operation)
        done = moment
        yield [line.split() for line in acknowledged.decode().splitlines()], disk.after_power_loss(chance)


def lay_out(folder: Path, files: dict[str, bytes]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)


async def faults_of(folder: Path, acknowledged: Sequence[Sequence[str]], files: dict[str, bytes]) -> list[str]:
    """Return what is wrong with what was found."""
    lay_out(folder, files)
    try:
        async with open_store(f"sqlite:///{folder / 'runs.db'}") as store:
            counts = {}
            for trace in await store.traces.list_traces():
                counts[trace.trace_id] = (await store.traces.verify(trace.trace_id)).entries
                await store.traces.get_trace_steps(trace.trace_id)
            await store.memories.verify()
            missing = [words for words in acknowledged if words[0] == "trace" and counts.get(words[1], 0) < int(words[2])]
            missing += [words for words in acknowledged if words[0] == "memory" and await store.memories.get(words[1]) is None]
            version = max((entry.version for entry in await store.states.list()), default=0)
            missing += [words for words in acknowledged if words[0] == "state" and version < int(words[2])]
            halves = [trace_id for trace_id, count in counts.items() if trace_id[0] == "t" and count % 2]
    except AgentError as error:
        return [f"cannot be opened or verified: {error}"]
    with sqlite3.connect(folder / "runs.db") as db:
        whole = db.execute("pragma integrity_check").fetchall()
    db.close()
    return (
        [f"{words} was acknowledged and is gone" for words in missing]
        + [f"half of a commit is there: {halves}"] * bool(halves)
        + [f"the file is damaged: {whole}"] * (whole != [("ok",)])
    )


async def test_every_acknowledged_step_survives_a_power_loss_at_any_moment(library: Path, tmp_path: Path) -> None:
    operations = recorded(library, tmp_path / "disk", "nothing")
    tried = 0
    for acknowledged, files in images(operations, IMAGES, random.Random(7)):
        faults = await faults_of(tmp_path / "image", acknowledged, files)
        tried += 1
        assert faults == [], f"image {tried}"

    kinds = [operation.kind for operation in operations]
    assert tried == IMAGES
    assert kinds.count(disks.SYNC) >= 60
    assert sum(operation.name == "runs.db" and operation.kind == disks.WRITE for operation in operations) >= 60, "the journal was written back meanwhile"


@pytest.mark.parametrize("plant", ["off", "normal"])
async def test_a_sync_that_is_skipped_is_found(library: Path, tmp_path: Path, plant: str) -> None:
    operations = recorded(library, tmp_path / "disk", plant)
    found: list[str] = []
    for acknowledged, files in images(operations, 100, random.Random(3)):
        found = await faults_of(tmp_path / "image", acknowledged, files)
        if found:
            break

    assert found
