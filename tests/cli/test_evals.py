"""`seasoned eval`, as people type it."""

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parent.parent.parent / "examples" / "evals"
DATES = ("eval", "run", "dates.yaml", "--model", "scripted:dates.json")
SCORER = "def is_short(run):\n    return True if len(run.answer) < 12 else (0, 'long')\n"


@pytest.fixture
def dates(seasoned: Any) -> Any:
    """The command in a folder with the example's tasks and script."""
    for name in ("dates.yaml", "dates.json"):
        shutil.copy(EXAMPLES / name, seasoned.folder / name)
    return seasoned


def cells_of(output: str) -> list[dict[str, Any]]:
    return [line["data"] for line in map(json.loads, output.splitlines()) if line["type"] == "eval_cell"]


def test_the_example_shows_what_memory_is_worth(dates: Any) -> None:
    done = dates(*DATES, "--arms", "none,memory,placebo,random", "--seeds", "2", "-o", "report.html", "-o", "report.md", "-o", "report.json")

    assert "memory beside none, tasks: better" in done.stdout
    assert "placebo beside none, tasks: not yet known" in done.stdout
    assert "128 of 128" in done.stderr
    page = (dates.folder / "report.html").read_text(encoding="utf-8")
    assert "<svg" in page
    assert "<script" not in page
    assert (dates.folder / "report.md").read_text(encoding="utf-8").strip() == done.stdout.strip()
    assert json.loads((dates.folder / "report.json").read_text(encoding="utf-8"))["runs"] == 128


def test_a_report_is_there_again_later(dates: Any) -> None:
    first = dates(*DATES)

    again = dates("eval", "report", "last", "-o", "report.md")
    assert again.stdout == first.stdout
    assert dates("eval", "report", "last", "-o", "report.md").stdout == first.stdout  # a report is written over
    assert json.loads(dates("eval", "ls", "--json").stdout)["runs"] == 32
    assert "no eval 'nothing'" in dates("eval", "report", "nothing", code=2).stderr
    assert "no report of an eval" in dates("eval", "report", "last", "-o", "dates.yaml", code=2).stderr


def test_killed_in_the_middle_it_goes_on_and_nothing_is_done_or_said_twice(dates: Any) -> None:
    script = json.loads((dates.folder / "dates.json").read_text(encoding="utf-8"))
    script[0] = [{**reply, "delay_s": 0.05} for reply in script[0]]
    (dates.folder / "dates.json").write_text(json.dumps(script), encoding="utf-8")
    asked = (*DATES, "--arms", "none,memory", "--seeds", "2", "--json")
    process = dates.start(*asked)
    before = [process.stdout.readline() for _ in range(9)]
    process.send_signal(signal.SIGKILL)
    process.wait(60)

    after = dates(*asked)

    told = cells_of("".join(before)) + cells_of(after.stdout)
    assert len(before) == 9
    assert 64 - 9 - 4 <= len(cells_of(after.stdout)) <= 64 - 9  # what was told of was on the record before
    assert len({(cell["arm"], cell["seed"], cell["task_id"]) for cell in told}) == len({cell["trace_id"] for cell in told})
    report = json.loads(after.stdout.splitlines()[-1])["data"]
    assert report["runs"] == report["wanted"] == 64
    corrected = [cell for cell in told if cell["is_corrected"]]
    for cell in corrected:
        shown = dates("runs", "show", cell["trace_id"], "--json", "--uid", uid_of(report, cell)).stdout
        assert shown.count('"feedback_type"') == 1
    assert {(cell["arm"], cell["seed"]) for cell in corrected} == {("memory", 0), ("memory", 1)}


def test_stopped_by_hand_it_says_how_to_go_on(dates: Any) -> None:
    script = json.loads((dates.folder / "dates.json").read_text(encoding="utf-8"))
    script[0] = [{**reply, "delay_s": 0.2} for reply in script[0]]
    (dates.folder / "dates.json").write_text(json.dumps(script), encoding="utf-8")
    process = dates.start(*DATES, "--json")
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)

    assert process.returncode == 130
    assert "the same command goes on where it was" in told
    assert "Traceback" not in told


def uid_of(report: dict[str, Any], cell: dict[str, Any]) -> str:
    return f"anonymous/eval/{report['setting']['eval_id']}/{cell['arm']}/{cell['seed']}"


def test_a_function_of_ones_own_scores(seasoned: Any) -> None:
    (seasoned.folder / "my_scorers.py").write_text(SCORER, encoding="utf-8")
    (seasoned.folder / "tasks.jsonl").write_text(
        '{"task": "Say hello.", "scorer": "my_scorers:is_short"}\n{"task": "Sing.", "scorer": "my_scorers:is_short"}\n'
    )
    script = seasoned.script([{"asked": "Sing", "content": "la la la la la la la"}, "hello"])

    done = seasoned("eval", "run", "tasks.jsonl", "--arms", "none", "--model", script, "--json")

    assert [(cell["task_id"], cell["score"], cell["why"]) for cell in sorted(cells_of(done.stdout), key=lambda cell: cell["task_id"])] == [
        ("1", 1.0, ""),
        ("2", 0.0, "long"),
    ]


def test_a_judge_may_be_another_model(seasoned: Any) -> None:
    (seasoned.folder / "tasks.jsonl").write_text('{"task": "Say hello.", "scorer": {"kind": "judge", "rubric": "Is it kind?"}}\n')
    judge = seasoned.script(json.dumps({"why": "cold", "score": 0.25}), name="judge.json")

    done = seasoned("eval", "run", "tasks.jsonl", "--arms", "none", "--model", seasoned.script("hello"), "--judge", judge, "--json")

    assert [(cell["score"], cell["why"]) for cell in cells_of(done.stdout)] == [(0.25, "cold")]


def test_tools_of_a_task_are_offered_and_its_first_call_is_scored(seasoned: Any) -> None:
    task = {"task": "What is 2 + 3?", "tools": ["calculator"], "scorer": "tool", "expected": {"tool_name": "calculator", "arguments": {"expression": "2 + 3"}}}
    (seasoned.folder / "tasks.jsonl").write_text(json.dumps(task) + "\n")
    script = seasoned.script({"tool_calls": [{"name": "calculator", "arguments": {"expression": "2 + 3"}}]}, "5")

    done = seasoned("eval", "run", "tasks.jsonl", "--arms", "none", "--model", script, "--json")

    assert [cell["score"] for cell in cells_of(done.stdout)] == [1.0]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--arms", "none,all"), "arms are none, memory"),
        (("--corrections", "2"), "corrections"),
        (("-o", "nowhere/report.md"), "there is no folder"),
        (("--tools", "my_tools:none"), "my_tools"),
    ],
)
def test_what_cannot_be_used_is_refused_before_anything_runs(options: tuple[str, ...], why: str, dates: Any) -> None:
    done = dates(*DATES, *options, code=None)

    assert done.returncode in (1, 2)
    assert why in done.stderr
    assert not (dates.folder / ".seasoned" / "runs.db").exists() or dates("eval", "ls").stdout == ""


def test_a_mistake_in_the_tasks_is_named_with_its_line(seasoned: Any) -> None:
    (seasoned.folder / "tasks.jsonl").write_text('{"task": "a", "scorer": "exact", "expected": "b"}\n{"task": "a", "scorer": "exact", "expect": "b"}\n')

    done = seasoned("eval", "run", "tasks.jsonl", "--model", seasoned.script("b"), code=2)

    assert "tasks.jsonl:2: a task has no 'expect'; did you mean 'expected'?" in done.stderr


@pytest.mark.parametrize("choice", [[], [{"if": 3, "content": "x"}], [{"asked": [3], "content": "x"}], [{"iff": "x"}]])
def test_a_script_with_a_choice_that_cannot_be_read_is_refused(choice: Any, seasoned: Any) -> None:
    assert "the script" in seasoned.run(choice, code=2).stderr


def test_a_script_without_a_reply_for_the_prompt_says_so(seasoned: Any) -> None:
    assert "no reply for this prompt" in seasoned.run([{"asked": "pears", "content": "x"}], code=1).stderr
