"""The one room that names ports and vendors: opens stores and models by name."""

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from agent.errors import BadInput, Unsupported

if TYPE_CHECKING:
    from collections.abc import Generator

    from agent.storage.protocols import Store


class Opening:
    """What `open_store` returns: await it for the store, or use it with `async with`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._store: Store | None = None

    def __await__(self) -> "Generator[Any, None, Store]":
        return self._open().__await__()

    async def _open(self) -> "Store":
        self._store = await _open(self._url)
        return self._store

    async def __aenter__(self) -> "Store":
        return await self._open()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._store is not None:
            await self._store.close()


def open_store(url: str) -> Opening:
    """Return a store for `await` or `async with`: `memory://`, or `sqlite:///file` (relative; absolute: `sqlite:////file`).

    Raises:
        BadInput: the URL has another form.
        StoreError: the file cannot be used; says why.
    """
    if not isinstance(url, str):
        raise BadInput(f"a store is opened by a URL such as 'sqlite:///runs.db' or 'memory://', not {url!r}")
    return Opening(url)


async def _open(url: str) -> "Store":
    if url in ("memory://", "memory:"):
        from agent.storage.ram.store import RamStore

        return RamStore()
    if url.startswith("sqlite:///"):
        from agent.storage.sqlite.store import SqliteStore

        return await SqliteStore.open(sqlite_path(url))
    if url.startswith(("postgresql://", "postgres://")):
        raise Unsupported("stores on Postgres are not part of this version: use sqlite:///file")
    raise BadInput(f"no store has the URL {url!r}: use 'memory://', 'sqlite:///runs.db' (relative) or 'sqlite:////var/lib/runs.db' (absolute)")


def sqlite_path(url: str) -> Path:
    """Return the file of a `sqlite:///` URL; percent escapes are read, `~` is the home folder.

    Raises:
        BadInput: it names no file.
    """
    name = unquote(url.removeprefix("sqlite:///").partition("?")[0])
    if not name or name == ":memory:" or "\0" in name:
        raise BadInput(f"{url!r} names no file: use 'sqlite:///runs.db', or 'memory://' for a store in memory")
    return Path(name).expanduser()


def open_model(name: str | None = None, **options: Any) -> Any:
    """Return a model by name: `provider:model`, `local`, `scripted:FILE.json`, or a chain `a,b`; without a name the default of this machine.

    A thin door to `agent.llm.opening.open_model`, which has the options. A script takes none: it plays the replies of a JSON list.

    Raises:
        BadInput: no such provider, or an option or a script that cannot be used.
        ModelNotConfigured: its key is missing, or its extra is not installed.
    """
    from agent.llm.opening import open_model as open_by_name
    from agent.llm.script import SCRIPTED, open_script

    wanted = name if name is not None else _default()
    if isinstance(wanted, str) and wanted.strip().startswith(SCRIPTED):
        if options:
            raise BadInput(f"{wanted!r} takes no {', '.join(options)}: a script asks nobody")
        return open_script(wanted.strip().removeprefix(SCRIPTED))
    return open_by_name(wanted, **options)


def _default() -> str:
    from agent.llm.available import default_model

    return default_model()
