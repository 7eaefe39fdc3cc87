"""Ctrl-C, SIGTERM, kill -9, pause and cancel: real processes, real signals."""

import json
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest
from tests.cli.conftest import ADD, Command

pytestmark = pytest.mark.crash
SLOW = [{**ADD, "delay_s": 1.5}, {**ADD, "delay_s": 6}, "five"]  # long enough for another command to begin on a busy machine
OPTIONS = ["--tool", "calculator", "--json"]


def events_of(process: subprocess.Popen[str]) -> Iterator[str]:
    assert process.stdout is not None
    for line in process.stdout:
        yield json.loads(line)["type"]


def until(process: subprocess.Popen[str], event: str) -> None:
    assert event in events_of(process), "the run ended before"


def ending(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, told = process.communicate(timeout=30)
    return process.returncode, told


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_once_pauses_at_a_safe_point(seasoned: Command, number: signal.Signals) -> None:
    process = seasoned.start("run", "count", "--model", seasoned.script(*SLOW), "--tool", "calculator")
    assert process.stderr is not None
    while "calculator(" not in (line := process.stderr.readline()):
        assert line, "the run ended before"
    process.send_signal(number)

    code, told = ending(process)

    assert code == 3, told
    assert "pausing at the next safe point" in told
    assert f"seasoned resume {seasoned.last_id()}" in told
    assert seasoned.last_trace()["status"] == "paused"
    assert seasoned("resume", "last").stdout == "five\n"


def test_twice_stops_at_once_and_the_run_can_go_on(seasoned: Command) -> None:
    process = seasoned.start("run", "count", "--model", seasoned.script({**ADD, "delay_s": 60}, "five"), "--tool", "calculator")
    assert process.stderr is not None
    while "scripted:" not in process.stderr.readline() or not (seasoned.folder / ".seasoned" / "runs.db").exists():
        pass
    wait_for_a_run(seasoned)
    process.send_signal(signal.SIGINT)
    while "pausing" not in process.stderr.readline():
        pass
    began = time.monotonic()
    process.send_signal(signal.SIGINT)

    code, told = ending(process)

    assert code == 3, told
    assert time.monotonic() - began < 10
    assert "stopped; the run is on the record" in told
    seasoned.script(ADD, "five")
    assert seasoned("resume", "last").stdout == "five\n"


def wait_for_a_run(seasoned: Command) -> None:
    for _ in range(100):
        if seasoned("runs", "ls", "--json").stdout:
            return
    raise AssertionError("no run began")


def test_a_killed_run_goes_on_and_repeats_nothing(seasoned: Command) -> None:
    process = seasoned.start("run", "count", "--model", seasoned.script(*SLOW), *OPTIONS)
    until(process, "tool_result")
    process.kill()
    process.communicate()

    done = seasoned("resume", "last", "--json")

    events = seasoned.events(done.stdout)
    assert [event["type"] for event in events if event["type"] in ("llm_call_completed", "tool_executing", "trace_completed")] == [
        "llm_call_completed",
        "tool_executing",
        "llm_call_completed",
        "trace_completed",
    ]
    assert "calculator" in seasoned("runs", "show", "last").stdout
    assert seasoned("runs", "verify", "last").stdout.startswith("run ")


def test_a_run_is_paused_from_another_process(seasoned: Command) -> None:
    process = seasoned.start("run", "count", "--model", seasoned.script(*SLOW), *OPTIONS)
    until(process, "llm_call_completed")

    seasoned("pause", "last", "--by", "ada")

    assert ending(process)[0] == 3
    assert "paused by ada" in seasoned("runs", "show", "last").stdout


def test_a_run_is_cancelled_from_another_process(seasoned: Command) -> None:
    process = seasoned.start("run", "count", "--model", seasoned.script({**ADD, "delay_s": 60}, "five"), *OPTIONS)
    until(process, "step_started")

    seasoned("cancel", "last")

    assert ending(process)[0] == 4
    assert seasoned("resume", "last", code=4).stdout == ""
    assert "nothing to pause" in seasoned("pause", "last", code=1).stderr


def test_a_run_is_followed_from_another_process(seasoned: Command) -> None:
    process = seasoned.start("run", "count", "--model", seasoned.script(*SLOW), *OPTIONS)
    until(process, "step_started")

    followed = seasoned("runs", "tail", "last", "--json")

    types = [event["type"] for event in seasoned.events(followed.stdout)]
    assert types[0] == "trace_started"
    assert types[-1] == "trace_completed"
    assert ending(process)[0] == 0


def test_resume_of_a_living_run_watches_it_and_ctrl_c_leaves_it_alone(seasoned: Command) -> None:
    process = seasoned.start("run", "count", "--model", seasoned.script(*SLOW), *OPTIONS)
    until(process, "step_started")
    watching = seasoned.start("resume", "last")
    assert watching.stderr is not None
    assert "another process drives run" in watching.stderr.readline()
    watching.stderr.readline()
    watching.send_signal(signal.SIGINT)

    code, told = ending(watching)

    assert code == 3
    assert "that does not stop the run" in told
    assert ending(process)[0] == 0


def test_a_living_run_is_taken_over(seasoned: Command) -> None:
    process = seasoned.start("run", "count", "--model", seasoned.script({**ADD, "delay_s": 30}, "five"), *OPTIONS)
    until(process, "step_started")
    seasoned.script(ADD, "five, from elsewhere")

    taken = seasoned("resume", "last", "--take-over")

    assert taken.stdout == "five, from elsewhere\n"
    process.kill()
    process.communicate()
