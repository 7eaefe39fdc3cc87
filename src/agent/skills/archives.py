"""Skills in a zip or tar: read into memory, entry by entry, and never unpacked onto the disk."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import IO, TypeAlias

from agent.errors import BadInput
from agent.skills.folders import FILE_NAMES, SKIPPED, Gathered, is_plain_path
from agent.skills.reading import Files, Unusable
from agent.skills.rules import FILE_NAME, LIMITS, SkillLimits

Entry: TypeAlias = tuple[str, int, IO[bytes] | None, str]
"""A path, the size that it says it has, its bytes to read, and (without any) why not."""
_PACKED: dict[bytes, Callable[[IO[bytes]], io.BufferedIOBase]] = {
    b"\x1f\x8b": lambda f: gzip.GzipFile(fileobj=f),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
}
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_TAR = slice(257, 262)  # where a tar says "ustar"
_HEAD = 512
_LINK, _KIND = 0o120000, 0o170000  # of a file's mode, which a zip keeps in the upper half of its attributes
_BROKEN = (lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError)


def is_archive(path: Path) -> bool:
    """Whether a file is a zip or a tar, packed or not, by how it begins."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(_HEAD)
    return head.startswith((*_ZIP, *_PACKED)) or head[_TAR] == b"ustar"


def find_in_archive(path: Path, limits: SkillLimits = LIMITS) -> list[Files | Unusable]:
    """Return the skills in an archive, by place.

    Raises:
        BadInput: it is none, is broken or too large, leads outside of itself, or has no skill in it.
    """
    size = path.stat().st_size
    if size > limits.max_archive_bytes:
        raise BadInput(f"{str(path)!r} has {size} bytes, at most {limits.max_archive_bytes} are read")
    try:
        contents, left_out = _contents(path, limits)
    except BadInput:
        raise
    except _BROKEN as error:
        raise BadInput(f"{str(path)!r} cannot be read as an archive: {type(error).__name__}: {error}") from error
    roots = _roots(contents)
    if not roots:
        raise BadInput(f"{str(path)!r} has no skill in it: a skill is a folder with a {FILE_NAME}")
    if len(roots) > limits.max_skills:
        raise BadInput(f"{str(path)!r} has {len(roots)} skills, at most {limits.max_skills} are read")
    return [_skill(path, root, contents, left_out, limits) for root in sorted(roots)]


def _contents(path: Path, limits: SkillLimits) -> tuple[dict[PurePosixPath, bytes], dict[PurePosixPath, str]]:
    """Return all files by path, and what was left out, with why."""
    contents: dict[PurePosixPath, bytes] = {}
    left_out: dict[PurePosixPath, str] = {}
    total = 0
    for number, (name, size, source, reason) in enumerate(_entries(path, limits), 1):
        if number > limits.max_entries:
            raise BadInput(f"{str(path)!r} has more than {limits.max_entries} entries")
        if not is_plain_path(name.rstrip("/")):
            raise BadInput(f"{str(path)!r} was not read: its entry {name!r:.100} leads outside, or has a name that cannot be kept")
        place = PurePosixPath(name)
        if SKIPPED & set(place.parts):
            continue
        most = limits.max_text_bytes if place.name in FILE_NAMES else limits.max_file_bytes
        data = source.read(most + 1) if source is not None and size <= most else None
        if data is None or len(data) > most:
            left_out[place] = reason or f"it has more than {most} bytes"
            continue
        total += len(data)
        if total > limits.max_unpacked_bytes:
            raise _too_large(path, limits)
        contents[place] = data
    return contents, left_out


def _entries(path: Path, limits: SkillLimits) -> Iterator[Entry]:
    with path.open("rb") as file:
        head = file.read(_HEAD)
        file.seek(0)
        if head.startswith(_ZIP):
            yield from _zipped(file)
            return
        opener = next((opener for magic, opener in _PACKED.items() if head.startswith(magic)), None)
        data = file.read() if opener is None else _unpacked(opener(file), path, limits)
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
        for member in tar:
            if not member.isdir():
                source = tar.extractfile(member) if member.isreg() else None
                yield member.name, member.size, source, "" if source else "a link, or no regular file"


def _zipped(file: IO[bytes]) -> Iterator[Entry]:
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            if (info.external_attr >> 16) & _KIND == _LINK:
                yield info.filename, 0, None, "a link"
            elif info.flag_bits & 1:
                yield info.filename, 0, None, "it is encrypted"
            elif not info.is_dir():
                with archive.open(info) as source:
                    yield info.filename, info.file_size, source, ""


def _unpacked(source: io.BufferedIOBase, path: Path, limits: SkillLimits) -> bytes:
    """Return a packed tar, whole: what it says of its sizes is not relied on."""
    data = source.read(limits.max_unpacked_bytes + 1)
    if len(data) > limits.max_unpacked_bytes:
        raise _too_large(path, limits)
    return data


def _too_large(path: Path, limits: SkillLimits) -> BadInput:
    return BadInput(f"{str(path)!r} unpacks to more than {limits.max_unpacked_bytes} bytes")


def _roots(contents: dict[PurePosixPath, bytes]) -> set[PurePosixPath]:
    """Return the folders that are skills; one inside another is a part of it."""
    found = {place.parent for place in contents if place.name in FILE_NAMES}
    return {root for root in found if not any(parent in found for parent in root.parents if parent != root)}


def _skill(path: Path, root: PurePosixPath, contents: dict[PurePosixPath, bytes], left_out: dict[PurePosixPath, str], limits: SkillLimits) -> Files:
    file_name = next(name for name in FILE_NAMES if root / name in contents)
    gathered = Gathered(limits, len(contents[root / file_name]))
    for place, reason in left_out.items():
        with suppress(ValueError):
            gathered.leave_out(str(place.relative_to(root)), reason)
    for place, data in sorted(contents.items()):
        if place != root / file_name and place.is_relative_to(root):
            gathered.add(str(place.relative_to(root)), data)
    return Files(
        place=f"{path}:{root}" if root.parts else str(path),
        folder_name=root.name or path.name.partition(".")[0],
        text=contents[root / file_name],
        files=tuple(gathered.files),
        warnings=gathered.told(),
    )
