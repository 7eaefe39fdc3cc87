"""The memory's tables, inside one transaction: the log, and the items, shelves and postings that it amounts to."""

import json
import sqlite3
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from agent.clock import from_ms, to_ms
from agent.core.rank import Candidate, Corpus
from agent.core.text import TOKENIZER, tokens
from agent.models.memory import Skill
from agent.storage.memory_chain import Entry, pledge
from agent.storage.memory_log import (
    MAX_ITEM_BYTES,
    OF_USES,
    Change,
    Item,
    applied,
    decode,
    encode,
    id_of,
    kind_of,
    name_of,
    searched_text,
    state_of,
    term_of,
    told_of,
)
from agent.storage.sqlite.owners import owner_of
from agent.storage.unicode import findable

_OF_ID = "no in (select number from memory_log where item_id = ?)"  # an item has the number of one of its entries
_OWNED = "(:owner is null or owner in ('', :owner))"
_SHELVES = f"select no from memory_shelf where kind = :kind and scope = :scope and {_OWNED}"  # noqa: S608 (constants, as in all below)
_IN_USE = "state = 'active' and (valid_from is null or valid_from <= :now) and (valid_to is null or valid_to > :now)"
_SIZE = f"select count(*), coalesce(sum(length), 0) from memory_item where shelf in ({_SHELVES}) and {_IN_USE}"  # noqa: S608
_MATCHES = f"""
    select item, token, count, length, created, id
    from memory_posting p join memory_item i on i.no = p.item and i.shelf = p.shelf
    where p.shelf in ({_SHELVES}) and token in (select value from json_each(:query)) and {_IN_USE}
"""  # noqa: S608
_LARGEST = (1 << 63) - 1  # what SQLite can compare
_NEWEST = f"""
    select data from memory_item
    where +shelf in (select no from memory_shelf where kind = :kind and (:scope is null or scope = :scope) and {_OWNED})
    and (:state is null or state = :state)
    and (:created is null or (created, id) < (:created, :id))
    order by created desc, id desc limit :limit
"""  # noqa: S608
_COLUMNS = "number, at, uid, change, item_id, by, successor, data"
_ENTRIES = f"""
    select {_COLUMNS} from memory_log
    where (:uid is null or uid is null or uid = :uid)
"""  # noqa: S608
_NO_USES = f"change not in ({', '.join(repr(change) for change in sorted(OF_USES))})"


class SqliteLedger:
    """See `memory_rules.Ledger`."""

    def __init__(self, db: sqlite3.Connection, max_item_bytes: int = MAX_ITEM_BYTES) -> None:
        self._db = db
        self.max_item_bytes = max_item_bytes

    def find(self, item_id: str) -> Item | None:
        """Return an item, whoever owns it."""
        row = self._db.execute(f"select data from memory_item where {_OF_ID}", (findable(item_id),)).fetchone()  # noqa: S608
        return decode(row[0]) if row else None

    def skill_named(self, scope: str, uid: str | None, name: str) -> Skill | None:
        """Return the active skill of exactly this scope, owner and name."""
        shelf = self._shelf("skill", scope, uid)
        row = self._db.execute("select data from memory_item where shelf = ? and state = 'active' and name = ?", (shelf, name)).fetchone()
        item = decode(row[0]) if row else None
        return item if isinstance(item, Skill) else None

    def was_forgotten(self, item_id: str) -> bool:
        """Whether there was such an item, and its words were removed."""
        return self._db.execute("select 1 from memory_log where item_id = ? and change = 'forgotten'", (findable(item_id),)).fetchone() is not None

    def record(self, change: Change, after: Item | None) -> None:
        """Append `change` and make the item what it is `after` it."""
        last, link = self._db.execute("select max(number), hash from memory_log").fetchone()
        number = 1 if last is None else last + 1
        entry = pledge(link or b"", number, change)
        self._db.execute(
            "insert into memory_log(number, at, uid, change, item_id, by, successor, data, salt, pledge, hash) values(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (number, to_ms(change.at), change.uid, change.change, change.item_id, change.by, change.successor_id, change.data, *entry),
        )
        self._become(change.item_id, after, number)

    def changes_of(self, item_id: str) -> list[Change]:
        """Return the entries about an item, oldest first."""
        return [entry.change for entry in log_of(self._db) if entry.change.item_id == item_id]

    def erase(self, item_ids: Collection[str]) -> None:
        """Remove the words of items from what is indexed and from the log so far."""
        for item_id in item_ids:
            self._erase(item_id)

    def _erase(self, item_id: str) -> None:
        self._db.execute("update memory_log set data = null, salt = null where item_id = ? and data is not null", (item_id,))
        # By the item, not by its tokens: whatever tokenizer made them.
        item = f"select shelf, no from memory_item where {_OF_ID}"  # noqa: S608
        self._db.execute(f"delete from memory_posting where (shelf, item) in ({item})", (item_id,))  # noqa: S608

    def rebuild(self) -> None:
        """Make items, shelves and postings anew from the log."""
        for table in ("memory_posting", "memory_item", "memory_shelf"):
            self._db.execute(f"delete from {table}")  # noqa: S608 (names from the line above)
        for entry in log_of(self._db):
            item_id = entry.change.item_id
            self._become(item_id, applied(self.find(item_id), entry.change), entry.number)

    def is_indexed(self) -> bool:
        """Whether the postings are those of this program's tokenizer."""
        return self._db.execute("select 1 from memory_shelf where tokenizer <> ?", (TOKENIZER,)).fetchone() is None

    def _become(self, item_id: str, item: Item | None, number: int | None) -> None:
        row = self._db.execute(f"select no, shelf, data from memory_item where {_OF_ID}", (item_id,)).fetchone()  # noqa: S608
        if row is None:
            if item is not None:
                self._put(item, number, opener=number)
            return
        before = decode(row[2])
        self._unindex(row[0], row[1], before)
        self._db.execute("delete from memory_item where no = ?", (row[0],))
        if item is not None:
            self._put(item, row[0], opener=number)
        self._db.execute(
            "delete from memory_shelf where kind = ? and scope = ? and owner = ? and not exists (select 1 from memory_item where shelf = memory_shelf.no)",
            (kind_of(before), before.scope, owner_of(before.uid)),
        )

    def _put(self, item: Item, number: int | None, *, opener: int | None) -> None:
        words = Counter(tokens(searched_text(item)))
        shelf = self._shelf(kind_of(item), item.scope, item.uid)
        if shelf is None:
            shelf = opener
            values = (kind_of(item), item.scope, owner_of(item.uid), shelf, TOKENIZER)
            self._db.execute("insert into memory_shelf(kind, scope, owner, no, tokenizer) values(?, ?, ?, ?, ?)", values)
        self._db.execute(
            "insert into memory_item(no, id, shelf, name, state, created, valid_from, valid_to, length, data) values(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                number,
                id_of(item),
                shelf,
                name_of(item),
                state_of(item),
                to_ms(item.created_at),
                *term_of(item),
                words.total(),
                encode(item),
            ),
        )
        if state_of(item) == "active":
            rows = [(shelf, word, number, count) for word, count in words.items()]
            self._db.executemany("insert into memory_posting(shelf, token, item, count) values(?, ?, ?, ?)", rows)

    def _unindex(self, number: int, shelf: int, item: Item) -> None:
        if state_of(item) == "active":
            rows = [(shelf, word, number) for word in set(tokens(searched_text(item)))]
            self._db.executemany("delete from memory_posting where shelf = ? and token = ? and item = ?", rows)

    def _shelf(self, kind: str, scope: str, uid: str | None) -> int | None:
        row = self._db.execute("select no from memory_shelf where kind = ? and scope = ? and owner = ?", (kind, scope, owner_of(uid))).fetchone()
        return row[0] if row else None


def log_of(db: sqlite3.Connection) -> list[Entry]:
    """Return the whole log, oldest first."""
    rows = db.execute("select number, salt, pledge, hash, at, uid, change, item_id, by, successor, data from memory_log order by number").fetchall()
    return [
        Entry(number, Change(at=from_ms(at), uid=uid, change=change, item_id=item_id, by=by, successor_id=successor, data=data), salt, commit, link)
        for number, salt, commit, link, at, uid, change, item_id, by, successor, data in rows
    ]


def matches(db: sqlite3.Connection, query: Sequence[str], place: Mapping[str, Any]) -> tuple[list[Candidate], Corpus]:
    """Return every item in use that has a token of `query`, and all that could have. `place`: kind, scope, owner, now (milliseconds)."""
    size, total = db.execute(_SIZE, place).fetchone()
    rows = db.execute(_MATCHES, {**place, "query": json.dumps(query)}).fetchall()
    found: dict[int, tuple[str, int, int, dict[str, int]]] = {}
    for item, token, count, length, created, item_id in rows:
        entry = found.get(item)
        if entry is None:
            found[item] = (item_id, created, length, {token: count})
        else:
            entry[3][token] = count
    return [Candidate(*entry) for entry in found.values()], Corpus(size, total)


def items_of(db: sqlite3.Connection, item_ids: Sequence[str]) -> dict[str, Item]:
    """Return items by their ids; an id that is not there is left out."""
    numbers = "select number from memory_log where item_id in (select value from json_each(?))"
    rows = db.execute(f"select id, data from memory_item where no in ({numbers})", (json.dumps(item_ids),)).fetchall()  # noqa: S608
    return {item_id: decode(data) for item_id, data in rows}


def newest(db: sqlite3.Connection, filters: Mapping[str, Any], *, limit: int | None) -> list[Item]:
    """Return items, newest first. `filters`: kind, owner, scope, state, and created and id of the last one seen; None leaves it open."""
    rows = db.execute(_NEWEST, {**filters, "limit": -1 if limit is None else max(min(limit, _LARGEST), 0)}).fetchall()
    return [decode(data) for (data,) in rows]


def entries(db: sqlite3.Connection, *, uid: str | None, item_id: str | None) -> list[dict[str, Any]]:
    """Return entries of the log, oldest first, as `history` tells them."""
    chosen = f"{_ENTRIES} and {_NO_USES}" if item_id is None else f"{_ENTRIES} and item_id = :item_id"
    rows = db.execute(f"{chosen} order by number", {"uid": uid and findable(uid), "item_id": item_id and findable(item_id)}).fetchall()
    return [told_of(row[0], _change(row), with_item=item_id is not None) for row in rows]


def _change(row: Sequence[Any]) -> Change:
    _, at, uid, change, item_id, by, successor, data = row
    return Change(at=from_ms(at), uid=uid, change=change, item_id=item_id, by=by, successor_id=successor, data=data)
