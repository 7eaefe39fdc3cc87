"""A server in the test's own process that speaks the format of chat completions, well and badly."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

KEY = "sk-test-0123456789abcdef"


class ChatServer:
    """Answers each request with the next of `answers`; keeps what it was asked in `requests` (bodies) and `headers`."""

    def __init__(self) -> None:
        self.answers: deque[Callable[[asyncio.StreamWriter], Any]] = deque()
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.asked = asyncio.Event()
        self.closing = asyncio.Event()
        self.url = ""

    # ---- what it answers

    def says(self, message: dict[str, Any], *, finish_reason: str | None = "stop", usage: Any = None, **more: Any) -> None:
        """Answer with one whole completion that holds `message`."""
        choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish_reason}
        self.sends({"id": "chatcmpl-1", "object": "chat.completion", "model": "served", "choices": [choice], "usage": usage, **more})

    def sends(self, payload: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> None:
        """Answer with `payload`, as JSON unless it is text."""
        body = payload.encode() if isinstance(payload, str) else json.dumps(payload).encode()
        self.answers.append(lambda writer: writer.write(_head(status, {"content-length": str(len(body)), **(headers or {})}) + body))

    def streams(
        self,
        *deltas: dict[str, Any],
        finish_reason: str | None = "stop",
        usage: Any = None,
        tail: tuple[Any, ...] = (),
        ends: str = "done",
    ) -> None:
        """Answer with a stream of `deltas`; `ends` is `done` (all is well), `silent` (closed early) or `broken` (connection reset)."""
        chunks: list[Any] = [{"id": "chatcmpl-1", "model": "served", "choices": [{"index": 0, "delta": delta}]} for delta in deltas]
        if finish_reason and ends == "done":
            chunks.append({"id": "chatcmpl-1", "choices": [{"index": 0, "delta": {}, "finish_reason": finish_reason}]})
        if usage and ends == "done":
            chunks.append({"id": "chatcmpl-1", "choices": [], "usage": usage})
        chunks += tail

        def write(writer: asyncio.StreamWriter) -> None:
            writer.write(_head(200, {"content-type": "text/event-stream", "transfer-encoding": "chunked"}))
            for chunk in chunks:
                _piece(writer, f"data: {chunk if isinstance(chunk, str) else json.dumps(chunk)}\n\n")
            if ends == "done":
                _piece(writer, "data: [DONE]\n\n")
            if ends != "broken":
                writer.write(b"0\r\n\r\n")

        self.answers.append(write)

    def hangs(self) -> None:
        """Take the request and never answer."""
        self.answers.append(lambda _: self.closing.wait())

    def stalls(self, *deltas: dict[str, Any]) -> None:
        """Begin a stream and fall silent in it."""

        async def write(writer: asyncio.StreamWriter) -> None:
            writer.write(_head(200, {"content-type": "text/event-stream", "transfer-encoding": "chunked"}))
            for delta in deltas:
                _piece(writer, f"data: {json.dumps({'choices': [{'index': 0, 'delta': delta}]})}\n\n")
            await writer.drain()
            await self.closing.wait()

        self.answers.append(write)

    # ---- how it runs

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.strip().split("\r\n")
            headers = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            self.paths.append(first.split()[1])
            self.headers.append(headers)
            self.requests.append(json.loads(body))
            self.asked.set()
            answered = self.answers.popleft()(writer)
            if asyncio.iscoroutine(answered):
                await answered
            await writer.drain()
        finally:
            writer.close()


def _head(status: int, headers: dict[str, str]) -> bytes:
    lines = {"content-type": "application/json", "connection": "close", **headers}
    return "\r\n".join([f"HTTP/1.1 {status} X", *(f"{key}: {value}" for key, value in lines.items()), "", ""]).encode()


def _piece(writer: asyncio.StreamWriter, text: str) -> None:
    data = text.encode()
    writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")


@pytest.fixture
async def chat_server() -> AsyncIterator[ChatServer]:
    server = ChatServer()
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/v1"
    yield server
    server.closing.set()
    listener.close()
    await listener.wait_closed()


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make tests blind to the keys and addresses of the person who runs them."""
    from agent.llm.endpoints import ENDPOINTS, variable_of

    for endpoint in ENDPOINTS.values():
        for name in (*endpoint.key_names, variable_of(endpoint, "_BASE_URL")):
            monkeypatch.delenv(name, raising=False)
    for name in ("SEASONED_MODEL", "OLLAMA_HOST", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_ADMIN_KEY", "OPENAI_CUSTOM_HEADERS"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def key() -> str:
    return KEY
