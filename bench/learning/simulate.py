"""One cell of the experiment in its pure form: a seed, an arm, a reader, and what is hard about the world."""

from collections.abc import Callable

from arms import ARMS, Tell
from protocol import CORRECTED, Draw, Luck, Reader, Task, choose, draw, others, own_choice
from pure import PureMemory

from agent.core.estimate import text_tokens
from agent.models.value import Value

EARLY = 500  # tasks after which the held-out ones are tried for the first time


class World(Value, frozen=True, kw_only=True):
    """What is hard. The defaults are the protocol as it stands."""

    outcomes: float = 1.0  # share of runs of which it is seen how they ended; 0: corrections only
    corrected: float = CORRECTED
    wrong: float = 0.0  # share of corrections that name a wrong tool
    drifts_at: int | None = None  # from this task on, 20 of the tools have changed places
    retries: int = 0  # further tries after a failure that was seen


class Cell(Value, frozen=True, kw_only=True):
    """What is run: everything that its result depends on."""

    arm: str
    reader: Reader = "weighing"
    obeys: float = 0.9
    seed: int = 0
    world: World = World()
    stream: int = 2_000
    held_out: int = 500


class Exam(Value, frozen=True):
    """Held-out tasks, tried without learning from them."""

    right: tuple[bool, ...]
    harmed: float  # share of tasks that are right without memory and wrong with it
    tokens: float  # a run

    @property
    def accuracy(self) -> float:
        """The share that was right."""
        return sum(self.right) / len(self.right)


class Result(Value, frozen=True, kw_only=True):
    """How a cell went."""

    early: Exam
    late: Exam
    stream: float  # share of the stream that was right at the first try
    tokens: float  # of memory, a run of the stream
    corrections: int


Reading = Callable[[Task, Luck, str], str]


def run(cell: Cell, tell: Tell | None = None) -> Result:
    """Return how a cell went; `tell` takes the place of the arm's own."""
    drawn = draw(cell.seed, stream=cell.stream, held_out=cell.held_out)
    return Run(cell, drawn, tell or ARMS[cell.arm]).run()


class Run:
    """A cell under way."""

    def __init__(self, cell: Cell, drawn: Draw, tell: Tell) -> None:
        self.cell, self.drawn, self.tell = cell, drawn, tell
        self.memory, self.tools, self.corrections = PureMemory(), frozenset(drawn.tools), 0

    def run(self) -> Result:
        """Return how it went."""
        right, tokens, early = 0, 0.0, None
        for at, (task, luck) in enumerate(zip(self.drawn.stream, self.drawn.luck, strict=True)):
            if at == EARLY:
                early = self.exam(at)
            self.memory.runs = at
            meant = self.meant(task, at)
            block = self.tell(self.memory, meant, luck)
            called = self.read(meant, luck, block)
            tokens += text_tokens(block)
            right += called == meant.tool
            self.learn(meant, called, luck)
        late = self.exam(len(self.drawn.stream))
        count = len(self.drawn.stream)
        return Result(early=early or late, late=late, stream=right / count, tokens=tokens / count, corrections=self.corrections)

    def read(self, task: Task, luck: Luck, block: str) -> str:
        """Return what the policy calls."""
        return choose(task, block, reader=self.cell.reader, obeys=luck.obeys < self.cell.obeys, tools=self.tools)

    def meant(self, task: Task, at: int) -> Task:
        """Return the task with the tool that is right at that time."""
        drifts_at = self.cell.world.drifts_at
        moved = drifts_at is not None and at >= drifts_at
        return Task(task.text, self.drawn.drifted.get(task.tool, task.tool), task.opinions) if moved else task

    def learn(self, task: Task, called: str, luck: Luck) -> None:
        """Record what a person or a scorer says of one call, and of what was tried after it."""
        world, tried = self.cell.world, [called]
        while self.record(task, tried[-1], luck) and len(tried) <= world.retries:
            left = [tool for tool, _ in task.opinions if tool not in tried]
            tried.append(left[0])

    def record(self, task: Task, called: str, luck: Luck) -> bool:
        """Return whether the call was seen to fail."""
        world, memory = self.cell.world, self.memory
        is_right = called == task.tool
        if not is_right and luck.corrects < world.corrected and self.cell.arm != "cases":
            wrong = others(self.drawn.tools, task.tool, called)
            named = wrong[int(luck.picks * len(wrong))] if luck.errs < world.wrong else task.tool
            memory.add_case(task.text, named, 1, weight=2.0, signal="correction")
            memory.add_case(task.text, called, -1, weight=1.0, signal="correction")
            memory.add_rule(task.text, named)
            self.corrections += 1
            return False
        if luck.sees >= world.outcomes:
            return False
        memory.add_case(task.text, called, 1 if is_right else -1, weight=1.0, signal="outcome")
        return not is_right

    def exam(self, at: int) -> Exam:
        """Return how the held-out tasks go as memory stands; nothing is learnt from them."""
        right, harmed, tokens = [], 0, 0.0
        self.memory.runs = at
        for task, luck in zip(self.drawn.held_out, self.drawn.held_out_luck, strict=True):
            meant = self.meant(task, at)
            block = self.tell(self.memory, meant, luck)
            called = self.read(meant, luck, block)
            tokens += text_tokens(block)
            right.append(called == meant.tool)
            harmed += called != meant.tool and own_choice(meant) == meant.tool
        return Exam(tuple(right), harmed / len(right), tokens / len(right))
