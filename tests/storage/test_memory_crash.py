"""A memory whose process is killed: what was acknowledged is there, a batch whole or not at all, and the log holds."""

import asyncio
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from agent.assemble import open_store
from agent.storage.learning_port import Sources
from agent.storage.sqlite.store import SqliteStore

BATCH = 7
WRITER = """
import asyncio, os, signal, sys
from pathlib import Path
from agent.models.learning import Case, Use, Used
from agent.models.memory import Experience
from agent.assemble import open_store
from agent.storage.learning_port import Sources
from agent.storage.sqlite.store import SqliteStore

import agent.storage.sqlite.writer as writing

commits, dies_at, whole = 0, int(sys.argv[3]), writing.commit

def die(db):
    os.kill(os.getpid(), signal.SIGKILL)

def counted(db, path, changes):
    "Die at a commit: before it, or inside of it with all changes made."
    global commits
    commits += 1
    if commits == dies_at:
        whole(db, path, [*changes, die]) if dies_at % 2 else die(db)
    return whole(db, path, changes)

writing.commit = counted

async def learn(memories, life, number):
    n = 0
    while True:
        run = f"{life}-{number}-{n}"
        cases = [
            Case(case_id=f"{run}-{i}", scope="s", uid="u", task=f"refund {run}", tool="pay", sign=1, signal="score", trace_id=run, step_id=f"{run}/1")
            for i in range(7)
        ]
        await memories.add_cases(cases)
        await memories.record_use(Use(trace_id=run, scope="s", uid="u", items=(Used(item_id="e", kind="rule", rank=0, score=0.5),), arm="injected"))
        os.write(1, f"there {run}\\n".encode())
        await memories.record_outcome(run, 1.0, signal="score")
        lesson = await memories.add_experience(Experience.create("s", f"refund {run}", "ask", evidence=(f"{run}/1",), uid="u"))
        await memories.supersede(lesson, Experience.create("s", f"refund {run}", "ask twice", evidence=(f"{run}/1",), uid="u"))
        if n % 3 == 2:
            await memories.forget_from(Sources(trace_id=run))
            os.write(1, f"gone {run}\\n".encode())
        n += 1

async def main():
    store = await SqliteStore.open(Path(sys.argv[1]))
    await asyncio.gather(*(learn(store.memories, sys.argv[2], n) for n in range(3)))

asyncio.run(main())
"""


def _lived(path: Path, life: int, dies_at: int) -> list[tuple[str, str]]:
    """Return what a process acknowledged that was killed at a commit."""
    ended = subprocess.run([sys.executable, "-c", WRITER, str(path), str(life), str(dies_at)], capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    return [(word[0], word[1]) for word in (line.split() for line in ended.stdout.decode().splitlines())]


@pytest.mark.crash
async def test_a_batch_of_cases_survives_kill_9_whole_or_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    there: set[str] = set()
    gone: set[str] = set()
    for life, dies_at in enumerate((2, 13, 22, 45, 90)):
        for what, run in await asyncio.to_thread(_lived, path, life, dies_at):
            (gone if what == "gone" else there).add(run)

    async with open_store(f"sqlite:///{path}") as store:
        assert isinstance(store, SqliteStore)
        cases = Counter(case.trace_id for case in await store.memories.cases())
        uses = {use.trace_id: use for use in await store.memories.uses()}
        assert set(cases.values()) == {BATCH}
        assert len(there) >= 12
        assert gone
        assert not gone & (cases.keys() | uses.keys())
        last = {run.rpartition("-")[0]: run for run in sorted(there, key=lambda run: int(run.rpartition("-")[2]))}.values()
        assert there - gone - set(last) <= cases.keys() & uses.keys()  # the last of each may have been forgotten without having said so
        numbers = [use.number for use in uses.values()]
        assert len(set(numbers)) == len(numbers)
        assert (await store.memories.run_count("s", uid="u")).runs == max(numbers)
        before = await store.memories.verify()
        await store.memories.rebuild()
        assert await store.memories.verify() == before
        run = next(iter(cases))
        assert len(await store.memories.forget_from(Sources(trace_id=run))) >= BATCH
        await store.memories.verify()
