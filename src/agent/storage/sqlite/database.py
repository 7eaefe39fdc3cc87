"""One SQLite file: a writer that groups commits, readers of their own, and a short way for a run that is alone."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self, TypeVar

from agent.errors import StoreClosed
from agent.storage.sqlite.faults import FAULTS, code_of, fault_of
from agent.storage.sqlite.schema import connect, prepare
from agent.storage.sqlite.writer import Outcome, Work, Writer, as_ours

T = TypeVar("T")

BUSY_TIMEOUT_S = 10.0
"""How long a lock of another process is waited for."""
READERS = 3
"""Threads that read, each with a connection of its own."""
MANY = 4
"""From so many driven runs on, what one turn of the event loop writes is handed to the writer at once."""
QUICK_S = 0.003
"""While a commit takes no longer than this and one run is alone, it is made on the event loop: two thread switches less."""


class Database:
    """Opened with `Database.open(path)`. Changes and questions are functions of a connection; they must not keep it."""

    def __init__(self, path: Path, *, may_block_loop: bool, busy_timeout_s: float) -> None:
        self.path = path
        self.writer = Writer(path, timeout_s=busy_timeout_s)
        self.drivers = 0  # runs that this process drives: with two or more, commits are worth grouping
        self.commits_here = 0
        self._may_block_loop = may_block_loop
        self._busy_timeout_s = busy_timeout_s
        self._here = connect(path, timeout_s=0)
        self._here_lock = threading.Lock()
        self._turn: asyncio.Task[object] | None = None  # who committed in this turn of the loop
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix=f"reader of {path.name}")
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._gathered: list[Work] = []  # to be handed over at the end of this turn of the loop
        self._is_closed = False

    @classmethod
    async def open(cls, path: Path | str, *, may_block_loop: bool = True, busy_timeout_s: float = BUSY_TIMEOUT_S) -> Self:
        """Return the database, created or brought up to date. A server sets `may_block_loop=False`.

        Raises:
            StoreUnusable, StoreBusy, StoreFull: it cannot be read or written.
            ForeignFile: not ours.
            FormatTooNew: a newer version of this program wrote it.
        """
        place = await asyncio.to_thread(Path(path).absolute)
        await asyncio.to_thread(prepare, place, timeout_s=busy_timeout_s)
        return cls(place, may_block_loop=may_block_loop, busy_timeout_s=busy_timeout_s)

    async def write(self, change: Callable[[sqlite3.Connection], T]) -> T:
        """Make a change and return its value once it is on the disk. An exception in it takes back this change alone.

        It shares a transaction with what others write at the same time, and may be called a second time, after a rollback:
        it must not commit, nor touch anything but the connection. A cancelled caller's change may have been made.

        Raises:
            StoreFull, StoreBusy, StoreUnusable: nothing was written.
            StoreClosed: the store was closed.
        """
        if self._is_closed:
            raise self._closed()
        if self._may_commit_here():
            outcome = self._commit_here(change)
            if outcome is not None:
                if self._is_second_in_turn():
                    await asyncio.sleep(0)  # others are to have their turn
                if outcome.error is not None:
                    raise outcome.error
                value: T = outcome.value
                return value
        return await self._hand_over(change, is_alone=False)

    async def write_statement(self, change: Callable[[sqlite3.Connection], T]) -> T:
        """Make a change that is one statement, as `write` does, for a run that lets others have their turn by itself.

        The shortest way there is: alone, a statement is its own transaction, and neither begun nor committed by another.

        Raises:
            StoreFull, StoreBusy, StoreUnusable, StoreClosed: as `write`.
        """
        is_quick = self.drivers == 1 and self._may_block_loop and not self.writer.pending and not self._gathered and self.writer.pace_s <= QUICK_S
        if not is_quick or self._is_closed or not self._here_lock.acquire(blocking=False):
            return await self.write(change)
        began = time.perf_counter()
        try:
            value = change(self._here)
        except Exception as error:  # noqa: BLE001  # it is the caller's, and goes to the caller
            if code_of(error) != sqlite3.SQLITE_BUSY:
                raise as_ours(error, self.path) from error.__cause__
        else:
            self.commits_here += 1
            self.writer.pace_s += (time.perf_counter() - began - self.writer.pace_s) / 8
            return value
        finally:
            self._here_lock.release()
        return await self.write(change)  # another process holds the lock: the writer waits for it

    async def alone(self, change: Callable[[sqlite3.Connection], T]) -> T:
        """Run something on the writer between transactions (a checkpoint, `vacuum`) and return its value.

        Raises:
            StoreFull, StoreBusy, StoreUnusable, StoreClosed: as `write`.
        """
        return await self._hand_over(change, is_alone=True)

    async def read(self, question: Callable[[sqlite3.Connection], T], *, is_small: bool = False) -> T:
        """Return what `question` reads; it must fetch all and hold no cursor. `is_small`: a few rows, by an index.

        Raises:
            StoreBusy, StoreUnusable, StoreClosed: it could not be read.
        """
        if self._is_closed:
            raise self._closed()
        if is_small and self._may_block_loop and self._here_lock.acquire(blocking=False):
            try:
                return question(self._here)
            except FAULTS as error:
                if code_of(error) != sqlite3.SQLITE_BUSY:
                    raise fault_of(error, self.path) from error
            finally:
                self._here_lock.release()
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._ask, question)

    async def close(self) -> None:
        """Write what was handed over and let go of the file. A second call does nothing."""
        self._is_closed = True
        self._submit_gathered()
        await asyncio.to_thread(self._close)

    # ---- on the event loop

    def _may_commit_here(self) -> bool:
        """Whether nobody else waits: else a commit here would overtake a batch, or cost every one of many an fsync."""
        if not self._may_block_loop or self.drivers > 1 or self.writer.pending or self._gathered or self.writer.pace_s > QUICK_S:
            return False
        return self._turn is None or self._turn is asyncio.current_task()

    def _commit_here(self, change: Callable[[sqlite3.Connection], T]) -> Outcome | None:
        """Return how it ended, or None if the file was locked."""
        if not self._here_lock.acquire(blocking=False):
            return None
        try:
            (outcome,) = self.writer.commit(self._here, [change])
        finally:
            self._here_lock.release()
        if outcome.error is not None and code_of(outcome.error.__cause__ or outcome.error) == sqlite3.SQLITE_BUSY:
            return None
        self.commits_here += 1
        return outcome

    def _is_second_in_turn(self) -> bool:
        if self._turn is not None:
            return True
        self._turn = asyncio.current_task()
        asyncio.get_running_loop().call_soon(self._end_turn)
        return False

    def _end_turn(self) -> None:
        self._turn = None

    async def _hand_over(self, change: Callable[[sqlite3.Connection], T], *, is_alone: bool) -> T:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        work = Work(change, future, is_alone)
        if self.drivers < MANY or (self._gathered and self._gathered[0].future.get_loop() is not loop):
            self.writer.submit([work])
        else:  # what many runs write in one turn of the loop goes over at once: each wake of the writer costs all of them
            self._gathered.append(work)
            if len(self._gathered) == 1:
                loop.call_soon(self._submit_gathered)
        return await future

    def _submit_gathered(self) -> None:
        works, self._gathered = self._gathered, []
        try:
            if works:
                self.writer.submit(works)
        except StoreClosed as error:
            for work in works:
                if not work.future.done():
                    work.future.set_exception(error)

    # ---- in other threads

    def _ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        try:
            db: sqlite3.Connection | None = getattr(self._local, "db", None)
            if db is None:
                db = self._local.db = connect(self.path, timeout_s=self._busy_timeout_s, is_reader=True)
                self._connections.append(db)
            return question(db)
        except FAULTS as error:
            raise fault_of(error, self.path) from error

    def _close(self) -> None:
        self._readers.shutdown()
        for db in self._connections:
            db.close()
        with self._here_lock:
            self._here.close()
        self.writer.close()  # last: it leaves the file without a journal

    def _closed(self) -> StoreClosed:
        return StoreClosed(f"{str(self.path)!r} was closed: open it again")
