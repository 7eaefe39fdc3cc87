"""Forks, replays and differences from the shell."""

import json
import sqlite3

import pytest
from tests.cli.conftest import ADD, Command

SEND = '''
import agent
registry = agent.ToolRegistry()

@registry.tool(effect="unsafe")
def send(to: str) -> str:
    """Send."""
    with open("sent.txt", "a") as file:
        file.write(to + "\\n")
    return "sent"
'''
ASK = {"tool_calls": [{"name": "send", "arguments": {"to": "ann"}}]}


def test_a_run_is_forked_resumed_and_compared(seasoned: Command) -> None:
    seasoned.run(ADD, "5 apples", options=("--tool", "calculator", "--no-memory"))
    first = seasoned.last_id()
    made = seasoned("fork", "last", "--at", "3", "--result", '3="6"', "--model", seasoned.script("unused", "6 apples", name="other.json"))
    fork_id = made.stdout.strip()

    assert f"seasoned resume {fork_id}" in made.stderr
    assert seasoned("resume", fork_id).stdout == "6 apples\n"
    shown = seasoned("runs", "diff", first, fork_id).stdout
    assert "4 steps are shared" in shown
    assert "~ 4/5 llm_call\n    answer: 5 apples → 6 apples" in shown
    assert "\x1b" not in shown
    found = json.loads(seasoned("runs", "diff", first, fork_id, "--json").stdout)
    assert (found["a"], found["b"], found["is_same"], found["shared"]) == (first, fork_id, False, 4)
    assert [node["status"] for node in found["nodes"]] == ["shared", "shared", "shared", "added", "changed", "changed"]
    changed = found["nodes"][3]["changes"]
    assert (changed["result of calculator (step 3)"], changed["model"][1][-10:]) == (["5", "6"], "other.json")
    assert "    result of calculator (step 3): 5 → 6\n" in shown
    told = seasoned("runs", "show", fork_id).stdout
    assert f"4 forked from run {first} after step 3, with changes:\n" in told
    assert "    result of calculator (step 3): 5 → 6\n" in told
    assert seasoned("runs", "diff", fork_id).stdout == shown
    assert "is no fork" in seasoned("runs", "diff", first, code=2).stderr
    assert json.loads(seasoned("step", "show", f"{fork_id}/3", "--json").stdout)["step_id"] == f"{first}/3"
    for trace_id in (first, fork_id):
        assert "all" in seasoned("replay", trace_id).stdout
        seasoned("runs", "verify", trace_id)


def test_everything_that_was_asked_can_be_changed(seasoned: Command) -> None:
    seasoned.run(ADD, "5 apples", options=("--tool", "calculator", "--system", "Be brief."))
    changes = ("--task", "pears", "--system", "Be long.", "--tool", "current_time", "--no-memory")
    fork_id = json.loads(seasoned("fork", "last", "--at", "0", *changes, "--json").stdout)["trace_id"]
    seasoned("resume", fork_id, "--model", seasoned.script("no pears", name="other.json"))
    messages = next(s["data"]["messages"] for s in json.loads(seasoned("runs", "export", fork_id).stdout)["steps"] if s["step_type"] == "llm_call")

    shown = seasoned("runs", "show", fork_id).stdout
    assert "    task: count the apples → pears\n" in shown
    assert "    system prompt: Be brief. → Be long.\n" in shown
    assert '    tools: ["calculator"] → ["current_time"]\n' in shown
    assert [message["content"] for message in messages] == ["Be long.", "pears"]
    assert seasoned.last_trace()["task"] == "pears"


def test_what_the_parent_did_is_asked_about_from_the_shell_too(seasoned: Command) -> None:
    (seasoned.folder / "mail.py").write_text(SEND)
    seasoned.run(ASK, "done", options=("--tool", "mail:registry"))
    fork_id = seasoned("fork", "last", "--at", "0").stdout.strip()

    waits = seasoned("resume", fork_id, code=3).stderr
    assert 'waits: send(to="ann"): the run that this one was forked from made this call already' in waits
    assert "made this call already" in seasoned("approvals", "show", fork_id).stdout
    assert (seasoned.folder / "sent.txt").read_text() == "ann\n"
    seasoned("approvals", "reject", fork_id, "--reason", "once is enough")
    assert seasoned("resume", fork_id).stdout == "done\n"
    assert (seasoned.folder / "sent.txt").read_text() == "ann\n"


def test_a_fork_that_waits_says_so(seasoned: Command) -> None:
    (seasoned.folder / "mail.py").write_text(SEND.replace('"unsafe"', '"unsafe", requires_confirmation=True'))
    seasoned.run(ASK, "done", options=("--tool", "mail:registry", "--no-memory"), code=3)

    assert "seasoned approvals show" in seasoned("fork", "last", "--at", "2").stderr


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--at", "9"), "its steps are 0 to 5"),
        (("--at", "3", "--result", "3"), "write STEP=VALUE"),
        (("--at", "3", "--result", "9=x"), "has no such step"),
        (("--at", "3", "--result", "1=x"), "is no tool result"),
        (("--at", "5", "--task", "x"), "had its answer by step 4"),
        (("--at", "3", "--tool", "nobody"), "no tool 'nobody'"),
        (("--at", "3", "--exclude-memory", "e1"), "memory gave the run nothing with the id 'e1'"),
    ],
)
def test_a_fork_that_cannot_be_says_why(seasoned: Command, options: tuple[str, ...], says: str) -> None:
    seasoned.run(ADD, "5 apples", options=("--tool", "calculator", "--no-memory") if "e1" not in options else ("--tool", "calculator"))

    at = ("--at", "4") if "e1" in options else ()
    done = seasoned("fork", "last", *options, *at, code=None)
    assert done.returncode in (1, 2)
    assert says in done.stderr


def test_a_log_that_was_changed_is_no_replay(seasoned: Command) -> None:
    seasoned.run(ADD, "5 apples", options=("--tool", "calculator", "--no-memory"))
    with sqlite3.connect(seasoned.folder / ".seasoned" / "runs.db") as db:
        db.execute("delete from step where seq=2")

    told = seasoned("replay", "last", code=1).stdout
    assert "step 3 does not follow" in told
    found = json.loads(seasoned("replay", "last", "--json", code=1).stdout)
    assert (found["identical"], found["sequence"], found["expected"]) == (False, 3, "step 2")
    with sqlite3.connect(seasoned.folder / ".seasoned" / "runs.db") as db:
        db.execute("update step set data=x'00' where seq=3")
    assert "not identical" in seasoned("replay", "last", code=1).stdout


def test_what_models_and_tools_wrote_cannot_steer_the_terminal(seasoned: Command) -> None:
    seasoned.run("\x1b[2J first")
    first = seasoned.last_id()
    seasoned.run("\x1b[2J second\u202e")
    shown = seasoned("runs", "diff", first, "last").stdout

    assert "second" in shown
    assert "\x1b" not in shown
    assert "\u202e" not in shown
