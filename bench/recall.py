"""What telling a run of memory costs beside the searches: the vote, the chances, the block, the record.

Prints milliseconds of CPU a run: `python bench/recall.py`. The store answers at once with what it found before: 50 cases of 20 tools, 10
rules, 5 skills, so that what is left is what `agent.memory` and `agent.core` add.
"""

import asyncio
import platform
import statistics
import sys
import time
from typing import Any

from agent.config import AgentConfig
from agent.memory.memory import Memory
from agent.models.learning import Case, Found, Use
from agent.models.memory import Experience, Skill
from agent.models.payloads import Input
from agent.models.trace import Trace
from agent.models.value import replace
from agent.storage.learning_port import RunCount
from agent.storage.ram.memories import RamMemoryStore

RUNS = 1_000
SCOPE, UID, TASK = "agent:clerk", "shop", "Where is the card that I ordered last week?"


class Answered(RamMemoryStore):
    """A store that has found everything already."""

    def __init__(self) -> None:
        super().__init__()
        signs = (1, 1, -1)
        cases = [
            Case(case_id=f"t{n}/3/for", scope=SCOPE, uid=UID, task=f"{TASK} {n}", tool=f"tool_{n % 20}", sign=signs[n % 3], signal="outcome",
                 trace_id=f"t{n}", step_id=f"t{n}/3", arguments={"region": "eu", "n": n})
            for n in range(50)
        ]  # fmt: skip
        rules = [Experience.create(SCOPE, f"cards {n}", "Ask for the name before anything is looked up.", uid=UID, experience_id=f"exp-{n}") for n in range(10)]
        skills = [Skill.create(SCOPE, f"skill-{n}", "How cards are sent.", "By post, within a week.", uid=UID) for n in range(5)]
        found: dict[str, list[Any]] = {"case": cases, "experience": rules, "skill": skills}
        self.found = {kind: [Found(item, 0.9 - 0.01 * at) for at, item in enumerate(items)] for kind, items in found.items()}

    async def search(self, query: str, *, kind: str = "experience", **_: Any) -> list[Found]:  # type: ignore[override]  # it looks nothing up
        """Return what was found before."""
        return self.found[kind]

    async def run_count(self, scope: str, *, uid: str | None) -> RunCount:
        """Return a number of runs from which on advice is withheld."""
        return RunCount(100, 80)

    async def record_use(self, use: Use) -> Use:
        """Keep nothing."""
        return replace(use, number=101)


async def main() -> None:
    """Measure and print."""
    memory, asked = Memory(Answered(), None, AgentConfig(agent_type="clerk")), Input(task=TASK, tools=[f"tool_{n}" for n in range(20)])
    traces = [Trace.create(trace_id=f"r{n}", mode="agent", task=TASK, agent_type="clerk", uid=UID) for n in range(RUNS)]
    times = []
    for trace in traces:
        began = time.process_time()
        read = await memory.recall(trace, asked)
        times.append((time.process_time() - began) * 1_000)
        assert read.error is None
        assert read.run_number == 101
    times.sort()
    print(f"{platform.machine()}, Python {sys.version.split()[0]}, {RUNS} runs: 50 cases, 10 rules, 5 skills")
    print(f"telling a run, beside the searches: median {statistics.median(times):.2f}, p95 {times[int(RUNS * 0.95)]:.2f} ms CPU")


if __name__ == "__main__":
    asyncio.run(main())
