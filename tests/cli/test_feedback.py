"""`seasoned feedback`: said, listed, changed, taken back, given again; and how a run went."""

import json
from pathlib import Path
from typing import Any

from tests.cli.conftest import Command


def listed(seasoned: Command, *options: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in seasoned("feedback", "ls", *options, "--json").stdout.splitlines()]


def told(seasoned: Command) -> str:
    """Run once more, and return what the memory told."""
    seasoned.run("ten")
    return str(json.loads(seasoned("step", "show", "last/1", "--json").stdout)["data"].get("block", ""))


def test_feedback_is_listed_changed_taken_back_and_given_again(seasoned: Command) -> None:
    seasoned.run("five")
    seasoned("feedback", "add", "last", "--correction", "count the apples once", "--by", "ada")
    (given,) = listed(seasoned, "last")
    where = f"{given['trace_id']}/{given['sequence']}"
    changed = seasoned("feedback", "edit", where, "--correction", "count the apples twice")
    after_edit = told(seasoned)
    undone = seasoned("feedback", "undo", where, "--by", "bob")
    after_undo = told(seasoned)
    refused = seasoned("feedback", "undo", f"{given['trace_id']}/0", code=None)
    seasoned("feedback", "redo", where)
    after_redo = told(seasoned)
    plain = seasoned("feedback", "ls").stdout

    assert "learnt as exp-" in changed.stderr
    assert "apples twice" in after_edit
    assert "apples once" not in after_edit
    assert "taken back" in undone.stderr
    assert "apples" not in after_undo
    assert refused.returncode != 0
    assert "no feedback of this id" in refused.stderr
    assert "apples twice" in after_redo
    assert f"{where}  correction (by bob, version 4): count the apples twice → exp-" in plain


def test_what_a_lesson_takes_the_place_of_is_named(seasoned: Command) -> None:
    seasoned.run("five")
    first = json.loads(seasoned("feedback", "add", "last", "--correction", "Always use dollars.", "--by", "ada", "--json").stdout)["experience_id"]
    beside = seasoned("feedback", "add", "last", "--correction", "Thanks.", "--by", "eve")
    instead = seasoned("feedback", "add", "last", "--correction", "Always use euros.", "--by", "bob")

    assert "takes the place of" not in beside.stderr
    assert f"takes the place of {first}" in instead.stderr


def test_a_call_is_corrected_without_words(seasoned: Command) -> None:
    seasoned.run("five")
    shown = seasoned("feedback", "add", "last/2", "--tool", "count_twice", "--args", '{"n": 2}', "--json")
    (given,) = listed(seasoned)
    again = seasoned("feedback", "add", "last/2", "--tool", "count_thrice", "--args", '{"n": 3}').stderr
    empty = seasoned("memory", "ls").stderr

    assert json.loads(shown.stdout)["cases"] == 1
    assert "learnt 1 case for or against its tools: seasoned memory ls --kind case" in again
    assert "2 cases: seasoned memory ls --kind case" in empty
    assert json.loads(shown.stdout)["experience_id"] is None
    assert (given["feedback_type"], given["corrected"]) == ("correction", {"tool_name": "count_twice", "arguments": {"n": 2}})
    assert "--args is no JSON object" in seasoned("feedback", "add", "last", "--args", "[1]", code=2).stderr
    assert "give one of them" in seasoned("feedback", "add", "last", "--args", "{}", "--output", "x", code=2).stderr


def test_an_opinion_needs_words_and_an_option_is_none(seasoned: Command) -> None:
    seasoned.run("five")

    assert "an option: each of" in seasoned("feedback", "add", "last", "--positive", "--negative", code=2).stderr
    assert "--positive has no words" in seasoned("feedback", "add", "last", "--positive", "", code=2).stderr
    assert listed(seasoned) == []


def test_how_a_run_went_is_recorded_and_is_a_number_from_0_to_1(seasoned: Command) -> None:
    seasoned.run("five")

    assert "went 0.5" in seasoned("feedback", "outcome", "last", "0.5", "--by", "ada").stderr
    assert "it went 0.5, says ada" in seasoned("runs", "show", "last").stdout
    assert "from 0 (it failed)" in seasoned("feedback", "outcome", "last", "5", code=2).stderr


def test_what_was_only_recorded_is_learnt_when_asked_for(seasoned: Command) -> None:
    seasoned.run("five")
    given = seasoned("feedback", "add", "last", "--correction", "count the apples twice", "--no-learn")
    nothing = told(seasoned)
    learnt = seasoned("feedback", "learn", listed(seasoned)[0]["trace_id"])

    assert "learnt" not in given.stderr
    assert "apples" not in nothing
    assert "learnt from run" in learnt.stderr
    assert "apples twice" in told(seasoned)


def test_a_model_words_a_lesson_where_the_settings_say_so(seasoned: Command, tmp_path: Path) -> None:
    seasoned.run("five")
    proposed = json.dumps({"condition": "apples", "rule": "Count apples twice."})
    model = seasoned.script({"content": proposed})
    (seasoned.folder / "seasoned.toml").write_text(f'extractor = "llm"\nmodel = "{model}"\n')
    given = seasoned("feedback", "add", "last", "--correction", "count twice")

    assert "worded by a model: Count apples twice." in given.stderr
    assert "waits in the shadow" in given.stderr
