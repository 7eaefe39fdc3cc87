"""Fetching text from named hosts: the address that was checked is the one that is connected to, at each redirect anew."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

from agent.errors import ConfigInvalid, ToolFailed
from agent.models.value import Value
from agent.tools.builtin.addresses import is_public
from agent.tools.tool import shortened

Resolve: TypeAlias = Callable[[str, int], Awaitable[list[str]]]


class HttpLimits(Value, frozen=True, kw_only=True):
    """Bounds on one fetch."""

    total_s: float = 30.0  # with all redirects
    connect_s: float = 10.0
    max_url_chars: int = 8_000
    max_bytes: int = 1_000_000  # what is beyond is left out, and said so
    max_redirects: int = 5
    max_addresses: int = 3  # of one host that are tried


LIMITS = HttpLimits()
_PORTS = {"http": 80, "https": 443}
MAX_SHOWN_CHARS = 200  # of an address, in an error
_TEXTUAL = ("json", "xml", "yaml", "javascript", "x-www-form-urlencoded", "csv")


class Fetcher:
    """Fetches from an allow-list of hosts: "example.org", "*.example.org" (below it), "example.org:8080" (that port alone).

    `address_is_allowed` decides on the address itself; whoever replaces it opens a network that models can then reach.
    """

    def __init__(
        self, hosts: Sequence[str], *, limits: HttpLimits = LIMITS, resolve: Resolve | None = None, address_is_allowed: Callable[[str], bool] = is_public
    ) -> None:
        if isinstance(hosts, str) or not hosts:
            raise ConfigInvalid("http_get needs a list of the hosts it may fetch from, such as ['docs.python.org', '*.example.org']")
        self.hosts = tuple(_checked_host(host) for host in hosts)
        self._tls: ssl.SSLContext | None = None  # made once: it reads all the certificates of the system
        self.limits, self.resolve, self.address_is_allowed = limits, resolve or _resolve, address_is_allowed

    def tool(self) -> Callable[..., Awaitable[str]]:
        """Return `http_get`, bound to these hosts."""

        async def http_get(url: str) -> str:
            """Fetch a web page or file as text.

            Args:
                url: starts with http:// or https://
            """
            return await self.fetch(url)

        return http_get

    async def fetch(self, url: str) -> str:
        """Return the text behind `url`.

        Raises:
            ToolFailed: says why not.
        """
        import httpx2

        shown = shortened(repr(url), MAX_SHOWN_CHARS)
        # no connection is kept: one that was made for another name on the same address would be taken without a look at its certificate
        fresh = httpx2.Limits(max_keepalive_connections=0)
        if self._tls is None:
            self._tls = await asyncio.to_thread(httpx2.create_ssl_context, trust_env=False)
        client = httpx2.AsyncClient(verify=self._tls, trust_env=False, follow_redirects=False, timeout=self.limits.connect_s, limits=fresh)
        try:
            async with asyncio.timeout(self.limits.total_s), client:
                return await self._follow(client, url)
        except TimeoutError:
            raise ToolFailed(f"{shown} was not read within {self.limits.total_s:g} s") from None
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, UnicodeError) as error:
            raise ToolFailed(f"{shown} cannot be fetched: {type(error).__name__}: {error}") from None

    async def _follow(self, client: Any, url: str) -> str:
        was_secure = False
        for _ in range(self.limits.max_redirects + 1):
            target, port = self._allowed(url)
            if was_secure and target.scheme != "https":
                raise ToolFailed(f"{url!r} would leave https by a redirect; it is not followed")
            was_secure = target.scheme == "https"
            response = await self._send(client, target, port)
            try:
                if not response.is_redirect:
                    return await self._text(response, url)
                url = str(target.join(response.headers.get("location", "")))
            finally:
                await response.aclose()
        raise ToolFailed(f"more than {self.limits.max_redirects} redirects; the last went to {url!r}")

    def _allowed(self, url: str) -> tuple[Any, int]:
        import httpx2

        if len(url) > self.limits.max_url_chars:
            raise ToolFailed(f"the address has {len(url)} characters; at most {self.limits.max_url_chars} are accepted")
        target = httpx2.URL(url)
        if target.scheme not in _PORTS:
            raise ToolFailed(f"{url!r} is neither http nor https")
        if target.userinfo:
            raise ToolFailed(f"{target.host!r}: a name or password in the address is not accepted")
        host, port = target.raw_host.decode("ascii").lower().rstrip("."), target.port or _PORTS[target.scheme]
        if not any(_matches(pattern, host, port, target.port) for pattern in self.hosts):
            raise ToolFailed(f"{host!r} (port {port}) is not among the hosts that may be fetched from: {', '.join(self.hosts)}")
        return target, port

    async def _send(self, client: Any, target: Any, port: int) -> Any:
        """Send to an address that was checked; the name goes along as Host and for the certificate."""
        import httpx2

        host = target.raw_host.decode("ascii")
        found = await self.resolve(host, port)
        allowed = [address for address in found if self.address_is_allowed(address)][: self.limits.max_addresses]
        if not allowed:
            raise ToolFailed(f"{host!r} leads to {', '.join(found[:3]) or 'no address'}, which is not on the public internet: it is not fetched")
        for place, address in enumerate(allowed, start=1):
            request = client.build_request(
                "GET",
                target.copy_with(host=address, fragment=None),
                headers={"host": target.netloc.decode("ascii"), "accept-encoding": "identity", "user-agent": "seasoned"},
                extensions={"sni_hostname": host},
            )
            try:
                return await client.send(request, stream=True)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                if place == len(allowed):
                    raise
        raise AssertionError  # the last address either answered or raised

    async def _text(self, response: Any, url: str) -> str:
        kind = response.headers.get("content-type", "")
        media = kind.partition(";")[0].strip().lower()
        if media and not media.startswith("text/") and not any(word in media for word in _TEXTUAL):
            raise ToolFailed(f"{url!r} is of the type {media!r}, which is no text")
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise ToolFailed(f"{url!r} came compressed although it was not asked for so; it is not unpacked")
        body = bytearray()
        async for piece in response.aiter_raw():
            body += piece
            if len(body) > self.limits.max_bytes:
                break
        is_cut = len(body) > self.limits.max_bytes
        text = _decoded(bytes(body[: self.limits.max_bytes]), response.charset_encoding)
        if "\0" in text:
            raise ToolFailed(f"{url!r} is binary data, no text")
        notes = [f"[HTTP {response.status_code}]"] if response.is_error else []
        return "\n".join([*notes, text, *([f"[only the first {self.limits.max_bytes} bytes]"] if is_cut else [])])


def _decoded(body: bytes, charset: str | None) -> str:
    try:
        return body.decode(charset or "utf-8", "replace")
    except LookupError:
        return body.decode("utf-8", "replace")


def _checked_host(host: str) -> str:
    name = host.strip().lower().rstrip(".")
    if not name or any(sign in name for sign in "/@? \t") or (name.startswith("*") and not name.startswith("*.")) or "*" in name[1:]:
        raise ConfigInvalid(f"{host!r} is no host: write 'example.org', '*.example.org' or 'example.org:8080', without http://")
    return name


def _matches(pattern: str, host: str, port: int, written_port: int | None) -> bool:
    name, colon, wanted = pattern.rpartition(":")
    if not colon:
        name = pattern
        if written_port is not None and written_port not in _PORTS.values():
            return False
    elif wanted != str(port):
        return False
    return host.endswith(name[1:]) if name.startswith("*.") else host == name


async def _resolve(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
