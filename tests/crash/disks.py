"""Records what a real process does to its disk, and rebuilds what a power loss could have left of it."""

import os
import random
import shutil
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
SECTOR = 512
WRITE, SYNC, TRUNCATE, UNLINK = 1, 2, 3, 4


class Operation(NamedTuple):
    """One thing that was done to a file."""

    kind: int
    name: str
    offset: int
    data: bytes


def shim(folder: Path) -> Path:
    """Return the compiled shim."""
    assert COMPILER is not None, "the suites of power loss and full disks need a C compiler: apt-get install gcc libc6-dev"
    library = folder / "disk.so"
    subprocess.run([COMPILER, "-shared", "-fPIC", "-O1", "-o", str(library), str(HERE / "disk.c"), "-ldl", "-lpthread"], check=True)
    return library


def play(library: Path, program: str, folder: Path, *words: str, fail: str = "") -> subprocess.CompletedProcess[str]:
    """Run a Python program on a folder with the shim in it; the record is in `folder.log`."""
    env = {**os.environ, "LD_PRELOAD": str(library), "DISK_DIR": str(folder), "DISK_LOG": f"{folder}.log"} | ({"DISK_FAIL": fail} if fail else {})
    return subprocess.run([sys.executable, "-c", program, str(folder), *words], env=env, capture_output=True, text=True, check=False, timeout=120)


def record_of(path: Path) -> list[Operation]:
    """Return what was done, in order."""
    found, data, place = [], path.read_bytes(), 0
    while place < len(data):
        kind, offset, length, name_length = struct.unpack_from("<4Q", data, place)
        place += 32
        name = Path(data[place : place + name_length].decode()).name
        place += name_length
        body = data[place : place + length] if kind == WRITE else b""
        place += len(body)
        found.append(Operation(kind, name, offset, body))
    return found


class Disk:
    """Files as they are on the disk for certain, and what was written since the last sync of each."""

    def __init__(self) -> None:
        self.certain: dict[str, bytearray] = {}
        self.pending: dict[str, list[Operation]] = {}

    def take(self, operation: Operation) -> None:
        """Go on by one operation."""
        if operation.kind == SYNC:
            self.certain[operation.name] = _with(self.certain.get(operation.name), self.pending.pop(operation.name, []))
        elif operation.kind == UNLINK:
            self.certain.pop(operation.name, None)
            self.pending.pop(operation.name, None)
        else:
            self.pending.setdefault(operation.name, []).append(operation)

    def after_power_loss(self, chance: random.Random) -> dict[str, bytes]:
        """Return the files as they may be found: of what was not synced all, nothing, or parts, in any order, sectors torn."""
        files = {name: bytes(data) for name, data in self.certain.items()}
        for name, waiting in self.pending.items():
            left = _survivors(waiting, chance)
            if left or name in files:
                files[name] = bytes(_with(self.certain.get(name), left))
        return files


def _survivors(waiting: Sequence[Operation], chance: random.Random) -> list[Operation]:
    way = chance.choice(["none", "first", "some", "some", "torn", "torn"])
    if way == "none":
        return []
    if way == "first":
        return list(waiting[: chance.randrange(len(waiting) + 1)])
    some = [operation for operation in waiting if chance.random() < 0.5]
    chance.shuffle(some)
    return some if way == "some" else [piece for operation in some for piece in _torn(operation, chance)]


def _torn(operation: Operation, chance: random.Random) -> list[Operation]:
    if operation.kind != WRITE:
        return [operation]
    starts = range(0, len(operation.data), SECTOR)
    return [Operation(WRITE, operation.name, operation.offset + start, operation.data[start : start + SECTOR]) for start in starts if chance.random() < 0.6]


def _with(before: bytearray | None, operations: Sequence[Operation]) -> bytearray:
    data = bytearray(before or b"")
    for operation in operations:
        if operation.kind == TRUNCATE:
            del data[operation.offset :]
            data.extend(bytes(max(operation.offset - len(data), 0)))
            continue
        end = operation.offset + len(operation.data)
        data.extend(bytes(max(end - len(data), 0)))
        data[operation.offset : end] = operation.data
    return data
