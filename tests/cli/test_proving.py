"""`seasoned memory prove`, as people type it."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

import agent
from agent.models.memory import Experience

DATES = [{"if": "ISO 8601", "content": "2026-05-03"}, "3 May 2026"]
GRADES = [{"if": "2026-05-03", "content": '{"why": "as wanted", "score": 1}'}, '{"why": "another form", "score": 0}']


def put(folder: Path, **fields: Any) -> None:
    """Put a rule into the shadow of the folder's store."""

    async def add() -> None:
        async with agent.open_store(f"sqlite:///{folder}/.seasoned/runs.db") as store:
            rule = Experience.create("agent:default", "Which date is on the invoice?", "Write dates as ISO 8601.", source="model", uid="anonymous", **fields)
            await store.memories.add_experience(rule)

    asyncio.run(add())


@pytest.fixture
def asked(seasoned: Any) -> Any:
    """The command in a folder with two runs, and a rule in the shadow that fits them."""
    model = seasoned.script(DATES)
    for number in (1, 2):
        seasoned("run", f"Which date is on invoice {number}?", "--model", model)
    put(seasoned.folder, state="shadow", experience_id="exp-1")
    seasoned.script(GRADES, name="judge.json")
    return seasoned


def test_a_rule_in_the_shadow_is_shown_with_and_without_and_then_made_active(asked: Any) -> None:
    model = ("--model", "scripted:script.json")
    offered = asked("memory", "why", "exp-1").stderr
    proof = asked("memory", "prove", "exp-1", *model, "--judge", "scripted:judge.json")

    assert "seasoned memory prove exp-1" in offered
    assert "without 3 May 2026 · graded 0.00 (another form)" in proof.stdout
    assert "with    2026-05-03 · graded 1.00 (as wanted)" in proof.stdout
    assert "answer: 3 May 2026 → 2026-05-03" in proof.stdout
    assert "2 past runs: 2 went otherwise with it, 0 the same" in proof.stdout
    assert "not yet known (n=2 runs, at least 10)" in proof.stdout
    assert "seasoned memory prove exp-1 --activate" in proof.stderr
    assert asked("run", "Which date is on invoice 3?", *model).stdout == "3 May 2026\n"
    active = asked("memory", "prove", "exp-1", *model, "--no-grade", "--runs", "1", "--activate", "--by", "ada")
    assert "it is active now" in active.stderr
    assert "graded" not in active.stdout
    assert asked("run", "Which date is on invoice 4?", *model).stdout == "2026-05-03\n"


def test_a_proof_is_json_for_programs(asked: Any) -> None:
    done = asked("memory", "prove", "exp-1", "--model", "scripted:script.json", "--judge", "scripted:judge.json", "--json")

    proof = json.loads(done.stdout)
    assert (proof["item_id"], proof["state"], proof["is_activated"], len(proof["runs"])) == ("exp-1", "shadow", False, 2)
    assert proof["difference"]["estimate"] == 1.0
    assert proof["runs"][0]["with"]["answer"] == "2026-05-03"
    assert proof["runs"][0]["diff"]["shared"] == 2


def test_the_runs_of_a_proof_are_marked_and_never_the_last_and_nothing_is_learnt_from_them(asked: Any) -> None:
    last = json.loads(asked("runs", "show", "last", "--json").stdout.splitlines()[0])
    proof = json.loads(asked("memory", "prove", "exp-1", "--model", "scripted:script.json", "--no-grade", "--json").stdout)
    side = proof["runs"][0]["with"]["trace_id"]

    assert json.loads(asked("runs", "show", "last", "--json").stdout.splitlines()[0]) == last
    assert "(a proof of exp-1) Which date is on invoice" in asked("runs", "ls").stdout
    given = asked("feedback", "add", side, "--correction", "Say the weekday too.").stderr
    learnt = asked("feedback", "learn", side).stderr
    assert "nothing is learnt from it" in given
    assert "nothing is learnt from it" in learnt
    assert "weekday" not in asked("memory", "ls").stdout


def test_the_item_may_be_the_last_or_begin_so_and_is_looked_for_first(asked: Any) -> None:
    last = asked("memory", "prove", "last", "--model", "scripted:script.json", "--no-grade", "--runs", "1")
    begun = asked("memory", "prove", "exp", "--model", "scripted:script.json", "--no-grade", "--runs", "1", "--json")

    assert "with and without exp-1;" in last.stderr
    assert json.loads(begun.stdout)["item_id"] == "exp-1"
    assert "past runs once more" not in asked("memory", "prove", "nothing", "--model", "scripted:script.json", code=2).stderr


def test_a_run_can_be_named_and_a_function_of_ones_own_grades(asked: Any) -> None:
    (asked.folder / "my_scorers.py").write_text("def is_iso(run):\n    return run.answer.startswith('2026')\n", encoding="utf-8")

    done = asked("memory", "prove", "exp-1", "--run", "last", "--model", "scripted:script.json", "--scorer", "my_scorers:is_iso", "--json")

    (one,) = json.loads(done.stdout)["runs"]
    assert (one["without"]["score"]["value"], one["with"]["score"]["value"]) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("nothing",), "no experience 'nothing'"),
        (("exp-1", "--run", "nothing"), "no trace 'nothing'"),
        (("exp-1", "--scorer", "a:b", "--judge", "scripted:judge.json"), "one of them grades"),
        (("exp-1", "--scorer", "my_scorers:none"), "my_scorers"),
    ],
)
def test_what_is_not_there_is_named(options: tuple[str, ...], why: str, asked: Any) -> None:
    assert why in asked("memory", "prove", *options, "--model", "scripted:script.json", code=2).stderr
