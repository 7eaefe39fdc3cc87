"""What was run, from the command line: lists, trees, documents, checks, copies."""

import json
import sqlite3
import subprocess
import sys

from tests.cli.conftest import ADD, LOOK, Command


def test_runs_are_listed_newest_first_in_pages(seasoned: Command) -> None:
    for answer in ("one", "two", "three"):
        seasoned.run(answer)

    newest = seasoned.events(seasoned("runs", "ls", "--json", "--limit", "2").stdout)
    older = seasoned.events(seasoned("runs", "ls", "--json", "--before", newest[-1]["trace_id"]).stdout)
    table = seasoned("runs", "ls", "--limit", "2")

    assert [trace["trace_id"] for trace in newest] == sorted((trace["trace_id"] for trace in newest), reverse=True)
    assert len(older) == 1
    assert newest[0]["trace_id"] in table.stdout
    assert "count the apples" in table.stdout
    assert f"--before {newest[-1]['trace_id']}" in table.stderr


def test_runs_are_chosen_by_status_agent_and_conversation(seasoned: Command) -> None:
    seasoned.run("one", options=["--conversation", "c1"])
    seasoned.run(ADD, options=["--tool", "calculator"], code=1)

    def ids(*options: str) -> int:
        return len(seasoned("runs", "ls", "--json", *options).stdout.splitlines())

    assert (ids("--status", "failed"), ids("--status", "completed"), ids("--status", "waiting")) == (1, 1, 0)
    assert (ids("--conversation", "c1"), ids("--agent", "default"), ids("--agent", "other")) == (1, 2, 0)


def test_a_folder_without_a_store_has_no_runs_and_gets_none(seasoned: Command) -> None:
    assert "no runs yet" in seasoned("runs", "ls").stderr
    assert not (seasoned.folder / ".seasoned").exists()


def test_a_run_is_shown_as_a_tree(seasoned: Command) -> None:
    seasoned.run(LOOK, "five", options=["--tool", "list_files", "--root", "."])

    shown = seasoned("runs", "show", "last").stdout

    assert shown.startswith(f"run {seasoned.last_id()}  completed")
    assert "0 task: count the apples" in shown
    assert "model asks for 1 tool call" in shown
    assert '├─ list_files(path=".") → ' in shown
    assert "answer: five" in shown
    assert "30 tokens in all" in shown


def test_a_beginning_of_the_id_is_enough(seasoned: Command) -> None:
    seasoned.run("hi")
    trace_id = seasoned.last_id()

    assert trace_id in seasoned("runs", "show", trace_id[:12].upper()).stdout


def test_an_export_needs_nothing_else(seasoned: Command) -> None:
    seasoned.run(LOOK, "five", options=["--tool", "list_files", "--root", "."])

    document = json.loads(seasoned("runs", "export", "last").stdout)

    assert document["trace"]["task"] == "count the apples"
    calls = [step for step in document["steps"] if step["step_type"] == "llm_call"]
    assert [len(step["data"]["messages"]) for step in calls] == [1, 3]
    assert calls[1]["data"]["messages"][1]["tool_calls"][0]["function"]["name"] == "list_files"


def test_an_export_overwrites_nothing(seasoned: Command) -> None:
    seasoned.run("hi")
    seasoned("runs", "export", "last", "-o", "run.json")

    assert json.loads((seasoned.folder / "run.json").read_text())["format"] == 3
    assert "nothing is overwritten" in seasoned("runs", "export", "last", "-o", "run.json", code=2).stderr


def test_what_was_changed_is_found(seasoned: Command) -> None:
    seasoned.run("hi")
    seasoned.run("ho")
    intact = seasoned("runs", "verify").stdout
    with sqlite3.connect(seasoned.folder / ".seasoned" / "runs.db") as db:
        db.execute("update step set at = at + 1 where seq = 1 and trace = (select max(no) from trace)")
    db.close()

    changed = seasoned("runs", "verify", code=1)

    assert intact == "2 of 2 runs are as they were recorded\n"
    assert "was changed" in changed.stdout
    assert changed.stdout.endswith("1 of 2 runs are as they were recorded\n")
    assert [event["is_intact"] for event in seasoned.events(seasoned("runs", "verify", "--json", code=1).stdout)].count(False) == 1


def test_of_a_fork_it_is_said_that_what_it_goes_on_from_was_changed(seasoned: Command) -> None:
    seasoned.run("hi")
    parent_id = seasoned.last_id()
    fork_id = seasoned("fork", "last", "--at", "0").stdout.strip()
    with sqlite3.connect(seasoned.folder / ".seasoned" / "runs.db") as db:
        db.execute("update step set at = at + 1 where seq = 0 and trace = (select min(no) from trace)")
    db.close()

    lines = seasoned("runs", "verify", code=1).stdout.splitlines()

    assert [line.startswith(f"run {fork_id} goes on from one that was changed: ") for line in lines] == [True, False, False]
    assert parent_id in lines[1]
    assert lines[2] == "0 of 2 runs are as they were recorded"


def test_a_run_that_is_gone_or_cut_short_is_found_by_heads_that_were_kept(seasoned: Command) -> None:
    seasoned.run("hi")
    seasoned.run("ho")
    heads = seasoned("runs", "verify", "--print-head").stdout
    memory = seasoned("runs", "verify", "--memory", "--print-head").stdout
    (seasoned.folder / "heads.txt").write_text(heads + memory)
    seasoned("runs", "verify", "--heads", "heads.txt")
    as_json = seasoned("runs", "verify", "--json").stdout
    assert "1 of 1" not in seasoned("runs", "verify", "--heads", "-", stdin=as_json).stdout
    with sqlite3.connect(seasoned.folder / ".seasoned" / "runs.db") as db:
        db.execute("delete from step where trace = (select min(no) from trace)")
        db.execute("delete from trace where no = (select min(no) from trace)")
    db.close()

    gone = seasoned("runs", "verify", "--heads", "heads.txt", code=1)
    wrong = seasoned("runs", "verify", "last", "--head", heads.split()[3], code=1)

    assert seasoned("runs", "verify").stdout == "1 of 1 runs are as they were recorded\n"
    assert f"trace '{heads.split()[2]}' is gone" in gone.stdout
    assert "2 of 3 runs" in gone.stdout
    assert "none of its" in wrong.stdout
    assert "no head" in seasoned("runs", "verify", "--heads", "-", stdin="one\n", code=2).stderr
    assert "cannot be read" in seasoned("runs", "verify", "--heads", "nowhere.txt", code=2).stderr
    assert "name it" in seasoned("runs", "verify", "--head", "00", code=2).stderr
    assert "leave out the id" in seasoned("runs", "verify", "last", "--memory", code=2).stderr


def test_what_steps_said_is_erased_for_good_and_told(seasoned: Command) -> None:
    seasoned.run("my secret")

    assert "--yes" in seasoned("runs", "erase", "last", "--all", "--reason", "asked", code=2).stderr
    assert "say which" in seasoned("runs", "erase", "last", "--reason", "asked", "--yes", code=2).stderr
    assert "was erased" in seasoned("runs", "erase", "last", "--all", "--reason", "asked to", "--by", "Ann", "--yes").stderr

    shown = seasoned("runs", "show", "last").stdout
    assert "0 input (erased)" in shown
    assert "null" not in shown
    assert "0 experiences" not in shown
    assert f"{seasoned.last_trace()['total_tokens']} tokens in all" in shown
    assert "erased by Ann" in seasoned("runs", "verify", "last").stdout
    assert seasoned.events(seasoned("runs", "verify", "last", "--json").stdout)[0]["erased"][0]["reason"] == "asked to"
    assert "secret" not in seasoned("runs", "show", "last").stdout + seasoned("runs", "export", "last").stdout + seasoned("runs", "ls").stdout
    assert not [path for path in (seasoned.folder / ".seasoned").iterdir() if b"my secret" in path.read_bytes()]


def test_old_runs_are_removed_only_when_that_is_sure(seasoned: Command) -> None:
    seasoned.run("hi")

    looked = seasoned("runs", "prune", "--older-than", "0m", "--dry-run")
    refused = seasoned("runs", "prune", "--older-than", "0m", code=2)
    kept = seasoned("runs", "prune", "--older-than", "30d", "--yes")
    assert seasoned.last_id() in looked.stdout
    assert "--yes" in refused.stderr
    assert "0 runs were removed" in kept.stderr

    assert "1 runs were removed" in seasoned("runs", "prune", "--older-than", "0m", "--yes").stderr
    assert seasoned("runs", "ls", "--json").stdout == ""


def test_a_backup_becomes_a_store(seasoned: Command) -> None:
    seasoned.run("hi")
    trace_id = seasoned.last_id()

    seasoned("runs", "backup", "copy.db")
    seasoned("runs", "restore", "copy.db", "--db", "sqlite:///new.db")

    assert trace_id in seasoned("runs", "ls", "--db", "sqlite:///new.db").stdout
    assert "nothing is overwritten" in seasoned("runs", "backup", "copy.db", code=2).stderr
    assert "nothing is overwritten" in seasoned("runs", "restore", "copy.db", "--db", "sqlite:///new.db", code=2).stderr
    assert "not a database" in seasoned("runs", "restore", "script.json", "--db", "sqlite:///third.db", code=1).stderr


def test_a_step_is_shown_with_what_the_model_saw(seasoned: Command) -> None:
    seasoned.run(LOOK, "five", options=["--tool", "list_files", "--root", ".", "--system", "Be brief.", "--no-memory"])

    plain = seasoned("step", "show", "last/1").stdout
    with_messages = seasoned("step", "show", "last/1", "--messages").stdout
    as_json = json.loads(seasoned("step", "show", "last/1", "--messages", "--json").stdout)

    assert "step_type: llm_call" in plain
    assert "Be brief." not in plain
    assert "── system\nBe brief.\n── user\ncount the apples" in with_messages
    assert as_json["data"]["messages"][0] == {"role": "system", "content": "Be brief."}
    assert "only a model call" in seasoned("step", "show", "last/0", "--messages", code=2).stderr


def test_a_correction_is_learnt_and_told_to_later_runs(seasoned: Command) -> None:
    seasoned.run("five")

    given = seasoned("feedback", "add", "last", "--correction", "count the apples twice before you answer", "--by", "ada")
    later = seasoned.run("ten")

    assert "learnt as exp-" in given.stderr
    assert "memory: 1 experience, 0 skills" in later.stderr
    assert "twice before you answer" in seasoned("step", "show", "last/2", "--messages").stdout
    assert "memory:" not in seasoned.run("ten", options=["--no-memory"]).stderr


def test_praise_of_a_step_is_recorded_and_teaches_nothing(seasoned: Command) -> None:
    seasoned.run("five")

    told = json.loads(seasoned("feedback", "add", "last/2", "--positive", "quick", "--json").stdout)

    assert told["step_id"].endswith("/2")
    assert told["experience_id"] is None
    assert "positive feedback on" in seasoned("runs", "show", "last").stdout


def test_a_store_is_made_and_migrated(seasoned: Command) -> None:
    assert "made, with format" in seasoned("db", "migrate").stderr
    assert "already, the newest" in seasoned("db", "migrate").stderr


def test_a_killed_processs_run_says_how_to_go_on(seasoned: Command) -> None:
    process = seasoned.start("run", "x", "--model", seasoned.script({**ADD, "delay_s": 60}), "--json")
    assert process.stdout is not None
    assert "trace_started" in process.stdout.readline()
    process.kill()
    process.wait()

    shown = seasoned("runs", "tail", "last", code=3)
    listed = seasoned("runs", "ls")
    line = json.loads(seasoned("runs", "ls", "--json").stdout)

    assert f"seasoned resume {seasoned.last_id()}" in shown.stderr
    assert " interrupted " in listed.stdout
    assert "seasoned resume ID" in listed.stderr
    assert (line["status"], line["is_interrupted"]) == ("running", True)
    assert " interrupted" in seasoned("runs", "show", "last").stdout
    resolved = seasoned("approvals", "resolve", "last", "not_done", code=1).stderr
    assert f"the run was interrupted, its process is gone; go on with: seasoned resume {seasoned.last_id()}" in resolved


def test_a_run_that_goes_on_elsewhere_is_listed_as_running(seasoned: Command) -> None:
    process = seasoned.start("run", "x", "--model", seasoned.script({**ADD, "delay_s": 60}), "--json")
    assert process.stdout is not None
    assert "trace_started" in process.stdout.readline()

    listed = seasoned("runs", "ls")

    assert " running " in listed.stdout
    assert "interrupted" not in listed.stdout + listed.stderr
    process.kill()
    process.wait()


BY_DEFAULT = """
import asyncio
import agent


class Mine:
    async def __call__(self, messages, **_):
        return {"content": "hello", "model": "mine:small", "prompt_tokens": 1, "completion_tokens": 1}


async def main():
    async with agent.open_store("sqlite:///runs.db") as store:
        async with agent.AgentRunner(store.traces, store.memories, store.states, agent.ToolRegistry(), Mine()) as runner:
            async for _ in runner.run("say hello"):
                pass


asyncio.run(main())
"""


def test_where_no_model_was_named_a_run_is_shown_with_the_one_that_answered(seasoned: Command) -> None:
    subprocess.run([sys.executable, "-c", BY_DEFAULT], cwd=seasoned.folder, check=True)

    shown = seasoned("runs", "show", "last", "--db", "sqlite:///runs.db").stdout

    assert shown.splitlines()[1].startswith("default, mine:small, begun ")
    assert "gpt-4o" not in shown


def test_feedback_on_a_run_without_an_answer_asks_for_a_step(seasoned: Command) -> None:
    seasoned.run("never asked for", options=["--max-iterations", "0"], code=5)

    said = seasoned("feedback", "add", "last", "--positive", "good", code=2).stderr

    assert said == f"error: run {seasoned.last_id()} has no answer yet: name a step of it, as in {seasoned.last_id()}/0; `seasoned runs show` lists them\n"


def test_a_failed_run_that_is_followed_says_why_and_claims_no_times(seasoned: Command) -> None:
    seasoned.run(ADD, options=["--tool", "calculator"], code=1)

    told = seasoned("runs", "tail", "last", code=1).stderr.splitlines()

    assert told[:2] == ["● 1  model asks for 1 tool call · 15 tokens · $0", '   └─ calculator(expression="2 + 3") → 5']
    assert told[2].startswith("error: ")
    assert told[3] == "failed · 1 model call · 1 tool call · 15 tokens in all · $0"
