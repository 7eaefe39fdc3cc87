"""Run every code block of a page of documentation, in order, in an empty folder: `python tests/run_page.py docs/page.md`.

CONTRIBUTING.md ("Code in the docs") says what a writer can put above a block. Models are answered by a server on loopback.
"""

import ast
import asyncio
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import threading
import tomllib
from collections import deque
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

from agent.llm.endpoints import ENDPOINTS, variable_of

ROOT = Path(__file__).resolve().parent.parent
COMMAND_S = 60  # what one command may take
MAY_BE_SKIPPED = ("set-up", "needs a key")
RUN = {"python", "bash", "sh", "shell", "console"}
PARSED = {"json": json.loads, "toml": tomllib.loads}
FENCE = re.compile(r"(?P<indent> *)(?P<ticks>`{3,}|~{3,}) *(?P<language>[\w+-]*)")
MARK = re.compile(r" *<!-- test: *(?P<kind>\w+) *: *(?P<value>.*?) *-->")


class BadPage(Exception):
    """A page that cannot be run as it is written."""


class Block(NamedTuple):
    """One fenced block; `line` is that of its fence, counted from 1."""

    line: int
    language: str
    text: str
    marks: dict[str, str]


def blocks_of(page: str) -> Iterator[Block]:
    """Yield the fenced blocks of a page; comments right above a fence are its marks."""
    marks: dict[str, str] = {}
    lines = enumerate(page.splitlines(), 1)
    for number, line in lines:
        if mark := MARK.fullmatch(line):
            marks[mark["kind"]] = mark["value"]
        elif fence := FENCE.match(line):
            inside: list[str] = []
            for _, text in lines:
                if text.strip() == fence["ticks"]:
                    break
                inside.append(text)
            else:
                raise BadPage(f"line {number}: the block has no end")
            yield Block(number, fence["language"], textwrap.dedent("\n".join(inside)) + "\n", marks)
            marks = {}
        elif line.strip() and marks:
            raise BadPage(f"line {number}: a mark has to stand right above a block")


def check_marks(block: Block) -> None:
    """Raise BadPage where the marks of a block are unknown or lack what they need."""
    if unknown := block.marks.keys() - {"skip", "file", "replies", "exit"}:
        raise BadPage(f"unknown marks {sorted(unknown)}: there are skip, file, replies, exit")
    if "skip" in block.marks and not re.match(rf"({'|'.join(MAY_BE_SKIPPED)})\b.{{10,}}", block.marks["skip"]):
        raise BadPage(f"a block is skipped only for {' or '.join(MAY_BE_SKIPPED)}, followed by the reason in words")
    if block.language == "pycon" or (block.language == "python" and block.text.startswith(">>>")):
        raise BadPage("write plain python, without >>>")


class Model(ThreadingHTTPServer):
    """Speaks OpenAI's chat completions on loopback and gives the replies that the page lists, then `Done.` for ever."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.replies: deque[Any] = deque()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def next_message(self) -> dict[str, Any]:
        """Return the next reply as an assistant message."""
        reply = self.replies.popleft() if self.replies else "Done."
        if isinstance(reply, str):
            return {"role": "assistant", "content": reply}
        calls = [
            {"index": n, "id": f"call_{n}", "type": "function", "function": {"name": call["tool"], "arguments": json.dumps(call.get("arguments", {}))}}
            for n, call in enumerate(reply if isinstance(reply, list) else [reply])
        ]
        return {"role": "assistant", "content": None, "tool_calls": calls}


class _Answer(BaseHTTPRequestHandler):
    server: Model

    def do_GET(self) -> None:
        self._send("application/json", json.dumps({"object": "list", "data": [{"id": "scripted", "object": "model"}]}))

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        message = self.server.next_message()
        ending = "tool_calls" if "tool_calls" in message else "stop"
        head = {"id": "reply", "created": 0, "model": asked.get("model", "scripted"), "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}}
        if not asked.get("stream"):
            whole = head | {"object": "chat.completion", "choices": [{"index": 0, "message": message, "finish_reason": ending}]}
            self._send("application/json", json.dumps(whole))
            return
        choice = {"index": 0, "delta": message, "finish_reason": None}
        parts: list[dict[str, Any]] = [{"choices": [choice], "usage": None}, {"choices": [{"index": 0, "delta": {}, "finish_reason": ending}]}]
        lines = [f"data: {json.dumps(head | {'object': 'chat.completion.chunk'} | part)}\n\n" for part in parts]
        self._send("text/event-stream", "".join(lines) + "data: [DONE]\n\n")

    def _send(self, content_type: str, body: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the page's own output is what counts."""


def environment_of(home: Path, base_url: str) -> dict[str, str]:
    """Return a clean environment in which every chat provider is the model on loopback."""
    chat = [endpoint for endpoint in ENDPOINTS.values() if endpoint.way == "chat"]
    kept = {name: value for name, value in os.environ.items() if name in {"LANG", "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG", "VIRTUAL_ENV"}}
    urls = {variable_of(endpoint, "_BASE_URL"): base_url for endpoint in chat}
    keys = {name: "a-key-for-loopback" for endpoint in chat for name in endpoint.key_names}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return kept | urls | keys | {"HOME": str(home), "PATH": path, "SEASONED_MODEL": "openai:scripted", "NO_COLOR": "1", "COLUMNS": "120"}


class Page:
    """The state in which the blocks of one page run, one after the other."""

    def __init__(self, path: Path, model: Model, runner: asyncio.Runner) -> None:
        self.path, self.model, self.runner = path, model, runner
        self.namespace: dict[str, Any] = {"__name__": "__main__"}

    def run(self, block: Block) -> None:
        """Do with `block` what its language and its marks ask for; raise where that fails."""
        check_marks(block)
        if "replies" in block.marks:
            self.model.replies = deque(json.loads(block.marks["replies"]))
        if block.language in PARSED:
            PARSED[block.language](block.text)
        if "file" in block.marks:
            target = Path(block.marks["file"])
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.text)
        elif "skip" in block.marks or block.language not in RUN:
            return
        elif block.language == "python":
            self._python(block)
        elif block.language == "console":
            self._console(block)
        else:
            self._bash(block.text, int(block.marks.get("exit", 0)))

    def _python(self, block: Block) -> None:
        code = compile("\n" * block.line + block.text, self.path, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        if code.co_flags & inspect.CO_COROUTINE:
            self.runner.run(eval(code, self.namespace))  # the documentation's own code, as its reader would run it
        else:
            exec(code, self.namespace)

    def _console(self, block: Block) -> None:
        """Run the lines after `$`; what stands below each must be in its output, in that order; `…` is anything."""
        *_, last = commands = re.split(r"(?m)^\$ ", block.text)[1:]
        for command in commands:
            first, *expected = re.split(r"(?<!\\)\n", command.strip("\n"))
            shown = self._bash(first, int(block.marks.get("exit", 0)) if command is last else 0)
            wanted = ".*".join(re.escape(line.strip()).replace("…", ".*") for line in expected if line.strip())
            wanted = re.sub(r"(\.\*)+", ".*", wanted)  # several in a row mean the same and take for ever
            if not re.search(wanted, shown, re.DOTALL):
                raise BadPage(f"{first!r} shows\n{shown}\nbut the page says\n" + "\n".join(expected))

    def _bash(self, text: str, exit_code: int) -> str:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )
        if done.returncode != exit_code:
            raise BadPage(f"exit code {done.returncode}, not {exit_code}:\n{text}\n{done.stdout}")
        return done.stdout


def run_page(path: Path) -> None:
    """Run all blocks of a page in a new folder that holds `examples/`; raise BadPage at the first that fails."""
    page = path.read_text()
    with tempfile.TemporaryDirectory() as folder, Model() as model, asyncio.Runner() as runner:
        os.environ |= (env := environment_of(Path(folder), model.base_url))
        for name in os.environ.keys() - env.keys():
            del os.environ[name]
        if (ROOT / "examples").is_dir():
            shutil.copytree(ROOT / "examples", Path(folder) / "examples")
        os.chdir(folder)
        sys.path.insert(0, folder)
        state = Page(path, model, runner)
        for block in blocks_of(page):
            try:
                state.run(block)
            except Exception as error:
                raise BadPage(f"{path.name}:{block.line}: {type(error).__name__}: {error}") from error
        os.chdir(ROOT)
        model.shutdown()


if __name__ == "__main__":
    for page_name in sys.argv[1:]:
        run_page(Path(page_name).resolve())
