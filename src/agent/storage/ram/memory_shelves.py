"""What a memory in RAM amounts to: its log, its items on shelves with an index of their words, and its uses."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from agent.clock import to_ms
from agent.core.rank import Candidate, Corpus, rank
from agent.core.text import telling_length, tokens
from agent.models.memory import Skill
from agent.models.value import replace
from agent.storage.memory_chain import Pledge, pledge
from agent.storage.memory_log import OF_USES, WHOLE, Change, Item, decode, id_of, is_in_use, is_visible, kind_of, origins_of, says, searched_text
from agent.storage.memory_search import Question
from agent.storage.memory_uses import Told

Place = tuple[str, str, str | None]
"""Kind, scope and owner."""


class Shelved(NamedTuple):
    """An item with what the search needs of it."""

    item: Item
    counts: Mapping[str, int]
    length: int
    created_ms: int


class Shelf:
    """Items of one kind, scope and owner, and which of them have which token."""

    def __init__(self) -> None:
        self.items: dict[str, Shelved] = {}
        self.having: dict[str, dict[str, None]] = {}

    def put(self, item: Item) -> None:
        """Take an item in."""
        words = tokens(searched_text(item))
        counts, item_id = Counter(words), id_of(item)
        self.items[item_id] = Shelved(item, counts, telling_length(words), to_ms(item.created_at))
        for word in counts:
            self.having.setdefault(word, {})[item_id] = None

    def take(self, item_id: str) -> None:
        """Take an item out."""
        for word in self.items.pop(item_id).counts:
            del self.having[word][item_id]
            if not self.having[word]:
                del self.having[word]


class RamLedger:
    """The log and what it amounts to; see `memory_forgetting.SourceLedger`."""

    def __init__(self, max_item_bytes: int) -> None:
        self.max_item_bytes = max_item_bytes
        self.changes: list[Change] = []
        self.pledges: list[Pledge] = []
        self.shelves: dict[Place, Shelf] = {}
        self.uses: dict[str, Told] = {}  # in the order in which they were recorded
        self._places: dict[str, Place] = {}  # of each item
        self._entries: dict[tuple[str, bool], list[int]] = {}  # of each item, and of each use
        self._forgotten: set[tuple[str, bool]] = set()
        self._last: dict[tuple[str, str | None], str] = {}  # the run with the last use of a scope and owner

    # ---- items

    def find(self, item_id: str) -> Item | None:
        """Return an item, whoever owns it."""
        place = self._places.get(item_id)
        return self.shelves[place].items[item_id].item if place is not None else None

    def skill_named(self, scope: str, uid: str | None, name: str) -> Skill | None:
        """Return the active skill of exactly this scope, owner and name."""
        shelf = self.shelves.get(("skill", scope, uid))
        found = (entry.item for entry in shelf.items.values()) if shelf is not None else ()
        return next((item for item in found if isinstance(item, Skill) and (item.name, item.state) == (name, "active")), None)

    def was_forgotten(self, item_id: str) -> bool:
        """Whether there was such an item, and its words were removed."""
        return (item_id, False) in self._forgotten

    def changes_of(self, item_id: str) -> list[Change]:
        """Return the entries about an item, oldest first."""
        return [self.changes[n] for n in self._entries.get((item_id, False), ())]

    def numbered(self, item_id: str) -> list[tuple[int, Change]]:
        """Return the entries about an item, or about the use of a run, with their numbers, oldest first."""
        places = self._entries.get((item_id, False), []) + self._entries.get((item_id, True), [])
        return [(n + 1, self.changes[n]) for n in sorted(places)]

    def record(self, change: Change, after: Item | None) -> None:
        """Append `change` and make the item what it is `after` it."""
        self._append(change)
        self._become(change.item_id, after)

    def erase(self, item_ids: Collection[str]) -> None:
        """Remove the words of items from the log so far."""
        for item_id in item_ids:
            self._empty((item_id, False))

    def items_from(self, origin: str) -> list[str]:
        """Return the items of which any version rests on this."""
        return list(dict.fromkeys(change.item_id for change, item in self._versions() if origin in origins_of(item)))

    def items_of(self, uid: str) -> list[str]:
        """Return the items that are or were this uid's."""
        mine = (change.item_id for change in self.changes if change.uid == uid and change.change not in OF_USES)
        return [item_id for item_id in dict.fromkeys(mine) if item_id in self._places]

    def items_saying(self, text: str) -> list[str]:
        """Return the items of which any version holds these words."""
        return list(dict.fromkeys(change.item_id for change, item in self._versions() if says(item, text)))

    def search(self, asked: Question) -> list[tuple[Item, float]]:
        """Return what fits, best first, with its score."""
        shelves = [
            shelf
            for (kind, scope, owner), shelf in self.shelves.items()
            if kind == asked.kind and scope in asked.scopes and (asked.uid is None or owner in {None, asked.uid})
        ]
        size, total = 0, 0
        candidates: list[Candidate] = []
        for shelf in shelves:
            having = {item_id for word in asked.words for item_id in shelf.having.get(word, ())}
            for item_id, (item, counts, length, created_ms) in shelf.items.items():
                if is_in_use(item, asked.now_ms, asked.states):
                    size, total = size + 1, total + length
                    if item_id in having:
                        candidates.append(Candidate(item_id, created_ms, length, {word: counts[word] for word in asked.words if word in counts}))
        best = rank(asked.words, candidates, Corpus(size, total), floor=asked.floor, limit=asked.limit)
        found = {ranked.item_id: ranked for ranked in best}
        items = [(self.find(item_id), ranked.score) for item_id, ranked in found.items()]
        return [(item, score) for item, score in items if item is not None]

    # ---- uses

    def find_use(self, trace_id: str) -> Told | None:
        """Return the use of a run."""
        return self.uses.get(trace_id)

    def last_use(self, scope: str, uid: str | None) -> Told | None:
        """Return the use with the largest number of exactly this scope and owner."""
        trace_id = self._last.get((scope, uid))
        return self.uses[trace_id] if trace_id is not None else None

    def use_was_forgotten(self, trace_id: str) -> bool:
        """Whether there was a use of this run, and it was removed."""
        return (trace_id, True) in self._forgotten

    def record_use(self, change: Change, after: Told | None) -> None:
        """Append `change` and make the use what it is `after` it."""
        self._append(change)
        if after is not None:
            self.uses[change.item_id] = after
            if change.change == "used":
                self._last[after.use.scope, after.use.uid] = change.item_id
            return
        self._forgotten.add((change.item_id, True))
        gone = self.uses.pop(change.item_id).use
        place = (gone.scope, gone.uid)
        if self._last[place] == change.item_id:
            del self._last[place]
            left = [trace_id for trace_id, told in self.uses.items() if (told.use.scope, told.use.uid) == place]
            if left:
                self._last[place] = left[-1]

    def erase_uses(self, trace_ids: Collection[str]) -> None:
        """Remove what the log says of these uses."""
        for trace_id in trace_ids:
            self._empty((trace_id, True))

    def uses_from(self, *, uid: str | None, trace_id: str | None) -> list[str]:
        """Return the runs of this owner, or of this id, that have a use."""
        uses: Sequence[Told] = list(self.uses.values()) if trace_id is None else [self.uses[trace_id]] if trace_id in self.uses else []
        return [told.use.trace_id for told in uses if uid is None or told.use.uid == uid]

    # ---- inside

    def _append(self, change: Change) -> None:
        self._entries.setdefault((change.item_id, change.change in OF_USES), []).append(len(self.changes))
        self.changes.append(change)
        self.pledges.append(pledge(self.pledges[-1].link if self.pledges else b"", len(self.changes), change))

    def _become(self, item_id: str, item: Item | None) -> None:
        place = self._places.pop(item_id, None)
        if place is not None:
            self.shelves[place].take(item_id)
            if not self.shelves[place].items:
                del self.shelves[place]
        if item is None:
            self._forgotten.add((item_id, False))
            return
        self._places[item_id] = place = (kind_of(item), item.scope, item.uid)
        self.shelves.setdefault(place, Shelf()).put(item)

    def _empty(self, what: tuple[str, bool]) -> None:
        for n in self._entries.get(what, ()):
            if self.changes[n].data is not None:
                self.changes[n], self.pledges[n] = replace(self.changes[n], data=None), self.pledges[n]._replace(salt=None)

    def _versions(self) -> Iterator[tuple[Change, Item]]:
        for change in self.changes:
            if change.data is not None and change.change in WHOLE:
                yield change, decode(change.data)


def visible_items(ledger: RamLedger, kind: str, uid: str | None) -> Iterator[Item]:
    """Yield the items of a kind that `uid` sees."""
    for (its_kind, _, owner), shelf in ledger.shelves.items():
        if its_kind == kind and is_visible(owner, uid):
            yield from (entry.item for entry in shelf.items.values())
