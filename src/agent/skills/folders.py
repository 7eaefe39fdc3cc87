"""Skills in folders: each name is opened below the last and no link is followed, so that nothing outside is read."""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from agent.errors import BadInput
from agent.models.memory import SkillFile
from agent.skills.reading import Files, Unusable
from agent.skills.rules import FILE_NAME, LIMITS, SkillLimits

FILE_NAMES = (FILE_NAME, "skill.md")
SKIPPED = frozenset({".git", ".hg", ".svn", ".DS_Store", "__MACOSX", "__pycache__", "node_modules", ".venv", "Thumbs.db"})
"""Names that are no part of a skill."""
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_FILE = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)  # a FIFO must not block


def find_in_folders(path: Path, limits: SkillLimits = LIMITS) -> list[Files | Unusable]:
    """Return the skills at a path, by place: it is one, or it holds some, at most so many folders deep. A SKILL.md stands for its folder.

    Raises:
        BadInput: there is no such folder, or none in it is a skill.
    """
    given = path.parent if path.name in FILE_NAMES and path.is_file() else path
    if not given.is_dir():
        raise BadInput(f"{str(path)!r} is neither a folder with skills in it nor an archive of them")
    root = given.resolve()
    found = list(_Walk(root, limits).skills())
    if not found:
        raise BadInput(f"{str(path)!r} has no skill in it: a skill is a folder with a {FILE_NAME}")
    return found


def is_plain_path(path: str) -> bool:
    """Whether a path can be that of a skill's file: relative, never upward, and of printable names."""
    parts = PurePosixPath(path).parts
    return bool(parts) and not path.startswith("/") and ".." not in parts and "\\" not in path and path.isprintable() and "".join(parts) != "."


class _Walk:
    """One walk over what is below a folder."""

    def __init__(self, root: Path, limits: SkillLimits) -> None:
        self.root, self.limits = root, limits
        self.entries = self.count = 0

    def skills(self) -> Iterator[Files | Unusable]:
        folder = os.open(self.root, _FOLDER & ~os.O_NOFOLLOW)
        try:
            yield from self._below(folder, PurePosixPath(), 0)
        finally:
            os.close(folder)

    def _below(self, folder: int, inside: PurePosixPath, depth: int) -> Iterator[Files | Unusable]:
        """Yield the skill that a folder is, or those in the folders below it."""
        entries = self._entries(folder)
        if any(entry.name in FILE_NAMES for entry in entries):
            self.count += 1
            if self.count > self.limits.max_skills:
                raise BadInput(f"{str(self.root)!r} has more than {self.limits.max_skills} skills: name a folder further down")
            yield self._skill(folder, inside, {entry.name for entry in entries})
            return
        for entry in entries:
            if depth < self.limits.max_depth and entry.is_dir(follow_symlinks=False) and entry.name not in SKIPPED:
                try:
                    below = os.open(entry.name, _FOLDER, dir_fd=folder)
                except OSError as error:
                    yield Unusable(str(self.root / inside / entry.name), f"it cannot be opened: {error.strerror}")
                    continue
                try:
                    yield from self._below(below, inside / entry.name, depth + 1)
                finally:
                    os.close(below)

    def _entries(self, folder: int) -> "list[os.DirEntry[str]]":
        with os.scandir(folder) as entries:
            found = []
            for entry in entries:
                self.entries += 1
                if self.entries > self.limits.max_entries:
                    raise BadInput(f"{str(self.root)!r} has more than {self.limits.max_entries} files and folders: name a folder further down")
                found.append(entry)
        return sorted(found, key=lambda entry: entry.name)

    def _skill(self, folder: int, inside: PurePosixPath, names: set[str]) -> Files | Unusable:
        place = self.root / inside
        file_name = next(name for name in FILE_NAMES if name in names)
        try:
            text = _content(folder, file_name, self.limits.max_text_bytes)
        except (OSError, ValueError) as error:
            return Unusable(str(place), f"{file_name}: {_reason(error)}")
        gathered = Gathered(self.limits, len(text))
        self._gather(gathered, folder, "", 0, is_top=True)
        return Files(place=str(place), folder_name=place.name, text=text, files=tuple(gathered.files), warnings=gathered.told())

    def _gather(self, gathered: "Gathered", folder: int, prefix: str, depth: int, *, is_top: bool = False) -> None:
        """Take in the files of a folder, and of those below it."""
        for entry in self._entries(folder):
            path = prefix + entry.name
            if entry.name in SKIPPED or (is_top and entry.name in FILE_NAMES):
                continue
            if entry.is_symlink():
                gathered.leave_out(path, "a link")
            elif not is_plain_path(path):
                gathered.leave_out(repr(path), "a name that cannot be kept")
            elif not entry.is_dir(follow_symlinks=False):
                self._take(gathered, folder, entry.name, path)
            elif depth >= self.limits.max_depth:
                gathered.leave_out(path + "/", "too deep")
            else:
                try:
                    below = os.open(entry.name, _FOLDER, dir_fd=folder)
                except OSError as error:
                    gathered.leave_out(path + "/", _reason(error))
                    continue
                try:
                    self._gather(gathered, below, path + "/", depth + 1)
                finally:
                    os.close(below)

    def _take(self, gathered: "Gathered", folder: int, name: str, path: str) -> None:
        try:
            data = _content(folder, name, self.limits.max_file_bytes)
        except (OSError, ValueError) as error:
            gathered.leave_out(path, _reason(error))
        else:
            gathered.add(path, data)


class Gathered:
    """The files of one skill so far, within the limits; what is left out is told."""

    def __init__(self, limits: SkillLimits, size: int) -> None:
        self.limits, self.size = limits, size
        self.files: list[SkillFile] = []
        self.left_out: list[str] = []

    def add(self, path: str, data: bytes) -> None:
        """Take in a file, if there is room for it."""
        if len(self.files) >= self.limits.max_files:
            self.leave_out(path, f"more than {self.limits.max_files} files")
        elif self.size + len(data) > self.limits.max_folder_bytes:
            self.leave_out(path, f"more than {self.limits.max_folder_bytes} bytes in all")
        else:
            self.size += len(data)
            self.files.append(SkillFile(path, data))

    def leave_out(self, path: str, reason: str) -> None:
        """Note a file that is no part of the skill."""
        self.left_out.append(f"{path} was left out: {reason}")

    def told(self) -> tuple[str, ...]:
        """Return what was left out, the first few by name."""
        shown = 10
        more = [f"and {len(self.left_out) - shown} more files"] if len(self.left_out) > shown else []
        return (*self.left_out[:shown], *more)


def _content(folder: int, name: str, most: int) -> bytes:
    """Return what a regular file holds.

    Raises:
        OSError: it cannot be read, or is a link.
        ValueError: it is no regular file, or too large.
    """
    descriptor = os.open(name, _FILE, dir_fd=folder)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("it is no regular file")
        data = file.read(most + 1) if found.st_size <= most else b""
        if found.st_size > most or len(data) > most:
            raise ValueError(f"it has {max(found.st_size, len(data))} bytes, at most {most} are read")
        return data


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, OSError):
        return "it is a link" if error.errno == errno.ELOOP else error.strerror or "it cannot be read"
    return str(error)
