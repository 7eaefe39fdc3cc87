"""The real command, in a folder and a home of its own, with a model that plays a script."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

COMMAND = shutil.which("seasoned", path=str(Path(sys.executable).parent)) or "seasoned"
TIMEOUT_S = 60.0
LOOK = {"content": "I look.", "tool_calls": [{"name": "list_files", "arguments": {"path": "."}}]}
ADD = {"tool_calls": [{"name": "calculator", "arguments": {"expression": "2 + 3"}}]}


class Command:
    """Runs `seasoned` as a person would, without keys, colours or settings of this machine."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        self.begun: list[subprocess.Popen[str]] = []
        self.env = {
            "PATH": f"{Path(COMMAND).parent}:{os.environ['PATH']}",
            "HOME": str(home),
            "XDG_STATE_HOME": str(home / "state"),
            "PYTHONUNBUFFERED": "1",
            "LANG": "C.UTF-8",
            **{name: value for name, value in os.environ.items() if name.startswith("COVERAGE") or name == "PYTHONPATH"},
        }

    def __call__(self, *arguments: str, stdin: str | None = None, code: int | None = 0, **env: str) -> subprocess.CompletedProcess[str]:
        """Return what a call printed; its exit code is `code`."""
        done = subprocess.run(
            [COMMAND, *arguments],
            cwd=self.folder,
            env=self.env | env,
            input=stdin if stdin is not None else "",
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=TIMEOUT_S,
            check=False,
        )
        assert code is None or done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    def start(self, *arguments: str, **env: str) -> subprocess.Popen[str]:
        """Begin a call and return its process."""
        process = subprocess.Popen(
            [COMMAND, *arguments],
            cwd=self.folder,
            env=self.env | env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self.begun.append(process)
        return process

    def close(self) -> None:
        """End what is still going on."""
        for process in self.begun:
            process.kill()
            process.wait(TIMEOUT_S)
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()

    def script(self, *replies: Any, name: str = "script.json") -> str:
        """Write a script and return the model that plays it."""
        (self.folder / name).write_text(json.dumps(list(replies)), encoding="utf-8")
        return f"scripted:{name}"

    def run(self, *replies: Any, options: Sequence[str] = (), code: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run a task on a script; the answer is its last reply."""
        return self("run", "count the apples", "--model", self.script(*replies), *options, code=code)

    def events(self, output: str) -> list[dict[str, Any]]:
        """Return the lines of `--json`."""
        return [json.loads(line) for line in output.splitlines()]

    def last_id(self) -> str:
        """Return the newest run's id."""
        return str(json.loads(self("runs", "ls", "--json", "--limit", "1").stdout)["trace_id"])

    def last_trace(self) -> dict[str, Any]:
        """Return the newest run."""
        trace: dict[str, Any] = json.loads(self("runs", "ls", "--json", "--limit", "1").stdout)
        return trace


@pytest.fixture
def seasoned(tmp_path: Path) -> Iterator[Command]:
    folder, home = tmp_path / "folder", tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    command = Command(folder, home)
    yield command
    command.close()
