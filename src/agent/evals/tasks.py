"""Task sets: what is asked, how an answer is scored, and what a person would say of a wrong one."""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from agent.errors import BadInput
from agent.evals.reading import Document, Entry, read_document
from agent.evals.scorers import KINDS, Scorer, check_expected
from agent.models.digest import canonical_hash
from agent.models.value import Value, replace

Split = Literal["train", "held_out"]
MAX_TASKS = 100_000
"""Tasks of one set."""
MAX_ID_CHARS = 200
"""Characters of a task's id."""
SHARED = ("scorer", "system", "tools", "agent_type", "split", "correction", "max_iterations")
"""What can be said once for the whole set; a task that says it itself has its own."""
_TASK_KEYS = ("id", "task", "expected", "corrected", *SHARED)
_SET_KEYS = ("name", "description", *SHARED)


class Task(Value, frozen=True, kw_only=True):
    """One task of a set. With `corrected` or `correction` a wrong answer is corrected as a person would do it."""

    task_id: str
    task: str
    scorer: Scorer
    expected: Any = None
    correction: str | None = None  # the words of the feedback on a wrong answer
    corrected: Any = None  # what would have been right: the answer, or {"tool_name", "arguments"} of a call
    split: Split = "train"  # held_out: never learnt from, run after all others
    system: str | None = None
    tools: tuple[str, ...] = ()
    agent_type: str | None = None
    max_iterations: int | None = None
    where: str = ""  # the file and line that it stands on


class TaskSet(Value, frozen=True, kw_only=True):
    """A set of tasks with ids of their own."""

    name: str
    tasks: tuple[Task, ...]
    description: str = ""

    @property
    def digest(self) -> str:
        """Return the sha256 (hex) of all that is asked and scored: another one is another set."""
        return canonical_hash(
            [[getattr(task, name) for name in task.__struct_fields__ if name not in ("where", "scorer")] + [_said(task)] for task in self.tasks]
        )


def _said(task: Task) -> Any:
    return [task.scorer.kind, task.scorer.options]


def load_task_set(path: Path) -> TaskSet:
    """Return the tasks of a file: YAML, JSON, or JSON lines.

    Raises:
        BadInput: it cannot be read, or something in it cannot be used; says the line and what is allowed.
        ConfigInvalid: it is YAML, and the extra that reads it is not installed.
    """
    return task_set_of(read_document(path), path.stem)


def task_set_of(document: Document, name: str) -> TaskSet:
    """Return the tasks of what a file holds; `name` is used where the file gives none.

    Raises:
        BadInput: something in it cannot be used.
    """
    head = document.head
    _check_keys(head, _SET_KEYS, "a set of tasks")
    if not document.tasks:
        raise BadInput(f"{head.where}: there is no task in it")
    if len(document.tasks) > MAX_TASKS:
        raise BadInput(f"{head.where}: {len(document.tasks)} tasks, at most {MAX_TASKS}: split the set")
    seen: dict[str, str] = {}
    tasks: list[Task] = []
    for number, entry in enumerate(document.tasks, 1):
        task = _task(entry, head, number)
        if task.task_id in seen:
            raise BadInput(f"{entry.place('id')}: the id {task.task_id!r} is taken by the task at {seen[task.task_id]}")
        seen[task.task_id] = task.where
        tasks.append(task)
    return TaskSet(name=_text(head, "name") or name, description=_text(head, "description") or "", tasks=tuple(tasks))


def with_tools(tasks: TaskSet, groups: Mapping[str, Sequence[str]]) -> TaskSet:
    """Return a set whose `module:registry` are replaced by the names of the tools that they stand for."""
    return replace(
        tasks,
        tasks=tuple(replace(task, tools=tuple(dict.fromkeys(name for one in task.tools for name in groups.get(one, (one,))))) for task in tasks.tasks),
    )


def _task(entry: Entry, head: Entry, number: int) -> Task:
    _check_keys(entry, _TASK_KEYS, "a task")
    shared = {key: head.data[key] for key in SHARED if key in head.data and key not in entry.data}
    merged = Entry({**shared, **entry.data}, entry.where, {**{key: head.place(key) for key in shared}, **entry.lines})
    words = _text(merged, "task")
    if not words or not words.strip():
        raise BadInput(f"{entry.place('task')}: 'task' says what the agent is asked: give it a text")
    if "scorer" not in merged.data:
        raise BadInput(f"{entry.where}: there is no scorer: give one to the task or to the whole set, such as scorer: exact ({', '.join(KINDS)})")
    split = merged.data.get("split", "train")
    if split not in ("train", "held_out"):
        raise BadInput(f"{merged.place('split')}: split is train or held_out, not {split!r}")
    scorer = Scorer.of(merged.data["scorer"], merged.place("scorer"))
    check_expected(scorer, merged.data.get("expected"), merged.place("expected"))
    return Task(
        task_id=_id(merged, number),
        task=words,
        scorer=scorer,
        expected=merged.data.get("expected"),
        correction=_text(merged, "correction"),
        corrected=merged.data.get("corrected"),
        split=split,
        system=_text(merged, "system"),
        tools=_names(merged),
        agent_type=_text(merged, "agent_type"),
        max_iterations=_count(merged),
        where=entry.where,
    )


def _check_keys(entry: Entry, known: Sequence[str], what: str) -> None:
    unknown = next((key for key in entry.data if key not in known), None)
    if unknown is not None:
        close = difflib.get_close_matches(str(unknown), known, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise BadInput(f"{entry.place(unknown)}: {what} has no {unknown!r}{hint} It has {', '.join(known)}")


def _text(entry: Entry, key: str) -> str | None:
    value = entry.data.get(key)
    if value is not None and not isinstance(value, str):
        raise BadInput(f"{entry.place(key)}: {key!r} is a text, not {value!r:.60}: put it in quotes")
    return value


def _id(entry: Entry, number: int) -> str:
    value = entry.data.get("id", number)
    if isinstance(value, bool) or not isinstance(value, str | int) or not 0 < len(str(value)) <= MAX_ID_CHARS:
        raise BadInput(f"{entry.place('id')}: 'id' is a text or number of at most {MAX_ID_CHARS} characters, not {value!r:.60}")
    return str(value)


def _names(entry: Entry) -> tuple[str, ...]:
    given = entry.data.get("tools") or ()
    names = [part.strip() for part in given.split(",")] if isinstance(given, str) else given
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) and name for name in names):
        raise BadInput(f"{entry.place('tools')}: 'tools' is a list of names or module:registry, not {given!r:.60}")
    return tuple(names)


def _count(entry: Entry) -> int | None:
    value = entry.data.get("max_iterations")
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise BadInput(f"{entry.place('max_iterations')}: 'max_iterations' is a whole number from 1 on, not {value!r:.60}")
    return value
