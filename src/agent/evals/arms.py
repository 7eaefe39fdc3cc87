"""The arms of an eval: runners that differ in what memory tells them, and in nothing else."""

import random
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias, get_args

import agent.models.payloads as said
from agent.core.estimate import text_tokens
from agent.core.memory_block import block_of
from agent.core.wording import wording
from agent.engine.remembering import Remembering
from agent.models.memory import Experience
from agent.models.message import task_text
from agent.models.trace import Trace
from agent.models.value import replace
from agent.runner import AgentRunner

Arm: TypeAlias = Literal["none", "memory", "placebo", "random"]
ARMS: tuple[Arm, ...] = get_args(Arm)
"""none: no memory; memory: what it has for the task; placebo: as many tokens as the arm memory, of unrelated text; random: what it has for another task."""
LEARNING: tuple[Arm, ...] = ("memory", "random")
"""Arms in which the agent is told how it did."""
MAX_PLACEBO_CHARS = 1_000_000
"""Characters of unrelated text."""


class ArmRunner(AgentRunner):
    """A runner of one arm. `memory` and `random` learn alike; the arms differ in what the next run is told."""

    def __init__(self, *given: Any, arm: Arm, tasks: Sequence[str] = (), lengths: Mapping[str, float] | None = None, seed: str = "", **more: Any) -> None:
        super().__init__(*given, **more)
        self.arm = arm
        if arm == "placebo":
            self._shop.memory = Placebo(lengths or {}, seed)
        elif self._shop.memory is not None and arm == "random":
            self._shop.memory = OtherTask(self._shop.memory, tasks, seed)

    def stop_learning(self) -> None:
        """From here on nothing is learnt from what shows itself in a run."""
        self._shop.learning = None


class Placebo:
    """Tells text that has nothing to do with the task; of how many tokens, is given by the task."""

    def __init__(self, lengths: Mapping[str, float], seed: str) -> None:
        self.lengths, self.seed = dict(lengths), seed

    async def recall(self, trace: Trace, asked: said.Input) -> said.MemoryRead:
        """Return unrelated text where there is to be some."""
        length = self.lengths.get(task_text(asked.task), 0.0)
        return said.MemoryRead(block=placebo_of(length, asked, f"{self.seed}/{trace.task}"))


class OtherTask:
    """Tells what the memory behind it has for another task of the set, drawn at random."""

    def __init__(self, memory: Remembering, tasks: Sequence[str], seed: str) -> None:
        self.memory, self.tasks, self.seed = memory, list(dict.fromkeys(tasks)), seed

    async def recall(self, trace: Trace, asked: said.Input) -> said.MemoryRead:
        """Return what there is for the other task."""
        others = [task for task in self.tasks if task != asked.task]
        if not others:
            return said.MemoryRead()
        other = random.Random(f"{self.seed}/{asked.task}").choice(others)  # noqa: S311  drawn alike in every life of the eval
        return await self.memory.recall(replace(trace, task=other), replace(asked, task=other))


def placebo_of(tokens: float, asked: said.Input, seed: str) -> str:
    """Return a block of about so many tokens, never more by a word, in the form in which experiences are told; "" for none."""
    if tokens <= 0:
        return ""
    language = asked.language
    text = wording("placebo", language)
    words, joint = (list(text), "") if language == "zh" else (text.split(), " ")
    begin = random.Random(seed).randrange(len(words))  # noqa: S311  drawn alike in every life of the eval
    words = words[begin:] + words[:begin]

    def filled(count: int) -> str:
        """Return the block with so many words in it."""
        rule = joint.join(words[n % len(words)] for n in range(count))
        item = Experience(experience_id="E0", scope="", condition="", rule=rule)
        return block_of([], [item], language=language, placement=asked.memory_placement, max_chars=MAX_PLACEBO_CHARS, max_rule_chars=MAX_PLACEBO_CHARS)

    low, high = 1, int(tokens * 8) + 2
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (middle, high) if text_tokens(filled(middle)) <= tokens else (low, middle)
    return filled(low)
