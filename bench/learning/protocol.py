"""The protocol: a stream of tasks, a frozen policy that chooses a tool, a reader of what memory says, a person who corrects.

One task is one customer's question; the right tool is its intent. `draw(seed)` gives the tasks and every random number that any
arm needs, drawn before the arm is known: all arms meet the same tasks and the same luck (common random numbers).
"""

import csv
import gzip
import io
import json
import math
import random
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Literal

from agent.models.value import Value

DATA = Path(__file__).parent / "data"
KEPT_OPINIONS, SCALE = 8, 250  # of a task, and what a cosine was multiplied with
STREAM, HELD_OUT = 2_000, 500
CORRECTED = 0.3  # share of failures that a person corrects
TEMPERATURE = 0.07
"""Makes the policy's cosines into shares: of .03, .05, .07, .08, .1, .12, .15, .2 that under which the true tools of the training tasks are most likely."""

Reader = Literal["obedient", "weighing"]


class Task(Value, frozen=True):
    """What is asked, the right tool, and what the policy thinks by itself: tools and their cosines, best first."""

    text: str
    tool: str
    opinions: tuple[tuple[str, float], ...]


class Luck(Value, frozen=True):
    """The chances of one task, each in 0..1, drawn once for all arms."""

    obeys: float
    corrects: float
    sees: float
    errs: float
    picks: float  # whichever else an arm needs


class Draw(Value, frozen=True):
    """All that a seed decides."""

    stream: tuple[Task, ...]
    luck: tuple[Luck, ...]
    held_out: tuple[Task, ...]
    held_out_luck: tuple[Luck, ...]
    drifted: dict[str, str]  # what the right tool of 20 tools' tasks is after a drift
    tools: tuple[str, ...]


@cache
def read_tools() -> tuple[str, ...]:
    """Return the names of the 77 tools."""
    names: list[str] = json.loads((DATA / "categories.json").read_text())
    return tuple(_name(name) for name in names)


def _name(category: str) -> str:
    return category.lower().replace("?", "")


def read_texts(part: str) -> list[tuple[str, str]]:
    """Return questions and their tools of `train` or `test`."""
    text = gzip.decompress((DATA / f"{part}.csv.gz").read_bytes()).decode()
    return [(row["text"].strip(), _name(row["category"])) for row in csv.DictReader(io.StringIO(text))]


@cache
def _tasks(part: str) -> tuple[Task, ...]:
    texts, tools = read_texts(part), read_tools()
    raw = gzip.decompress((DATA / "opinions.bin.gz").read_bytes())
    width = 2 * KEPT_OPINIONS
    start = 0 if part == "train" else len(raw) - width * len(texts)
    made = []
    for at, (text, tool) in enumerate(texts):
        row = raw[start + at * width : start + (at + 1) * width]
        made.append(Task(text, tool, tuple((tools[row[i]], row[i + 1] / SCALE) for i in range(0, width, 2))))
    return tuple(made)


def draw(seed: int, *, stream: int = STREAM, held_out: int = HELD_OUT) -> Draw:
    """Return the tasks and the luck of a seed: the stream from the training part, the held-out tasks from the test part."""
    dice = random.Random(seed)  # noqa: S311  chance that can be drawn again, not a secret
    tools = read_tools()
    tasks, tests = dice.sample(_tasks("train"), stream), dice.sample(_tasks("test"), held_out)
    lucks = [Luck(*(dice.random() for _ in range(5))) for _ in range(stream + held_out)]
    moved = dice.sample(tools, min(20, len(tools)))
    return Draw(
        stream=tuple(tasks),
        luck=tuple(lucks[:stream]),
        held_out=tuple(tests),
        held_out_luck=tuple(lucks[stream:]),
        drifted=dict(zip(moved, moved[1:] + moved[:1], strict=True)),
        tools=tools,
    )


# -- the readers: they see the text that a model would see, and nothing else of memory

_USE = re.compile(r"(?:[Uu]se|使用) (?P<tool>\w+)(?: with [^.]*)?[.。]?(?: Worked (?P<worked>\d+)(?:, failed (?P<failed>\d+))?)?")
_RECORD = re.compile(r"(?P<tool>\w+) (?P<share>\d+) % \(worked (?P<worked>\d+) of (?P<tried>\d+)\)")


class Said(Value, frozen=True):
    """What one line of memory says for a tool. `strength`: 1 for an instruction, its share for one that is told with its record."""

    tool: str
    strength: float


def said_in(block: str, tools: frozenset[str]) -> list[Said]:
    """Return what a block says, line by line; within a line of records the best first, as they stand."""
    found = []
    for line in block.splitlines():
        records = [Said(r["tool"], int(r["share"]) / 100) for r in _RECORD.finditer(line) if r["tool"] in tools]
        told = next((r["tool"] for r in _USE.finditer(line) if r["tool"] in tools), None)
        found += records or ([Said(told, 1.0)] if told else [])
    return found


@cache
def _shares(opinions: tuple[tuple[str, float], ...]) -> dict[str, float]:
    best = opinions[0][1]
    powers = {tool: math.exp((cosine - best) / TEMPERATURE) for tool, cosine in opinions}
    whole = sum(powers.values())
    return {tool: power / whole for tool, power in powers.items()}


def choose(task: Task, block: str, *, reader: Reader, obeys: bool, tools: frozenset[str]) -> str:
    """Return the tool that the policy calls, having read `block`.

    Who does not obey, or is told nothing, takes the tool whose name is most like the task. *Obedient*: does what the first line
    says, of several tools told with their records the first. *Weighing*: adds what it is told to its own
    shares, an instruction 1, a tool that is told with its share that share, and takes the best.
    """
    said = said_in(block, tools) if obeys and block else []
    if not said:
        return own_choice(task)
    if reader == "obedient":
        return said[0].tool
    views = dict(_shares(task.opinions))
    for one in said:
        views[one.tool] = views.get(one.tool, 0.0) + one.strength
    return max(views, key=lambda tool: views[tool])


def own_choice(task: Task) -> str:
    """Return what the policy calls without memory."""
    return task.opinions[0][0]


def others(tools: Sequence[str], *but: str) -> list[str]:
    """Return the tools besides these."""
    return [tool for tool in tools if tool not in but]
