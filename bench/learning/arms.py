"""The arms: what a run is told. All but `cases` learn the same; they differ in what they make of it.

`full` is what the product does with a correction that names the right tool: cases for and against, and what else was seen to
work or fail, put to the vote. `cases` has no corrections, `rules` only the words of corrections, `both` has the advice and the words.
"""

from collections.abc import Callable, Sequence

from protocol import Luck, Task
from pure import PureMemory

from agent.core.memory_block import line_of
from agent.models.learning import Case
from agent.models.memory import Experience

RULES = 5  # lines of rules, as `AgentConfig.memory_limit`
RULE_CHARS = 1_000
NEIGHBOURS = 3  # past runs that the append-only design shows

Tell = Callable[[PureMemory, Task, Luck], str]


def told_nothing(_: PureMemory, __: Task, ___: Luck) -> str:
    """No memory."""
    return ""


def told_rules(memory: PureMemory, task: Task, _: Luck) -> str:
    """The rules that fit, in the person's words, one line each."""
    found = [one.item for one in memory.rules.search(task.text, limit=RULES)]
    return "\n".join(line_of(rule, max_chars=RULE_CHARS) for rule in found if isinstance(rule, Experience))


def told_cases(memory: PureMemory, task: Task, _: Luck) -> str:
    """The cases, put to the vote: one line or nothing."""
    return memory.advice(task.text).text


def told_both(memory: PureMemory, task: Task, luck: Luck) -> str:
    """The advice, and the rules in the person's words besides."""
    return "\n".join(filter(None, [told_cases(memory, task, luck), told_rules(memory, task, luck)]))


def told_something_else(memory: PureMemory, _: Task, luck: Luck) -> str:
    """Placebo: the advice on another task, of the same form and about as long."""
    cases = memory.cases.items
    return memory.advice(cases[int(luck.picks * len(cases))].task).text if cases else ""


def told_at_random(memory: PureMemory, _: Task, luck: Luck) -> str:
    """Random-k: lines of the same memory, drawn without regard to the task."""
    good = [case for case in memory.cases.items if case.sign > 0]
    step = max(len(good) // RULES, 1)
    first = int(luck.picks * len(good))
    return _lines([good[(first + i * step) % len(good)] for i in range(min(RULES, len(good)))])


def told_truth(_: PureMemory, task: Task, __: Luck) -> str:
    """Oracle: the right tool, always: what the reader leaves of a perfect memory."""
    return f"[c-0000000000] For requests like “{task.text[:60]}”: use {task.tool}. Worked 9."


def told_lines(memory: PureMemory, task: Task, _: Luck) -> str:
    """Five separate lines: the tools that worked or were named on the tasks most like this one, each by itself."""
    found = memory.cases.search(task.text, limit=50)
    return _lines([one.item for one in found if isinstance(one.item, Case) and one.item.sign > 0][:RULES])


def told_neighbours(memory: PureMemory, task: Task, _: Luck) -> str:
    """Append-only: the past runs most like this one, what was called and how it ended, as they were written down."""
    ends = {1: "success", -1: "failure"}
    found = [one.item for one in memory.cases.search(task.text, limit=NEIGHBOURS)]
    lines = [(one, "use" if one.sign > 0 else "do not take") for one in found if isinstance(one, Case)]
    return "\n".join(f"[{one.case_id}] Task: {one.task} | {word} {one.tool}. | outcome: {ends[one.sign]}" for one, word in lines)


def _lines(cases: Sequence[Case]) -> str:
    return "\n".join(f"[{case.case_id}] For requests like “{case.task[:60]}”: use {case.tool}." for case in cases)


ARMS: dict[str, Tell] = {
    "none": told_nothing,
    "rules": told_rules,
    "cases": told_cases,
    "full": told_cases,
    "both": told_both,
    "placebo": told_something_else,
    "random": told_at_random,
    "oracle": told_truth,
    "lines": told_lines,
    "knn": told_neighbours,
}
