"""Words on the command line that break software: done, or refused in one sentence that no terminal obeys."""

import os
import subprocess

import pytest
from tests.cli.conftest import COMMAND, TIMEOUT_S, Command

UNSEEN = (b"\x1b", b"\x9b", b"\x00", "\u202e".encode())


def call(seasoned: Command, *arguments: bytes | str) -> tuple[int, bytes]:
    """Return the exit code and what was said of it; arguments may be no text at all."""
    words = [word if isinstance(word, bytes) else os.fsencode(word) for word in arguments]
    done = subprocess.run([COMMAND.encode(), *words], cwd=seasoned.folder, env=seasoned.env, input=b"", capture_output=True, timeout=TIMEOUT_S, check=False)
    assert b"Traceback" not in done.stderr
    assert [sign for sign in UNSEEN if sign in done.stderr] == []
    return done.returncode, done.stderr


@pytest.mark.parametrize("task", [b"\xff\xfe no text", "\u202etxt.exe", "--help", "{{7*7}}", "x" * 100_000, "a\r\nb", "$(touch x)", "\x1b[2J"], ids=ascii)
def test_any_words_may_be_a_task(task: bytes | str, seasoned: Command) -> None:
    code, said = call(seasoned, "run", "--model", seasoned.script("fine"), "--", task)

    assert code == 0, said


@pytest.mark.parametrize(
    "words",
    [
        ("runs", "show", b"\xff"), ("runs", "ls", "--uid", b"\xff"), ("step", "show", "last/\x1b"), ("resume", b"\xff\x1b"),
        ("cancel", "x" * 50_000), ("replay", "\x1b[31m"),
    ],
    ids=lambda words: words[0],
)  # fmt: skip
def test_any_words_may_name_nothing(words: tuple[bytes | str, ...], seasoned: Command) -> None:
    seasoned.run("hi")

    code, said = call(seasoned, *words)

    assert code == 2, said
    assert said.count(b"\n") == 1
    assert len(said) < 1_000
