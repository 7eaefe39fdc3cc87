"""What a person at a terminal sees: a live tree, colours only there, and no stranger's control characters anywhere."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from typing import Any

from tests.cli.conftest import ADD, COMMAND, LOOK, Command

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x1b[31mred\x9b1m [bold]not bold[/bold] \u202eleft\u2066 \x08\x08 end"
HIDDEN = ("\x1b]0;owned", "\x1b[2J", "\x07", "\x9b", "\u202e", "\u2066", "\x08")


TAKE_TERMINAL = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
Keys = list[tuple[str, bytes]]


def on_terminal(seasoned: Command, *arguments: str, lines: int = 24, columns: int = 80, keys: Keys | None = None, **env: str) -> tuple[int, str]:
    """Return the exit code and all that a terminal was sent; `keys` are typed when their text has appeared."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-c", TAKE_TERMINAL, COMMAND, *arguments],
        cwd=seasoned.folder,
        env={**seasoned.env, "TERM": "xterm-256color", **env},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown, waiting, until = b"", list(keys or []), time.monotonic() + 60
    try:
        while time.monotonic() < until:
            if waiting and waiting[0][0].encode() in shown:
                os.write(ours, waiting.pop(0)[1])
            if not select.select([ours], [], [], 0.1)[0]:
                continue
            try:
                piece = os.read(ours, 65536)
            except OSError:
                break
            if not piece:
                break
            shown += piece
    finally:
        os.close(ours)
        code = process.wait(30)
    return code, shown.decode("utf-8", "replace")


def test_a_live_tree_is_drawn_and_left_whole(seasoned: Command) -> None:
    model = seasoned.script({**LOOK, "delay_s": 0.5}, {"content": "five apples", "delay_s": 0.5})

    code, shown = on_terminal(seasoned, "run", "count", "--model", model, "--tool", "list_files", "--root", ".")

    assert code == 0, shown
    assert "is asked …" in shown  # while it went on
    assert "list_files(" in shown
    assert "\x1b[?25l" in shown  # the cursor is hidden
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")  # and shown again
    assert "five apples\r\n" in shown


def test_a_terminal_gets_colours_and_nothing_else_does(seasoned: Command) -> None:
    model = seasoned.script(ADD, "five")
    options = ["run", "count", "--model", model, "--tool", "calculator"]

    assert "\x1b[36m" in on_terminal(seasoned, *options)[1]
    assert "\x1b[3" not in on_terminal(seasoned, *options, NO_COLOR="1")[1]
    assert "\x1b" not in on_terminal(seasoned, *options, TERM="dumb")[1]
    piped = seasoned(*options)
    assert "\x1b" not in piped.stderr + piped.stdout
    assert "\x1b" not in seasoned("runs", "ls").stdout + seasoned("runs", "show", "last").stdout + seasoned("doctor", code=None).stdout


def test_text_of_strangers_is_shown_and_never_obeyed(seasoned: Command) -> None:
    (seasoned.folder / "hostile.py").write_text(
        f"import agent\nregistry = agent.ToolRegistry()\n@registry.tool(effect='read')\ndef look(at: str) -> str:\n    'Look.'\n    return {HOSTILE!r}\n"
    )
    calls: dict[str, Any] = {"content": HOSTILE, "tool_calls": [{"name": "look", "arguments": {"at": HOSTILE}}, {"name": "\x1b[2Jevil", "arguments": "{"}]}
    model = seasoned.script(calls, HOSTILE)

    _, ran = on_terminal(seasoned, "run", HOSTILE, "--model", model, "--tools", "hostile:registry")
    _, listed = on_terminal(seasoned, "runs", "ls")
    _, drawn = on_terminal(seasoned, "runs", "show", "last")
    _, step = on_terminal(seasoned, "step", "show", "last/2", "--messages")

    for shown in (ran, listed, drawn, step):
        assert [sign for sign in HIDDEN if sign in shown] == []
    assert "␛]0;owned␇" in ran
    assert "[bold]not bold[/bold]" in ran


def test_a_pipe_gets_the_answer_as_it_is(seasoned: Command) -> None:
    assert seasoned.run("a\x1b[31mb").stdout == "a\x1b[31mb\n"


def test_ctrl_c_at_a_terminal_pauses(seasoned: Command) -> None:
    model = seasoned.script({**ADD, "delay_s": 1}, {**ADD, "delay_s": 1}, "five")

    code, shown = on_terminal(seasoned, "run", "count", "--model", model, "--tool", "calculator", keys=[("calculator(", b"\x03")])

    assert code == 3
    assert "pausing at the next safe point" in shown
    assert "seasoned resume" in shown
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")


def test_more_tools_than_lines_fit_the_terminal(seasoned: Command) -> None:
    calls = [{"name": "calculator", "arguments": {"expression": f"{number} + 1"}} for number in range(40)]
    model = seasoned.script({"tool_calls": calls, "delay_s": 0.3}, "done")

    code, shown = on_terminal(seasoned, "run", "count", "--model", model, "--tool", "calculator", lines=10, columns=40)

    assert code == 0, shown
    assert "39 + 1" in shown


def test_a_chat_ends_with_ctrl_d(seasoned: Command) -> None:
    code, shown = on_terminal(seasoned, "chat", "--model", seasoned.script("hello"), keys=[("> ", b"\x04")])

    assert code == 0, shown


def test_a_chat_outlives_ctrl_c(seasoned: Command) -> None:
    model = seasoned.script("hello")
    keys = [("> ", b"hi\n"), ("feedback add", b"\x03"), ("Ctrl-C again", b"ho\n"), ("> ho", b"/id\n"), ("> /id", b"/quit\n")]

    code, shown = on_terminal(seasoned, "chat", "--model", model, keys=keys)

    assert code == 0, shown
    assert shown.count("hello\r\n") == 2
    assert len({event["conversation_id"] for event in seasoned.events(seasoned("runs", "ls", "--json").stdout)}) == 1


def test_prune_asks_at_a_terminal(seasoned: Command) -> None:
    seasoned.run("hi")

    code, shown = on_terminal(seasoned, "runs", "prune", "--older-than", "0m", keys=[("for good?", b"n\n")])

    assert code == 1, shown
    assert seasoned.last_id()
