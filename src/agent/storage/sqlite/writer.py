"""One writer thread for a file: what waits when the disk is free becomes one transaction (group commit)."""

import asyncio
import contextlib
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from agent.errors import StoreClosed
from agent.storage.sqlite.faults import fault_of, is_of_the_file
from agent.storage.sqlite.schema import connect

BATCH = 1024
"""At most so many items become one transaction."""
PULSE_S = 8.0
"""How often the writer calls `pulse`, also while the event loop is blocked."""

Change = Callable[[sqlite3.Connection], Any]


class Work(NamedTuple):
    """One item of a transaction, and who waits for it."""

    change: Change
    future: asyncio.Future[Any]
    is_alone: bool = False  # runs between transactions


class Outcome(NamedTuple):
    """How an item ended."""

    value: Any
    error: Exception | None


class Writer:
    """Commits what is handed over, in that order. `pending` counts what is not settled: an empty queue is no idle writer."""

    def __init__(self, path: Path, *, timeout_s: float) -> None:
        self.path = path
        self.pending = 0
        self.commits = 0
        self.pace_s = 0.0  # what a commit takes, smoothed
        self.pulse: Callable[[], Change | None] | None = None  # asked what to write at each beat
        self._queue: queue.SimpleQueue[Sequence[Work | None]] = queue.SimpleQueue()
        self._held: deque[Work | None] = deque()  # taken from the queue; None is the end
        self._lock = threading.Lock()
        self._db = connect(path, timeout_s=timeout_s)
        self._is_closed = False
        self._next_pulse = 0.0
        self._thread = threading.Thread(target=self._serve, name=f"writer of {path.name}", daemon=True)
        self._thread.start()

    def submit(self, works: Sequence[Work]) -> None:
        """Hand items over at once; the future of each is settled on its own loop.

        Raises:
            StoreClosed: the writer takes no more.
        """
        with self._lock:
            if self._is_closed:
                raise StoreClosed(f"{str(self.path)!r} was closed: open it again")
            self.pending += len(works)
            self._queue.put(works)

    def commit(self, db: sqlite3.Connection, changes: Sequence[Change]) -> list[Outcome]:
        """Make all changes in one transaction on `db`, and take the time into the pace."""
        began = time.perf_counter()
        outcomes = commit(db, self.path, changes)
        self.pace_s += (time.perf_counter() - began - self.pace_s) / 8
        return outcomes

    def close(self) -> None:
        """Write what was handed over, then end. Blocks; a second call does nothing."""
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                self._queue.put([None])
        self._thread.join()
        self._db.close()

    def _serve(self) -> None:
        while True:
            batch, is_last = self._next_batch()
            if batch:
                outcomes = [self._run_alone(batch[0])] if batch[0].is_alone else self._commit(batch)
                with self._lock:
                    self.pending -= len(batch)
                _settle(batch, outcomes)
            if is_last:
                return
            if time.monotonic() >= self._next_pulse:
                self._beat()

    def _next_batch(self) -> tuple[list[Work], bool]:
        """Return what waits, in order, and whether it was the last. Nothing after `PULSE_S`; an `is_alone` comes by itself."""
        try:
            while not self._held or (len(self._held) < BATCH and not self._queue.empty()):
                self._held.extend(self._queue.get(timeout=PULSE_S))
        except queue.Empty:
            return [], False
        batch: list[Work] = []
        while self._held and len(batch) < BATCH:
            item = self._held.popleft()
            if item is None:
                return batch, True
            if item.is_alone and batch:
                self._held.appendleft(item)
                break
            batch.append(item)
            if item.is_alone:
                break
        return batch, False

    def _commit(self, batch: Sequence[Work]) -> list[Outcome]:
        self.commits += 1
        return self.commit(self._db, [work.change for work in batch])

    def _run_alone(self, work: Work) -> Outcome:
        try:
            return Outcome(work.change(self._db), None)
        except Exception as error:  # noqa: BLE001  # it is the caller's, and goes to the caller
            roll_back(self._db)
            return Outcome(None, as_ours(error, self.path))

    def _beat(self) -> None:
        """A beat that fails is late, not fatal: the next one may come in time."""
        self._next_pulse = time.monotonic() + PULSE_S
        pulse = self.pulse
        change = pulse() if pulse else None
        if change:
            commit(self._db, self.path, [change])


def commit(db: sqlite3.Connection, path: Path, changes: Sequence[Change]) -> list[Outcome]:
    """Make all changes in one transaction. If one is refused: once more, with a savepoint around each; it fails alone."""
    roll_back(db)
    try:
        db.execute("begin immediate")
        outcomes = [Outcome(change(db), None) for change in changes]
        db.execute("commit")
        return outcomes
    except Exception as error:  # noqa: BLE001  # every caller gets an outcome, or drivers wait for ever
        roll_back(db)
        if len(changes) > 1 and not is_of_the_file(error):
            return _commit_each(db, path, changes)
        return [Outcome(None, as_ours(error, path)) for _ in changes]
    except BaseException:
        roll_back(db)
        raise


def _commit_each(db: sqlite3.Connection, path: Path, changes: Sequence[Change]) -> list[Outcome]:
    try:
        db.execute("begin immediate")
        outcomes = [_try(db, path, change) for change in changes]
        db.execute("commit")
        return outcomes
    except sqlite3.Error as error:
        roll_back(db)
        return [Outcome(None, as_ours(error, path)) for _ in changes]


def _try(db: sqlite3.Connection, path: Path, change: Change) -> Outcome:
    db.execute("savepoint item")
    try:
        outcome = Outcome(change(db), None)
    except Exception as error:
        if is_of_the_file(error):
            raise
        db.execute("rollback to item")
        outcome = Outcome(None, as_ours(error, path))
    db.execute("release item")
    return outcome


def as_ours(error: Exception, path: Path) -> Exception:
    """Return our error where the file failed; any other one as it is."""
    if isinstance(error, sqlite3.Error) and is_of_the_file(error):
        ours = fault_of(error, path)
        ours.__cause__ = error
        return ours
    return error


def roll_back(db: sqlite3.Connection) -> None:
    """Take back what is not committed."""
    """End the transaction, if there is one: SQLite may have rolled back by itself. Where the disk refuses, the next `commit` tries again."""
    if db.in_transaction:
        with contextlib.suppress(sqlite3.Error):
            db.execute("rollback")


def _settle(batch: Sequence[Work], outcomes: Sequence[Outcome]) -> None:
    """Tell every loop once about all of its items."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Outcome]]] = {}
    for work, outcome in zip(batch, outcomes, strict=True):
        by_loop.setdefault(work.future.get_loop(), []).append((work.future, outcome))
    for loop, pairs in by_loop.items():
        try:
            loop.call_soon_threadsafe(_tell, pairs)
        except RuntimeError:  # that loop is closed: nobody waits any more
            continue


def _tell(pairs: Sequence[tuple[asyncio.Future[Any], Outcome]]) -> None:
    for future, (value, error) in pairs:
        if future.done():  # its caller was cancelled
            continue
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)
