import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from agent.errors import ConfigInvalid, ToolFailed
from agent.tools.builtin.addresses import is_public
from agent.tools.builtin.catalogue import register_builtin
from agent.tools.builtin.http import Fetcher, HttpLimits
from agent.tools.registry import ToolRegistry

Answer = Callable[[str, dict[str, str]], bytes]


def reply(body: bytes = b"hello", *, status: str = "200 OK", kind: str | None = "text/plain; charset=utf-8", more: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n" + (f"content-type: {kind}\r\n" if kind else "") + more
    return head.encode() + b"\r\n" + body


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[tuple[int, list[tuple[str, dict[str, str]]]]]:
    """A loopback server; yields its port and what it was asked."""
    asked: list[tuple[str, dict[str, str]]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            lines = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)}
            asked.append((lines[0].split()[1], headers))
            writer.write(answer(asked[-1][0], headers))
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], asked


async def to_loopback(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


def fetcher(port: int, *hosts: str, **limits: Any) -> Fetcher:
    return Fetcher(
        [*hosts, f"site.example:{port}"], limits=HttpLimits(**limits), resolve=to_loopback, address_is_allowed=lambda address: address == "127.0.0.1"
    )


async def refused(fetch: Fetcher, url: str) -> str:
    with pytest.raises(ToolFailed) as caught:
        await fetch.fetch(url)
    return str(caught.value)


@pytest.mark.parametrize("address", ["93.184.216.34", "8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "2a00:1450:4001:81b::200e"])
def test_addresses_of_the_public_internet(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "127.1.2.3",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::808:808",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:808:808::",
        "3fff::1",
        "fc00::1",
        "fd12::1",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "2606:4700::1%eth0",
        "localhost",
        "0x7f.1",
        "2130706433",
        "x",
    ],
)
def test_addresses_that_are_not_of_the_public_internet(address: str) -> None:
    assert not is_public(address)


async def test_a_page_is_read_by_its_name_at_the_checked_address() -> None:
    async with serving(lambda path, headers: reply("héllo".encode())) as (port, asked):
        assert await fetcher(port).fetch(f"http://site.example:{port}/a%20b?q=1#part") == "héllo"

    ((path, headers),) = asked
    assert path == "/a%20b?q=1"
    assert headers["host"] == f"site.example:{port}"
    assert headers["accept-encoding"] == "identity"


async def test_only_named_hosts_are_asked() -> None:
    fetch = Fetcher(["docs.example", "*.wide.example", "port.example:8080"])

    for url in (
        "http://other.example/",
        "http://docs.example.evil.example/",
        "http://evildocs.example/",
        "http://sub.docs.example/",
        "http://wide.example/",
        "http://evilwide.example/",
        "http://docs.example:8080/",
        "http://port.example/",
        "http://127.0.0.1/",
        "http://[::1]/",
        "http://docs.example@evil.example/",
        "http:///path",
        "docs.example",
    ):
        assert await refused(fetch, url)
    for url in ("ftp://docs.example/", "file:///etc/passwd", "gopher://docs.example", "javascript:1"):
        assert "neither http nor https" in await refused(fetch, url)
    assert "at most 8000" in await refused(fetch, "http://docs.example/" + "x" * 9000)
    assert "name or password" in await refused(fetch, "http://user:pass@docs.example/")
    assert await refused(fetch, "http://[")


@pytest.mark.parametrize("hosts", [[], "example.org", ["http://example.org"], ["*"], ["a*.example"], [""], ["a b"]])
def test_hosts_that_cannot_be_meant_are_refused(hosts: Any) -> None:
    with pytest.raises(ConfigInvalid):
        Fetcher(hosts)


async def test_a_name_that_leads_to_this_machine_is_refused_whatever_the_list_says() -> None:
    for host in ("localhost", "127.0.0.1", "[::1]", "2130706433", "0x7f.1"):
        fetch = Fetcher([host.strip("[]") if host == "[::1]" else host])
        message = await refused(fetch, f"http://{host}/")
        assert "not on the public internet" in message or "is not among" in message


async def test_the_address_is_resolved_once_and_that_one_is_connected_to() -> None:
    answers = [["127.0.0.1"], ["10.0.0.1"]]

    async def rebinding(host: str, port: int) -> list[str]:
        return answers.pop(0)

    async with serving(lambda path, headers: reply()) as (port, _):
        fetch = Fetcher([f"site.example:{port}"], resolve=rebinding, address_is_allowed=lambda address: address == "127.0.0.1")

        assert await fetch.fetch(f"http://site.example:{port}/") == "hello"
        assert len(answers) == 1
        assert "10.0.0.1" in await refused(fetch, f"http://site.example:{port}/")


async def test_an_address_that_does_not_answer_is_followed_by_the_next() -> None:
    async def two(host: str, port: int) -> list[str]:
        return ["127.0.0.2", "127.0.0.1"]

    async with serving(lambda path, headers: reply()) as (port, _):
        fetch = Fetcher([f"site.example:{port}"], resolve=two, address_is_allowed=lambda address: True)
        assert await fetch.fetch(f"http://site.example:{port}/") == "hello"
        only_first = Fetcher([f"site.example:{port}"], limits=HttpLimits(max_addresses=1), resolve=two, address_is_allowed=lambda address: True)
        assert "ConnectError" in await refused(only_first, f"http://site.example:{port}/")


async def test_redirects_are_followed_and_checked_anew() -> None:
    def answer(path: str, headers: dict[str, str]) -> bytes:
        goes = {"/start": "/next", "/next": "end?x=1", "/out": "http://evil.example/", "/file": "file:///etc/passwd", "/loop": "/loop", "/none": ""}
        where = path.partition("?")[0]
        return reply(b"moved", status="302 Found", more=f"location: {goes[where]}\r\n") if where in goes else reply(path.encode())

    async with serving(answer) as (port, asked):
        base = f"http://site.example:{port}"
        assert await fetcher(port).fetch(base + "/start") == "/end?x=1"
        assert {headers["host"] for _, headers in asked} == {f"site.example:{port}"}
        assert "'evil.example' (port 80) is not among" in await refused(fetcher(port), base + "/out")
        assert "neither http nor https" in await refused(fetcher(port), base + "/file")
        assert "more than 2 redirects" in await refused(fetcher(port, max_redirects=2), base + "/loop")


async def test_each_redirect_is_resolved_anew() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"] if host == "site.example" else ["169.254.169.254"]

    async with serving(lambda path, headers: reply(b"", status="301 Moved", more="location: http://meta.example/\r\n")) as (port, _):
        fetch = Fetcher([f"site.example:{port}", "meta.example"], resolve=resolve, address_is_allowed=lambda address: address == "127.0.0.1")

        assert "169.254.169.254, which is not on the public internet" in await refused(fetch, f"http://site.example:{port}/")


@pytest.mark.parametrize(
    ("answer", "part"),
    [
        (reply(kind="image/png"), "'image/png', which is no text"),
        (reply(kind="application/octet-stream"), "which is no text"),
        (reply(b"a\0b"), "binary data"),
        (reply(gzip.compress(b"x" * 100), more="content-encoding: gzip\r\n"), "compressed"),
        (b"not http at all\r\n\r\n", "cannot be fetched"),
        (b"", "cannot be fetched"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\ncontent-type: text/plain\r\n\r\nhalf", "cannot be fetched"),
    ],
)
async def test_an_answer_that_is_no_text_is_refused(answer: bytes, part: str) -> None:
    async with serving(lambda path, headers: answer) as (port, _):
        assert part in await refused(fetcher(port), f"http://site.example:{port}/")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (reply(b"{}", kind="application/json"), "{}"),
        (reply(b"<a/>", kind="application/rss+xml"), "<a/>"),
        (reply(b"plain", kind=None), "plain"),
        (reply("é".encode("latin-1"), kind="text/plain; charset=iso-8859-1"), "é"),
        (reply(b"odd", kind="text/plain; charset=nonsense"), "odd"),
        (reply(b"\xff", kind="text/plain"), "\ufffd"),
        (reply(b"not here", status="404 Not Found"), "[HTTP 404]\nnot here"),
        (reply(b"x" * 500), "x" * 100 + "\n[only the first 100 bytes]"),
    ],
)
async def test_an_answer_that_is_text_is_given(answer: bytes, text: str) -> None:
    async with serving(lambda path, headers: answer) as (port, _):
        assert await fetcher(port, max_bytes=100).fetch(f"http://site.example:{port}/") == text


async def test_a_slow_answer_ends_with_the_time() -> None:
    async with serving(lambda path, headers: b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 9\r\n\r\n") as (_, _):
        release = asyncio.Event()

        async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await release.wait()
            writer.close()

        server = await asyncio.start_server(hang, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            assert "was not read within 0.1 s" in await refused(fetcher(port, total_s=0.1), f"http://site.example:{port}/")
        finally:
            release.set()
            server.close()


async def test_the_name_and_not_the_address_is_asked_for_in_tls() -> None:
    names: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sni_callback = lambda _socket, name, _context: names.append(name)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        assert "cannot be fetched" in await refused(fetcher(port), f"https://site.example:{port}/")

    assert names == ["site.example"]


async def test_the_environments_proxy_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")

    async with serving(lambda path, headers: reply()) as (port, _):
        assert await fetcher(port).fetch(f"http://site.example:{port}/") == "hello"


async def test_the_tool_is_refused_as_a_failure_the_model_is_told() -> None:
    registry = ToolRegistry()
    register_builtin(registry, ["http_get"], http_hosts=["localhost"])

    with pytest.raises(ToolFailed, match="not on the public internet"):
        await registry.execute("http_get", {"url": "http://localhost/"})
