"""Files of tasks: what they may hold, and what is said where they hold something else."""

import json
from pathlib import Path

import pytest

from agent.errors import BadInput
from agent.evals.tasks import TaskSet, load_task_set

YAML = """
name: shop
scorer: exact
tools: [price_of]
correction: Write dates as ISO 8601.
tasks:
  - id: a
    task: When?
    expected: "2026-05-03"
  - task: Which?
    expected: no
    scorer: {kind: contains, ignore_case: true}
    split: held_out
    tools: []
"""


def loaded(folder: Path, text: str, name: str = "tasks.yaml") -> TaskSet:
    (folder / name).write_text(text, encoding="utf-8")
    return load_task_set(folder / name)


def test_a_set_says_once_what_holds_for_all_its_tasks(tmp_path: Path) -> None:
    tasks = loaded(tmp_path, YAML)

    first, second = tasks.tasks
    assert tasks.name == "shop"
    assert (first.task_id, first.tools, first.scorer.kind, first.split, first.correction) == ("a", ("price_of",), "exact", "train", "Write dates as ISO 8601.")
    assert (second.task_id, second.tools, second.scorer.kind, second.split) == ("2", (), "contains", "held_out")
    assert second.expected == "no"  # a word, as YAML 1.2 has it
    assert first.where.endswith("tasks.yaml:7")


def test_the_same_tasks_are_the_same_set_in_any_form(tmp_path: Path) -> None:
    head, rows = {"scorer": "exact"}, [{"task": "When?", "expected": "now"}, {"task": "Where?", "expected": {"b": 1, "a": 2}}]
    lines = "\n".join(json.dumps(one) for one in ({"eval": head}, *rows))

    as_lines = loaded(tmp_path, lines, "a.jsonl")
    as_json = loaded(tmp_path, json.dumps({**head, "tasks": rows}), "a.json")
    as_yaml = loaded(tmp_path, "scorer: exact\ntasks:\n- task: When?\n  expected: now\n- task: Where?\n  expected: {b: 1, a: 2}\n", "a.yaml")

    assert as_lines.digest == as_json.digest == as_yaml.digest
    assert loaded(tmp_path, lines.replace("now", "then"), "b.jsonl").digest != as_lines.digest


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("scorer: exact\ntasks:\n- task: a\n  expectd: b\n", "tasks.yaml:4: a task has no 'expectd'; did you mean 'expected'?"),
        ("scorer: exat\ntasks:\n- task: a\n  expected: b\n", "tasks.yaml:1: no scorer 'exat': did you mean 'exact'?"),
        ("scorer: exact\ntasks:\n- task: a\n", "tasks.yaml:3: the scorer exact compares with 'expected'"),
        ("tasks:\n- task: a\n  expected: b\n", "tasks.yaml:2: there is no scorer"),
        ("scorer: regex\ntasks:\n- task: a\n  expected: '('\n", "tasks.yaml:4: the scorer regex needs a pattern"),
        ("scorer: json_schema\ntasks:\n- task: a\n  expected: {type: 3}\n", "tasks.yaml:4: "),
        ("scorer: tool\ntasks:\n- task: a\n  expected: {tool: x}\n", "tasks.yaml:4: the scorer tool needs"),
        ("scorer: {kind: function}\ntasks:\n- task: a\n", "tasks.yaml:1: the scorer function names one"),
        ("scorer: exact\ntasks:\n- task: 3\n  expected: b\n", "tasks.yaml:3: 'task' is a text, not 3"),
        ("scorer: exact\ntasks:\n- {id: a, task: a, expected: b}\n- {id: a, task: b, expected: b}\n", "tasks.yaml:4: the id 'a' is taken"),
        ("scorer: exact\nsplit: test\ntasks:\n- task: a\n  expected: b\n", "tasks.yaml:2: split is train or held_out"),
        ("scorer: exact\ntasks:\n- task: a\n  task: b\n  expected: c\n", "tasks.yaml:4: the key 'task' comes twice"),
        ("tasks: [\n", "tasks.yaml:2: no valid YAML"),
        ("tasks:\n- just words\n", "tasks.yaml:2: a task is a table"),
        ("tasks: !!python/object/apply:os.system [ls]\n", "tasks.yaml:1: "),
        ("", "there is no task in it"),
    ],
)
def test_a_mistake_is_named_with_its_line(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput) as raised:
        loaded(tmp_path, text)

    assert said in str(raised.value)


def test_a_mistake_in_json_lines_is_named_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"tasks.jsonl:3: not valid JSON"):
        loaded(tmp_path, '{"eval": {"scorer": "exact"}}\n{"task": "a", "expected": "b"}\n{"task": \n', "tasks.jsonl")


def test_aliases_cannot_make_a_small_file_huge(tmp_path: Path) -> None:
    levels = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9))

    with pytest.raises(BadInput, match="aliases may not multiply"):
        loaded(tmp_path, f"a0: &a0 [x]\n{levels}tasks:\n- task: a\n")


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        load_task_set(tmp_path / "none.yaml")
