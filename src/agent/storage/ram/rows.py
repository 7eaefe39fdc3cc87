"""What a store in memory holds of a trace, and how it is read."""

import asyncio
from bisect import bisect_right, insort
from collections.abc import Mapping, Sequence

from agent.models.trace import Trace
from agent.storage.chain import digest
from agent.storage.codec import Coded, Page, Row, erase
from agent.storage.erasing import is_erased
from agent.storage.fields import GROWING
from agent.storage.lineage import Origin
from agent.storage.prune import Standing
from agent.storage.verify import ERASURE, Evidence, identity_of, seal_of


class Record:
    """One trace: its rows by sequence, and their links in the order of commit."""

    def __init__(self, trace: Trace, no: int) -> None:
        self.trace, self.no = trace, no
        self.epoch = 0
        self.owner: str | None = None
        self.loop: asyncio.AbstractEventLoop | None = None  # in which its owner drives it
        self.sequences: list[int] = []
        self.rows: dict[int, Row] = {}
        self.names: dict[str, int] = {}
        self.links: dict[int, bytes] = {}  # in the order of commit
        self.link = self.seal = b""
        self.begin_after(b"")
        self.blobs: set[bytes] = set()

    def begin_after(self, seam: bytes) -> None:
        """Begin the chain after the end of what the trace goes on from."""
        self.link = identity_of(self.trace).link(seam)
        self.seal = seal_of(self.link, fields_of(self.trace))

    @property
    def standing(self) -> Standing:
        """What a prune must know of it."""
        return Standing(self.no, self.trace.trace_id, self.trace.parent_trace_id, self.trace.conversation_id)

    @property
    def next_sequence(self) -> int:
        """The number that the next step gets."""
        if self.sequences:
            return self.sequences[-1] + 1
        return 0 if self.trace.fork_at is None else self.trace.fork_at + 1

    def add(self, step: Coded) -> None:
        """Take in a step that was checked."""
        self.link = step.link(self.link, self.trace.trace_id)
        self.links[step.sequence] = self.link
        self.rows[step.sequence] = (step.sequence, step.epoch, step.kind, step.at, step.parents, step.data, step.name)
        insort(self.sequences, step.sequence)
        if step.name is not None:
            self.names[step.name] = step.sequence
        self.blobs.update(digest for digest, _ in step.blobs)

    def erase(self, sequences: Sequence[int]) -> list[int]:
        """Forget what steps say, and return which ones said something."""
        gone = [n for n in sequences if self.rows[n][2] != ERASURE and not is_erased(self.rows[n][5])]
        for sequence in gone:
            row = self.rows[sequence]
            self.rows[sequence] = (*row[:5], erase(row[5]), row[6])
        page = Page(self.trace.trace_id)
        page.add(list(self.rows.values()))
        self.blobs = set(page.wanted)
        return gone


def fields_of(trace: Trace) -> bytes:
    """Return what the seal covers of the trace itself."""
    return digest(repr({name: value for name, value in trace.to_dict().items() if name not in GROWING}))


class RamRows:
    """The rows of all traces, as `restore` and `verify` read them."""

    def __init__(self, records: Mapping[str, Record], blobs: Mapping[bytes, bytes]) -> None:
        self._records, self._all_blobs = records, blobs

    def origin(self, trace_id: str) -> Origin | None:
        """Return what a trace goes on from."""
        record = self._records.get(trace_id)
        return Origin(record.trace.uid, record.trace.parent_trace_id, record.trace.fork_at) if record is not None else None

    def link(self, trace_id: str, sequence: int) -> bytes | None:
        """Return the link of a step."""
        record = self._records.get(trace_id)
        return record.links.get(sequence) if record is not None else None

    def evidence(self, trace_id: str) -> Evidence | None:
        """Return what a trace is checked by."""
        record = self._records.get(trace_id)
        if record is None:
            return None
        rows = [(record.rows[sequence], link) for sequence, link in record.links.items()]
        return Evidence(record.trace, rows, record.seal, fields_of(record.trace), frozenset(record.blobs))

    def span(self, trace_id: str, after: int, limit: int | None, last: int | None = None) -> Sequence[Row]:
        """Return rows after a sequence, in order."""
        record = self._records.get(trace_id)
        if record is None:
            return ()
        first = bisect_right(record.sequences, after)
        until = len(record.sequences) if last is None else bisect_right(record.sequences, last)
        return [record.rows[sequence] for sequence in record.sequences[first : until if limit is None else min(until, first + max(limit, 0))]]

    def at(self, trace_id: str, sequences: Sequence[int]) -> Sequence[Row]:
        """Return the rows of these sequences, as far as they are there."""
        record = self._records.get(trace_id)
        return [record.rows[sequence] for sequence in sorted(sequences) if sequence in record.rows] if record else ()

    def named(self, trace_id: str, name: str) -> Sequence[Row]:
        """Return the row of a step with an id of its own."""
        record = self._records.get(trace_id)
        return [record.rows[record.names[name]]] if record and name in record.names else ()

    def blobs(self, digests: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """Return blobs by their hashes."""
        return {digest: self._all_blobs[digest] for digest in digests if digest in self._all_blobs}
