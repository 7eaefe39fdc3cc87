"""Running, from the command line: what goes where, and the exit codes."""

import json
import subprocess
from pathlib import Path

from tests.cli.conftest import ADD, COMMAND, LOOK, Command

OWN_TOOLS = '''
import agent
registry = agent.ToolRegistry()

@registry.tool(effect="read")
def apples(day: str) -> int:
    """Count the apples of a day.

    Args:
        day: such as monday
    """
    return 7

@registry.tool(effect="unsafe", requires_confirmation=True)
def pay(to: str, amount: float) -> str:
    """Pay someone.

    Args:
        to: who
        amount: how much
    """
    raise AssertionError("nobody agreed")

@registry.tool(effect="read")
def broken() -> str:
    """Break."""
    raise RuntimeError("it broke")
'''


def test_the_answer_alone_goes_to_stdout(seasoned: Command) -> None:
    done = seasoned.run(ADD, "five apples", options=["--tool", "calculator"])

    assert done.stdout == "five apples\n"
    assert 'calculator(expression="2 + 3") → 5' in done.stderr
    assert "done" in done.stderr
    assert f"seasoned runs show {seasoned.last_id()}" in done.stderr
    assert "seasoned feedback add" in done.stderr


def test_a_script_is_labelled_as_one(seasoned: Command) -> None:
    assert "scripted: the replies come from script.json; no model is asked" in seasoned.run("hi").stderr


def test_a_run_without_tools_says_so(seasoned: Command) -> None:
    assert "tools: none (offer some with --tool)" in seasoned.run("hi").stderr


def test_the_record_is_made_in_the_working_folder_and_kept_out_of_version_control(seasoned: Command) -> None:
    seasoned.run("hi")

    assert (seasoned.folder / ".seasoned" / "runs.db").is_file()
    assert (seasoned.folder / ".seasoned" / ".gitignore").read_text() == "*\n"
    assert (seasoned.folder / ".seasoned").stat().st_mode & 0o077 == 0


def test_another_store_is_named_by_option_or_environment(seasoned: Command) -> None:
    seasoned.run("hi", options=["--db", "sqlite:///one.db"])
    seasoned("run", "hi", "--model", "scripted:script.json", SEASONED_DB="sqlite:///two.db")

    assert {path.name for path in seasoned.folder.glob("*.db")} == {"one.db", "two.db"}
    assert len(seasoned("runs", "ls", "--json", "--db", "sqlite:///one.db").stdout.splitlines()) == 1


def test_what_to_try_next_finds_the_same_store_again(seasoned: Command) -> None:
    told = seasoned.run("hi", options=["--db", "sqlite:///my runs.db", "--uid", "ada"]).stderr

    (line,) = [line for line in told.splitlines() if "runs show" in line]
    shown = subprocess.run(line, shell=True, cwd=seasoned.folder, env=seasoned.env, capture_output=True, text=True, check=True)
    assert "answer: hi" in shown.stdout


def test_of_a_store_in_memory_nothing_is_promised(seasoned: Command) -> None:
    told = seasoned.run("hi", options=["--db", "memory://"]).stderr

    assert "gone now" in told
    assert "runs show" not in told


def test_json_is_one_event_a_line(seasoned: Command) -> None:
    done = seasoned.run(LOOK, "five", options=["--tool", "list_files", "--root", ".", "--json"])

    events = seasoned.events(done.stdout)
    assert all(event.keys() == {"type", "data"} and event["data"]["trace_id"] for event in events)
    assert [event["type"] for event in events if event["type"] != "token"] == [
        "trace_started", "memory_loaded", "step_started", "llm_call_completed", "tool_executing", "tool_result", "step_started", "llm_call_completed",
        "conclusion", "trace_completed",
    ]  # fmt: skip
    assert done.stderr == ""


def test_a_task_is_read_from_stdin(seasoned: Command) -> None:
    model = seasoned.script("hi")

    seasoned("run", "-", "--model", model, stdin="数一数苹果\n")

    assert seasoned.last_trace()["task"] == "数一数苹果\n"


def test_ones_own_tools_are_offered_beside_built_in_ones(seasoned: Command) -> None:
    (seasoned.folder / "my_tools.py").write_text(OWN_TOOLS)
    calls = {"tool_calls": [{"name": "apples", "arguments": {"day": "monday"}}, {"name": "calculator", "arguments": {"expression": "7*2"}}]}

    done = seasoned.run(calls, "fourteen", options=["--tools", "my_tools:registry,calculator"])

    assert 'apples(day="monday") → 7' in done.stderr
    assert 'calculator(expression="7*2") → 14' in done.stderr


def test_a_call_that_needs_a_person_ends_with_3_and_is_listed(seasoned: Command) -> None:
    (seasoned.folder / "my_tools.py").write_text(OWN_TOOLS)
    calls = {"tool_calls": [{"name": "pay", "arguments": {"to": "eve", "amount": 3}}, {"name": "apples", "arguments": {"day": "monday"}}]}

    done = seasoned.run(calls, "never", options=["--tools", "my_tools:registry"], code=3)
    again = seasoned("resume", "last", code=3)

    for shown in (done, again):
        assert shown.stdout == ""
        assert 'waits: pay(to="eve", amount=3): needs a person\'s agreement' in shown.stderr
        assert f"seasoned approvals approve {seasoned.last_id()}" in shown.stderr
    assert 'apples(day="monday") → 7' in done.stderr
    assert seasoned.last_trace()["status"] == "waiting"


def test_a_failing_tool_does_not_fail_the_run(seasoned: Command) -> None:
    (seasoned.folder / "my_tools.py").write_text(OWN_TOOLS)

    done = seasoned.run({"tool_calls": [{"name": "broken"}]}, "sorry", options=["--tools", "my_tools:registry"])

    assert "broken() ✗" in done.stderr
    assert "it broke" in done.stderr


def test_a_failing_model_ends_with_1_and_can_be_resumed(seasoned: Command) -> None:
    failed = seasoned.run(LOOK, options=["--tool", "list_files", "--root", "."], code=1)
    seasoned.script(LOOK, "now it works")

    assert "error: the script has 1 reply and was asked for number 2" in failed.stderr
    assert f"seasoned resume {seasoned.last_id()}" in failed.stderr
    assert seasoned("resume", "last").stdout == "now it works\n"


def test_the_limit_ends_with_5_and_resume_raises_it(seasoned: Command) -> None:
    limited = seasoned.run(ADD, "what I have", ADD, "the end", options=["--tool", "calculator", "--max-iterations", "1"], code=5)
    refused = seasoned("resume", "last", code=5)

    assert "limit reached: max_iterations = 1" in limited.stderr
    assert limited.stdout == "what I have\n"
    assert "--max-iterations" in refused.stderr
    assert seasoned("resume", "last", "--max-iterations", "5").stdout == "the end\n"


def test_any_limit_is_given_by_name_and_raised_by_name(seasoned: Command) -> None:
    calculator = ["--tool", "calculator"]
    limited = seasoned.run(ADD, ADD, "what I have", options=[*calculator, "--limit", "max_tool_calls=1"], code=5)
    refused = seasoned("resume", "last", code=5)
    wrong = seasoned("resume", "last", "--limit", "max_fun=1", code=2)

    assert "limit reached: max_tool_calls = 1" in limited.stderr
    assert f"seasoned resume {seasoned.last_id()} --limit max_tool_calls=10" in limited.stderr
    assert "--limit max_tool_calls=" in refused.stderr
    assert "the names are max_iterations, max_tool_calls" in wrong.stderr
    assert "no whole number" in seasoned("resume", "last", "--limit", "max_tool_calls=many", code=2).stderr
    seasoned.script(ADD, ADD, "what I have", "the end")
    assert seasoned("resume", "last", "--limit", "max_tool_calls=5").stdout == "the end\n"


def test_the_hint_of_a_limit_is_above_what_was_used_and_a_lower_one_is_refused_in_the_words_of_the_shell(seasoned: Command) -> None:
    limited = seasoned.run(ADD, "what I have", ADD, "the end", options=["--tool", "calculator", "--limit", "max_total_tokens=10"], code=5)
    (hint,) = [line.strip() for line in limited.stderr.splitlines() if "--limit" in line]
    refused = seasoned("resume", "last", "--limit", "max_total_tokens=20", code=5).stderr

    assert hint.endswith("--limit max_total_tokens=60")
    assert "has used 30 of it" in refused
    assert "--limit max_total_tokens=60" in refused
    assert "limits={" not in refused
    assert seasoned(*hint.split()[1:]).stdout == "the end\n"


def test_limits_of_the_file_hold_and_a_daily_one_refuses_the_next_run(seasoned: Command) -> None:
    (seasoned.folder / "seasoned.toml").write_text("[limits]\nmax_runs_per_day = 1\nmax_total_tokens = 1\nmax_repeated_calls = 3")
    limited = seasoned.run(ADD, "what I have", options=["--tool", "calculator"], code=5)
    refused = seasoned.run("hi", code=5)

    assert "limit reached: max_total_tokens = 1" in limited.stderr
    assert "max_runs_per_day=1 today: it may go on from" in refused.stderr


def test_with_a_schema_stdout_is_the_json_of_the_answer(seasoned: Command) -> None:
    (seasoned.folder / "schema.json").write_text('{"type": "object", "properties": {"apples": {"type": "integer"}}, "required": ["apples"]}')
    (seasoned.folder / "none.json").write_text("[]")
    done = seasoned.run("three", '```json\n{"apples": 3}\n```', options=["--output-schema", "schema.json"])
    failed = seasoned.run("three", "3 apples", "[3]", options=["--output-schema", "schema.json"], code=1)
    none = seasoned.run("hi", options=["--output-schema", "none.json"], code=2)

    assert done.stdout == '{"apples": 3}\n'
    assert "does not fit the output type" in failed.stderr
    assert failed.stdout == ""
    assert "holds no JSON schema" in none.stderr
    assert "cannot be read as JSON" in seasoned.run("hi", options=["--output-schema", "missing.json"], code=2).stderr


def test_a_conversation_goes_on(seasoned: Command) -> None:
    seasoned.run("one", options=["--conversation", "c1"])
    seasoned.run("two", options=["--conversation", "c1"])

    shown = seasoned("step", "show", "last/2", "--messages").stdout
    assert "── assistant\none" in shown


def test_resume_of_a_completed_run_repeats_its_answer(seasoned: Command) -> None:
    seasoned.run("hi")

    again = seasoned("resume", "last")
    assert again.stdout == "hi\n"
    assert "is completed already" in again.stderr


def test_a_reader_that_goes_away_does_not_stop_the_run(seasoned: Command) -> None:
    model = seasoned.script({**ADD, "delay_s": 0.3}, "five")
    process = seasoned.start("run", "count", "--model", model, "--tool", "calculator", "--json")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    process.wait(30)

    assert seasoned.last_trace()["status"] == "completed"
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read()


def test_text_that_the_encoding_lacks_is_written_all_the_same(seasoned: Command) -> None:
    model = seasoned.script("数")

    done = subprocess.run(
        [COMMAND, "run", "x", "--model", model],
        cwd=seasoned.folder,
        env=seasoned.env | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        timeout=60,
        check=True,
    )

    assert done.stdout == b"\\u6570\n"


def test_another_uids_runs_are_as_if_they_were_not_there(seasoned: Command) -> None:
    seasoned.run("hi", options=["--uid", "ada"])
    trace_id = json.loads(seasoned("runs", "ls", "--json", "--uid", "ada").stdout)["trace_id"]

    assert seasoned("runs", "ls", "--json").stdout == ""
    for command in (
        ["runs", "show"],
        ["runs", "export"],
        ["runs", "tail"],
        ["runs", "verify"],
        ["resume"],
        ["pause"],
        ["cancel"],
        ["feedback", "add", "--positive", "x"],
    ):
        refused = seasoned(*command, trace_id, "--uid", "eve", code=2)
        assert f"no trace '{trace_id}'" in refused.stderr
    assert seasoned("step", "show", f"{trace_id}/0", "--uid", "eve", code=2).stdout == ""
    assert seasoned("runs", "show", trace_id[:20], SEASONED_UID="ada").stdout != ""


def test_nothing_of_the_environment_is_needed_to_go_on(seasoned: Command, tmp_path: Path) -> None:
    (seasoned.folder / "my_tools.py").write_text(OWN_TOOLS)
    calls = {"tool_calls": [{"name": "apples", "arguments": {"day": "monday"}}, {"name": "list_files"}]}
    seasoned.run(options=[], code=2)
    seasoned.run(calls, options=["--tools", "my_tools:registry,list_files", "--root", "."], code=1)
    seasoned.script(calls, {"tool_calls": [{"name": "apples", "arguments": {"day": "friday"}}]}, "seven")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    db = f"sqlite:///{seasoned.folder}/.seasoned/runs.db"
    seasoned.folder = elsewhere

    done = seasoned("resume", "last", "--db", db)

    assert done.stdout == "seven\n"
    assert 'apples(day="friday") → 7' in done.stderr


def test_a_store_from_elsewhere_opens_no_folder_and_loads_no_code(seasoned: Command) -> None:
    (seasoned.folder / "my_tools.py").write_text(OWN_TOOLS + "\nprint('loaded')\n")
    calls = {"tool_calls": [{"name": "apples", "arguments": {"day": "monday"}}, {"name": "list_files"}]}
    seasoned.run(calls, options=["--tools", "my_tools:registry,list_files", "--root", "."], code=1)
    for kept in (Path(seasoned.env["XDG_STATE_HOME"]) / "seasoned" / "grants").iterdir():
        kept.unlink()

    refused = seasoned("resume", "last", code=2)

    assert "loaded" not in refused.stdout
    assert "--root DIR" in refused.stderr or "module:registry" in refused.stderr
