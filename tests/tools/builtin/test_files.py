import os
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from agent.errors import ToolFailed
from agent.tools.builtin.catalogue import builtin_tools
from agent.tools.builtin.files import FileLimits, FileRoot


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    (folder / "notes" / "deep").mkdir(parents=True)
    (folder / "notes" / "todo.txt").write_text("one\ntwo\nthree\n")
    (folder / "notes" / "deep" / "end.md").write_text("end")
    (folder / "空.txt").write_text("\ufeff中文", encoding="utf-8")
    (folder / "empty").touch()
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.txt").write_text("secret")
    return folder


def refused(root: Path, path: str) -> str:
    with pytest.raises(ToolFailed) as caught:
        FileRoot(root).read(path)
    return str(caught.value)


def test_a_text_file_is_read_whole_or_by_its_lines(root: Path) -> None:
    files = FileRoot(root)

    assert files.read("notes/todo.txt") == "one\ntwo\nthree"
    assert files.read("./notes//deep/../deep/end.md".replace("deep/../", "")) == "end"
    assert files.read("notes/todo.txt", 2, 1) == "two\n[lines 2-2 of 3; go on with offset=3]"
    assert files.read("notes/todo.txt", 3, 9) == "three\n[lines 3-3 of 3]"
    assert files.read("空.txt") == "中文"
    assert files.read("empty") == "[the file is empty]"
    with pytest.raises(ToolFailed, match="has only 3 lines"):
        files.read("notes/todo.txt", 4)
    with pytest.raises(ToolFailed, match="count from 1"):
        files.read("notes/todo.txt", 0)


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("../secret.txt", "leads upward"),
        ("notes/../../secret.txt", "leads upward"),
        ("notes/..", "leads upward"),
        ("/etc/passwd", "is absolute"),
        ("//etc/passwd", "is absolute"),
        ("nothing.txt", "there is no 'nothing.txt'"),
        ("notes/nothing/x", "there is no"),
        ("notes", "is a folder"),
        (".", "is a folder"),
        ("", "is a folder"),
        ("empty/x", "'empty' is no folder"),
        ("a\0b", "zero character"),
        ("x" * 2000, "at most 1000"),
        ("x" * 300, "cannot be opened"),
        ("\ud800", "cannot be opened"),
        ("~/secret", "there is no"),
        ("notes\\todo.txt", "there is no"),
    ],
)
def test_a_path_that_cannot_be_read_is_refused_with_its_reason(root: Path, path: str, part: str) -> None:
    assert part in refused(root, path)


def test_no_link_is_followed_wherever_it_stands(root: Path, tmp_path: Path) -> None:
    (root / "file_link").symlink_to(tmp_path / "secret.txt")
    (root / "inside_link").symlink_to("notes/todo.txt")
    (root / "folder_link").symlink_to(tmp_path / "outside")
    (root / "dangling").symlink_to("nowhere")
    (root / "loop").symlink_to("loop")

    for path in ("file_link", "inside_link", "folder_link/secret.txt", "folder_link", "dangling", "loop"):
        assert "is a link" in refused(root, path)
    with pytest.raises(ToolFailed, match="is a link"):
        FileRoot(root).list_folder("folder_link")
    listing = FileRoot(root).list_folder(".", is_recursive=True)
    assert "folder_link (a link, not followed)" in listing.splitlines()
    assert "secret" not in listing


def test_a_root_that_is_itself_a_link_is_what_it_points_to(root: Path, tmp_path: Path) -> None:
    (tmp_path / "root_link").symlink_to(root)

    assert FileRoot(tmp_path / "root_link").read("notes/todo.txt", 1, 1).startswith("one")


def test_a_link_that_is_swapped_in_meanwhile_leads_nowhere(root: Path, tmp_path: Path) -> None:
    target = root / "swap"
    real, link = root / "real", root / "link"
    real.mkdir()
    (real / "secret.txt").write_text("harmless")
    link.symlink_to(tmp_path / "outside")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            for source in (real, link):
                source.rename(target)
                target.rename(source)

    files, seen = FileRoot(root), set()
    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(2000):
            try:
                seen.add(files.read("swap/secret.txt"))
            except ToolFailed:
                continue
    finally:
        stop.set()
        thread.join()

    assert seen <= {"harmless"}


def test_a_file_that_is_no_regular_file_does_not_block(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(root / "pipe")
    monkeypatch.chdir(root)  # the path of a socket may have 108 characters
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("sock")

    assert "no regular file" in refused(root, "pipe")
    assert "cannot be opened" in refused(root, "sock")
    assert {"pipe (no regular file)", "sock (no regular file)"} <= set(FileRoot(root).list_folder().splitlines())


def test_binary_and_large_files_are_named_as_such(root: Path) -> None:
    (root / "image").write_bytes(b"\x89PNG\x00\xff")
    (root / "zeros").write_bytes(b"abc\0")
    (root / "large").write_bytes(b"x" * 11)
    (root / "wide").write_text("y" * 30)

    assert "no UTF-8 text (6 bytes)" in refused(root, "image")
    assert "binary file" in refused(root, "zeros")
    with pytest.raises(ToolFailed, match="has 11 bytes; files of at most 10"):
        FileRoot(root, FileLimits(max_file_bytes=10)).read("large")
    assert FileRoot(root, FileLimits(max_line_chars=5)).read("wide") == "yyyyy [… 25 more characters in this line]"


def test_what_the_system_says_is_told() -> None:
    assert "cannot be opened: Input/output error" in refused(Path("/proc/self"), "mem")


def test_folders_are_listed_sorted_with_sizes(root: Path) -> None:
    files = FileRoot(root)

    assert files.list_folder() == "empty 0\nnotes/\n空.txt 9"
    assert files.list_folder("notes") == "deep/\ntodo.txt 14"
    assert files.list_folder(is_recursive=True).splitlines() == ["empty 0", "notes/", "notes/deep/", "notes/deep/end.md 3", "notes/todo.txt 14", "空.txt 9"]
    (root / "bare").mkdir()
    assert files.list_folder("bare") == "[the folder is empty]"
    with pytest.raises(ToolFailed, match="'empty' is no folder"):
        files.list_folder("empty")


def test_a_long_listing_ends_and_says_so(root: Path) -> None:
    for number in range(20):
        (root / "notes" / f"{number:02}").touch()
    files = FileRoot(root, FileLimits(max_entries=5, max_depth=1))

    assert files.list_folder(is_recursive=True).splitlines() == ["empty 0", "notes/", "空.txt 9"]
    assert files.list_folder("notes").splitlines()[-1] == "[only the first 5 entries: list a folder below]"
    assert len(FileRoot(root, FileLimits(max_entries=5)).list_folder(is_recursive=True).splitlines()) == 6


def test_a_folder_that_cannot_be_opened_does_not_spoil_the_listing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def refusing(path: Any, *arguments: Any, **options: Any) -> int:
        if path == "deep":
            raise PermissionError(13, "Permission denied")
        return real(path, *arguments, **options)

    files = FileRoot(root)
    monkeypatch.setattr(os, "open", refusing)

    assert files.list_folder(is_recursive=True).splitlines() == [
        "empty 0",
        "notes/",
        "notes/deep/ (cannot be opened: Permission denied)",
        "notes/todo.txt 14",
        "空.txt 9",
    ]


def test_no_descriptor_is_left_open(root: Path) -> None:
    def count() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    files, before = FileRoot(root), count()
    for path in ("notes/todo.txt", "nothing", "notes/x/y", "notes"):
        for _ in range(20):
            try:
                files.read(path)
            except ToolFailed:
                files.list_folder(is_recursive=True)

    assert count() == before


@pytest.fixture
def gone(root: Path) -> FileRoot:
    files = FileRoot(root)
    root.rename(root.with_name("moved"))
    return files


def test_a_root_that_has_gone_is_named(gone: FileRoot) -> None:
    with pytest.raises(ToolFailed, match="cannot be opened: No such file"):
        gone.read("notes/todo.txt")


async def test_the_tools_read_below_the_root(root: Path) -> None:
    registry = builtin_tools(root)

    assert await registry.execute("read_file", {"path": "notes/todo.txt", "limit": 1}) == "one\n[lines 1-1 of 3; go on with offset=2]"
    assert await registry.execute("list_files", "") == "empty 0\nnotes/\n空.txt 9"
    assert "notes/deep/end.md 3" in await registry.execute("list_files", '{"recursive": true}')
    with pytest.raises(ToolFailed):
        await registry.execute("read_file", {"path": "../secret.txt"})
