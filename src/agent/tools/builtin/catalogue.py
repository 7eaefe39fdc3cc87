"""The built-in tools by name, and what each needs before it may be offered."""

from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path

from agent.errors import ConfigInvalid
from agent.tools.registry import ToolRegistry

BUILTIN_NAMES: tuple[str, ...] = ("calculator", "current_time", "read_file", "list_files", "http_get")
_NEEDS_ROOT = frozenset({"read_file", "list_files"})


def register_builtin(registry: ToolRegistry, names: Iterable[str], *, root: Path | None = None, http_hosts: Sequence[str] = ()) -> None:
    """Register the named tools. The file tools need `root`, `http_get` needs `http_hosts` and the extra `http`. All are `read`.

    Raises:
        ConfigInvalid: a name that does not exist, or what it needs is missing; then none is registered.
    """
    wanted = list(dict.fromkeys(names))
    unknown = next((name for name in wanted if name not in BUILTIN_NAMES), None)
    if unknown is not None:
        raise ConfigInvalid(f"no built-in tool {unknown!r}; there are {', '.join(BUILTIN_NAMES)}")
    _check_needs(wanted, root, http_hosts)
    for name in wanted:
        _register_one(registry, name, root, http_hosts)


def builtin_tools(root: Path | None = None, http_hosts: Sequence[str] = ()) -> ToolRegistry:
    """Return a registry of all built-in tools for which enough is given: the file tools with a folder, `http_get` with hosts."""
    registry = ToolRegistry()
    without = (_NEEDS_ROOT if root is None else frozenset()) | (frozenset() if http_hosts else {"http_get"})
    register_builtin(registry, [name for name in BUILTIN_NAMES if name not in without], root=root, http_hosts=http_hosts)
    return registry


def _check_needs(wanted: Sequence[str], root: Path | None, http_hosts: Sequence[str]) -> None:
    lacking = next((name for name in wanted if name in _NEEDS_ROOT), None) if root is None else None
    if lacking is not None:
        raise ConfigInvalid(f"{lacking!r} needs the folder below which it may read: give root=")
    if "http_get" in wanted and not http_hosts:
        raise ConfigInvalid("'http_get' needs the hosts that it may fetch from: give http_hosts=")
    if "http_get" in wanted and find_spec("httpx2") is None:
        raise ConfigInvalid("'http_get' needs the extra http: pip install 'seasoned[http]'")


def _register_one(registry: ToolRegistry, name: str, root: Path | None, http_hosts: Sequence[str]) -> None:
    if name == "calculator":
        from agent.tools.builtin.calculator import calculator

        registry.register(calculator, effect="read")
    elif name == "current_time":
        from agent.tools.builtin.time import current_time

        registry.register(current_time, effect="read")
    elif name == "http_get":
        from agent.tools.builtin.http import Fetcher

        registry.register(Fetcher(http_hosts).tool(), effect="read", untrusted=True, timeout_s=60, max_result_chars=50_000)
    elif root is not None:
        from agent.tools.builtin.files import FileRoot

        read_file, list_files = FileRoot(root).tools()
        registry.register(read_file if name == "read_file" else list_files, effect="read", untrusted=True, max_result_chars=50_000)
