"""Reading files below one folder: each component is opened by itself and no link is followed, so nothing outside can be reached."""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.errors import ConfigInvalid, ToolFailed, Unsupported
from agent.models.value import Value


class FileLimits(Value, frozen=True, kw_only=True):
    """Bounds on what the file tools hand out."""

    max_file_bytes: int = 10_000_000
    max_lines: int = 2_000  # in one answer
    max_line_chars: int = 5_000
    max_entries: int = 1_000  # in one listing
    max_depth: int = 20  # of a recursive listing


LIMITS = FileLimits()
MAX_PATH_CHARS = 1_000
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_FILE = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)  # a FIFO must not block


class FileRoot:
    """A folder, and what may be read below it. The folder itself is found through its path at each call."""

    def __init__(self, root: Path, limits: FileLimits = LIMITS) -> None:
        if os.open not in os.supports_dir_fd or not hasattr(os, "O_NOFOLLOW"):
            raise Unsupported("the file tools need a system that opens files relative to a folder (Linux, macOS)")
        if not root.is_dir():
            raise ConfigInvalid(f"the folder {str(root)!r} for the file tools does not exist, or is no folder")
        self.root, self.limits = root.resolve(), limits

    def tools(self) -> tuple[Callable[..., str], Callable[..., str]]:
        """Return `read_file` and `list_files`, bound to this folder."""

        def read_file(path: str, offset: int = 1, limit: int = 200) -> str:
            """Read a text file, or some of its lines.

            Args:
                path: relative to the folder, such as "notes/todo.txt"
                offset: the first line to read; the first of the file is 1
                limit: how many lines to read
            """
            return self.read(path, offset, limit)

        def list_files(path: str = ".", recursive: bool = False) -> str:  # noqa: FBT001, FBT002  # the model passes it by name
            """List the files of a folder, one a line, with sizes in bytes; folders end in "/".

            Args:
                path: relative to the folder; "." is the folder itself
                recursive: also list what is in the folders below
            """
            return self.list_folder(path, is_recursive=recursive)

        return read_file, list_files

    def read(self, path: str, offset: int = 1, limit: int = 200) -> str:
        """Return lines of a UTF-8 text file, and a last line that says where to go on.

        Raises:
            ToolFailed: says why not.
        """
        if offset < 1 or limit < 1:
            raise ToolFailed("offset and limit count from 1")
        data = self._content(path)
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise ToolFailed(f"{path!r} is no UTF-8 text ({len(data)} bytes): it cannot be read as text") from None
        if "\0" in text:
            raise ToolFailed(f"{path!r} is a binary file ({len(data)} bytes): it cannot be read as text")
        return self._page(path, text.splitlines(), offset, min(limit, self.limits.max_lines))

    def list_folder(self, path: str = ".", *, is_recursive: bool = False) -> str:
        """Return the names below a folder, sorted; links are named and not followed.

        Raises:
            ToolFailed: says why not.
        """
        lines: list[str] = []
        with self._folder(path, _parts(path)) as folder:
            is_whole = self._list_into(lines, folder, "", self.limits.max_depth if is_recursive else 1)
        if not is_whole:
            lines.append(f"[only the first {self.limits.max_entries} entries: list a folder below]")
        return "\n".join(lines) if lines else "[the folder is empty]"

    def _page(self, path: str, lines: list[str], offset: int, limit: int) -> str:
        if not lines:
            return "[the file is empty]"
        if offset > len(lines):
            raise ToolFailed(f"{path!r} has only {len(lines)} lines")
        last = min(offset + limit - 1, len(lines))
        most = self.limits.max_line_chars
        shown = [line if len(line) <= most else f"{line[:most]} [… {len(line) - most} more characters in this line]" for line in lines[offset - 1 : last]]
        if offset > 1 or last < len(lines):
            shown.append(f"[lines {offset}-{last} of {len(lines)}" + (f"; go on with offset={last + 1}]" if last < len(lines) else "]"))
        return "\n".join(shown)

    def _content(self, path: str) -> bytes:
        parts = _parts(path)
        if not parts:
            raise ToolFailed(f"{path!r} is a folder: list_files shows what is in it")
        with self._folder(path, parts[:-1]) as folder, _told(path, parts[-1], folder), _opened(parts[-1], _FILE, folder) as file:
            found = os.fstat(file)
            if stat.S_ISDIR(found.st_mode):
                raise ToolFailed(f"{path!r} is a folder: list_files shows what is in it")
            if not stat.S_ISREG(found.st_mode):
                raise ToolFailed(f"{path!r} is no regular file (a device, pipe or socket)")
            most = self.limits.max_file_bytes
            if found.st_size > most:
                raise ToolFailed(f"{path!r} has {found.st_size} bytes; files of at most {most} are read")
            with os.fdopen(os.dup(file), "rb") as stream:
                data = stream.read(most + 1)  # it may grow while it is read
            if len(data) > most:
                raise ToolFailed(f"{path!r} has more than {most} bytes, which is the most that is read")
            return data

    @contextmanager
    def _folder(self, path: str, parts: tuple[str, ...]) -> Iterator[int]:
        """A descriptor of the folder that `parts` lead to, each opened below the last."""
        try:
            folder = os.open(self.root, _FOLDER & ~os.O_NOFOLLOW)
        except OSError as error:
            raise ToolFailed(f"the folder of the file tools cannot be opened: {error.strerror}") from None
        try:
            for part in parts:
                with _told(path, part, folder):
                    below = os.open(part, _FOLDER, dir_fd=folder)
                os.close(folder)
                folder = below
            yield folder
        finally:
            os.close(folder)

    def _list_into(self, lines: list[str], folder: int, prefix: str, depth: int) -> bool:
        """Add the entries of a folder; return whether all found a place."""
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        for entry in found:
            if len(lines) >= self.limits.max_entries:
                return False
            name = prefix + entry.name
            if entry.is_symlink():
                lines.append(f"{name} (a link, not followed)")
            elif not entry.is_dir(follow_symlinks=False):
                lines.append(f"{name} {_size(entry)}")
            elif not self._list_below(lines, folder, entry.name, name + "/", depth - 1):
                return False
        return True

    def _list_below(self, lines: list[str], folder: int, name: str, prefix: str, depth: int) -> bool:
        place = len(lines)
        lines.append(prefix)
        if depth < 1:
            return True
        try:
            with _opened(name, _FOLDER, folder) as below:
                return self._list_into(lines, below, prefix, depth)
        except OSError as error:  # no permission, or replaced meanwhile: the rest is still worth listing
            lines[place] += f" (cannot be opened: {error.strerror})"
            return True


def _parts(path: str) -> tuple[str, ...]:
    if len(path) > MAX_PATH_CHARS:
        raise ToolFailed(f"the path has {len(path)} characters; at most {MAX_PATH_CHARS} are accepted")
    if path.startswith("/"):
        raise ToolFailed(f"{path!r} is absolute: paths are relative to the folder, such as 'notes/todo.txt'")
    if "\0" in path:
        raise ToolFailed("a path cannot contain a zero character")
    parts = tuple(part for part in path.split("/") if part not in ("", "."))
    if ".." in parts:
        raise ToolFailed(f"{path!r} leads upward with '..': only what is below the folder can be read")
    return parts


@contextmanager
def _opened(name: str, flags: int, folder: int) -> Iterator[int]:
    descriptor = os.open(name, flags, dir_fd=folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _told(path: str, part: str, folder: int) -> Iterator[None]:
    """What the system says about `part`, as a sentence."""
    try:
        yield
    except FileNotFoundError:
        raise ToolFailed(f"there is no {path!r}: list_files shows what there is") from None
    except (OSError, ValueError) as error:
        if _is_link(part, folder):
            raise ToolFailed(f"{path!r}: {part!r} is a link, and links are not followed") from None
        if isinstance(error, NotADirectoryError):
            raise ToolFailed(f"{path!r}: {part!r} is no folder") from None
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ToolFailed(f"{path!r} cannot be opened: {reason}") from None


def _is_link(name: str, folder: int) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except (OSError, ValueError):
        return False


def _size(entry: "os.DirEntry[str]") -> str:
    try:
        found = entry.stat(follow_symlinks=False)
    except OSError:
        return "(gone)"
    return str(found.st_size) if stat.S_ISREG(found.st_mode) else "(no regular file)"
