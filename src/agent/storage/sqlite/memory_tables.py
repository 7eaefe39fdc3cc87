"""The memory's tables, inside one transaction: the log, and the items, shelves, postings and uses that it amounts to."""

import json
import sqlite3
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

from agent.clock import from_ms, to_ms
from agent.core.text import TOKENIZER, telling_length, tokens
from agent.models.memory import Skill
from agent.models.value import replace
from agent.storage.memory_chain import Entry, pledge
from agent.storage.memory_log import (
    MAX_ITEM_BYTES,
    OF_USES,
    WHOLE,
    Change,
    Item,
    applied,
    decode,
    encode,
    id_of,
    kind_of,
    name_of,
    origins_of,
    searched_text,
    state_of,
    term_of,
)
from agent.storage.memory_uses import Told, applied_use, decode_told
from agent.storage.sqlite.owners import owner_of
from agent.storage.unicode import findable, is_unicode

USES = f"({', '.join(repr(change) for change in sorted(OF_USES))})"
"""The changes that are about uses, for `in`."""
ENTRY = "number, at, uid, change, item_id, by, successor, data"
"""Columns of the log of which `change_of` makes a change."""
ITEM = "coalesce(data, (select l.data from memory_log l where l.number = no))"
"""An item's bytes: of a case they are in the log only."""
SPOKEN = {"memory_log": "number", "memory_item": "no", "memory_posting": "shelf, token, item"}
"""Tables that hold words, and the order of their rows."""
_OF_ID = "no in (select number from memory_log where item_id = ?)"  # an item, or a use, has the number of one of its entries
_INSERT = "insert into memory_log(number, at, uid, change, item_id, by, successor, data, salt, pledge, hash) values(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_VERSIONS = f"change in ({', '.join(repr(change) for change in sorted(WHOLE))})"
_USE = "select l.data, u.outcome, u.signal, u.by from memory_use u join memory_log l on l.number = u.no"


class SqliteLedger:
    """See `memory_forgetting.SourceLedger`."""

    def __init__(self, db: sqlite3.Connection, max_item_bytes: int = MAX_ITEM_BYTES) -> None:
        self._db = db
        self.max_item_bytes = max_item_bytes

    # ---- items

    def find(self, item_id: str) -> Item | None:
        """Return an item, whoever owns it."""
        row = self._db.execute(f"select {ITEM} from memory_item where {_OF_ID}", (findable(item_id),)).fetchone()  # noqa: S608 (constants, as in all below)
        return decode(row[0]) if row and row[0] is not None else None

    def skill_named(self, scope: str, uid: str | None, name: str) -> Skill | None:
        """Return the active skill of exactly this scope, owner and name."""
        shelf = self._shelf("skill", scope, uid)
        row = self._db.execute("select data from memory_item where shelf = ? and state = 'active' and name = ?", (shelf, name)).fetchone()
        item = decode(row[0]) if row else None
        return item if isinstance(item, Skill) else None

    def was_forgotten(self, item_id: str) -> bool:
        """Whether there was such an item, and its words were removed."""
        return self._has_entry(item_id, "forgotten")

    def changes_of(self, item_id: str) -> list[Change]:
        """Return the entries about an item, oldest first."""
        sql = f"select {ENTRY} from memory_log where item_id = ? and change not in {USES} order by number"  # noqa: S608
        return [change_of(row) for row in self._db.execute(sql, (findable(item_id),)).fetchall()]

    def record(self, change: Change, after: Item | None) -> None:
        """Append `change` and make the item what it is `after` it."""
        self._become(change, after, self._append(change))

    def erase(self, item_ids: Collection[str]) -> None:
        """Remove the words of items from what is indexed and from the log so far."""
        for item_id in item_ids:
            origins = {
                origin
                for change in self.changes_of(item_id)
                if change.change in WHOLE and change.data is not None
                for origin in origins_of(decode(change.data))
            }
            numbers = self._db.execute(f"select no from memory_item where {_OF_ID}", (item_id,)).fetchall()  # noqa: S608
            self._db.executemany("delete from memory_origin where origin = ? and item = ?", [(origin, no) for origin in origins for (no,) in numbers])
        ids = json.dumps(list(item_ids))
        of_ids = "item_id in (select value from json_each(?))"
        # By the items, not by their tokens: whatever tokenizer made them.
        places = f"select shelf, no from memory_item where no in (select number from memory_log where {of_ids})"  # noqa: S608
        by_shelf: dict[int, list[int]] = {}
        for shelf, no in self._db.execute(places, (ids,)).fetchall():
            by_shelf.setdefault(shelf, []).append(no)
        for shelf, items in by_shelf.items():
            self._db.execute("delete from memory_posting where shelf = ? and item in (select value from json_each(?))", (shelf, json.dumps(items)))
        self._db.execute(f"update memory_log set data = null, salt = null where {of_ids} and data is not null and change not in {USES}", (ids,))  # noqa: S608

    def items_from(self, origin: str) -> list[str]:
        """Return the items of which any version rests on this."""
        sql = "select i.id from memory_origin o join memory_item i on i.no = o.item where o.origin = ?"
        return [item_id for (item_id,) in self._db.execute(sql, (findable(origin),)).fetchall()]

    def items_of(self, uid: str) -> list[str]:
        """Return the items that are or were this uid's."""
        sql = f"select distinct item_id from memory_log where uid = ? and change not in {USES}"  # noqa: S608
        return [item_id for (item_id,) in self._db.execute(sql, (findable(uid),)).fetchall()]

    def items_saying(self, text: str) -> list[str]:
        """Return the items of which any version holds these words, and perhaps some in which the bytes stand by chance."""
        if not is_unicode(text):
            return []
        sql = f"select distinct item_id from memory_log where data is not null and {_VERSIONS} and instr(data, ?) > 0"  # noqa: S608
        return [item_id for (item_id,) in self._db.execute(sql, (text.encode(),)).fetchall()]

    # ---- uses

    def find_use(self, trace_id: str) -> Told | None:
        """Return the use of a run."""
        return _told(self._db.execute(f"{_USE} where u.{_OF_ID}", (findable(trace_id),)).fetchone())

    def last_use(self, scope: str, uid: str | None) -> Told | None:
        """Return the use with the largest number of exactly this scope and owner."""
        return _told(self._db.execute(f"{_USE} where u.shelf = ? order by u.number desc limit 1", (self._shelf("use", scope, uid),)).fetchone())

    def use_was_forgotten(self, trace_id: str) -> bool:
        """Whether there was a use of this run, and it was removed."""
        return self._has_entry(trace_id, "use_forgotten")

    def record_use(self, change: Change, after: Told | None) -> None:
        """Append `change` and make the use what it is `after` it."""
        self._become_use(change, after, self._append(change))

    def erase_uses(self, trace_ids: Collection[str]) -> None:
        """Remove what the log says of these uses."""
        for trace_id in trace_ids:
            told = self.find_use(trace_id)
            if told is not None:
                ((no,),) = self._db.execute(f"select no from memory_use where {_OF_ID}", (trace_id,)).fetchall()  # noqa: S608
                self._db.executemany("delete from memory_used where item = ? and use = ?", [(used.item_id, no) for used in told.use.items])
        of_ids = "item_id in (select value from json_each(?)) and data is not null"
        self._db.execute(f"update memory_log set data = null, salt = null where {of_ids} and change in {USES}", (json.dumps(list(trace_ids)),))  # noqa: S608

    def uses_from(self, *, uid: str | None, trace_id: str | None) -> list[str]:
        """Return the runs of this owner, or of this id, that have a use."""
        given = {"uid": uid and findable(uid), "trace_id": trace_id and findable(trace_id)}
        found = "(:uid is null or l.uid = :uid) and (:trace_id is null or l.item_id = :trace_id)"
        sql = f"select l.item_id from memory_log l join memory_use u on u.no = l.number where {found}"  # noqa: S608
        return [run for (run,) in self._db.execute(sql, given).fetchall()]

    # ---- the projection

    def scrub(self, table: str) -> None:
        """Write one of the `SPOKEN` anew, so that no word of what was removed is left in its pages.

        SQLite blanks what is deleted (`secure_delete`), but not what it left behind when it moved rows that were there still
        from one page to another. `vacuum` would do, and would copy the record of runs as well.
        """
        self._db.execute(f"create temp table kept as select * from {table}")  # noqa: S608 (a name from above)
        self._db.execute(f"delete from {table}")  # noqa: S608  # its pages are blanked one and all
        self._db.execute(f"insert into {table} select * from kept order by {SPOKEN[table]}")  # noqa: S608
        self._db.execute("drop table kept")

    def rebuild(self) -> None:
        """Make all that the log amounts to anew."""
        for table in ("memory_posting", "memory_origin", "memory_item", "memory_used", "memory_use", "memory_shelf"):
            self._db.execute(f"delete from {table}")  # noqa: S608 (names from the line above)
        for number, change in [(row[0], change_of(row)) for row in self._db.execute(f"select {ENTRY} from memory_log order by number").fetchall()]:  # noqa: S608
            if change.change in OF_USES:
                self._become_use(change, applied_use(self.find_use(change.item_id), change), number)
            else:
                self._become(change, applied(self.find(change.item_id), change), number)

    def is_indexed(self) -> bool:
        """Whether the postings are those of this program's tokenizer."""
        return self._db.execute("select 1 from memory_shelf where tokenizer <> ?", (TOKENIZER,)).fetchone() is None

    def _append(self, change: Change) -> int:
        last, link = self._db.execute("select max(number), hash from memory_log").fetchone()
        number = 1 if last is None else int(last) + 1
        entry = pledge(link or b"", number, change)
        row = (number, to_ms(change.at), change.uid, change.change, change.item_id, change.by, change.successor_id, change.data, *entry)
        self._db.execute(_INSERT, row)
        return number

    def _become(self, change: Change, item: Item | None, number: int) -> None:
        found = f"select no, shelf, {ITEM} from memory_item where {_OF_ID}"  # noqa: S608
        row = None if change.change == "added" else self._db.execute(found, (change.item_id,)).fetchone()
        if row is None:
            if item is not None:
                self._put(item, number, opener=number)
            return
        no, shelf, data = row
        if data is not None:
            words = [(shelf, word, no) for word in set(tokens(searched_text(decode(data))))]
            self._db.executemany("delete from memory_posting where shelf = ? and token = ? and item = ?", words)
        left = "items = items - 1, length = length - (select i.length from memory_item i where i.no = ?)"
        self._db.execute(f"update memory_shelf set {left} where no = ?", (no, shelf))  # noqa: S608
        self._db.execute("delete from memory_item where no = ?", (no,))
        if item is not None:  # after a cut nothing is known of its addition
            self._put(item, number if change.change == "cut" else no, opener=number)
        self._close(shelf, "memory_item")

    def _put(self, item: Item, number: int, *, opener: int) -> None:
        found = tokens(searched_text(item))
        words = Counter(found)
        kind = kind_of(item)
        shelf = self._opened(kind, item.scope, item.uid, opener)
        length = telling_length(found)
        row = (number, id_of(item), shelf, name_of(item), state_of(item), to_ms(item.created_at), *term_of(item), length)
        sql = "insert into memory_item(no, id, shelf, name, state, created, valid_from, valid_to, length, data) values(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        self._db.execute(sql, (*row, None if kind == "case" else encode(item)))
        self._db.execute("update memory_shelf set items = items + 1, length = length + ? where no = ?", (length, shelf))
        rows = [(shelf, word, number, count, length) for word, count in words.items()]
        self._db.executemany("insert into memory_posting(shelf, token, item, count, length) values(?, ?, ?, ?, ?)", rows)
        origins = [(origin, number) for origin in origins_of(item)]
        self._db.executemany("insert or ignore into memory_origin(origin, item) values(?, ?)", origins)

    def _become_use(self, change: Change, told: Told | None, number: int) -> None:
        if told is not None and change.change == "used":
            use = told.use
            shelf = self._opened("use", use.scope, use.uid, number)
            row = (number, shelf, use.number, to_ms(use.at), use.outcome, use.outcome_from, use.outcome_by)
            self._db.execute("insert into memory_use(no, shelf, number, at, outcome, signal, by) values(?, ?, ?, ?, ?, ?, ?)", row)
            self._db.executemany("insert or ignore into memory_used(item, use) values(?, ?)", [(used.item_id, number) for used in use.items])
        elif told is not None:
            judged = (told.use.outcome, told.use.outcome_from, told.use.outcome_by)
            self._db.execute(f"update memory_use set outcome = ?, signal = ?, by = ? where {_OF_ID}", (*judged, change.item_id))  # noqa: S608
        else:
            row = self._db.execute(f"select no, shelf from memory_use where {_OF_ID}", (change.item_id,)).fetchone()  # noqa: S608
            if row is not None:
                self._db.execute("delete from memory_use where no = ?", row[:1])
                self._close(row[1], "memory_use")

    def _opened(self, kind: str, scope: str, uid: str | None, opener: int) -> int:
        shelf = self._shelf(kind, scope, uid)
        if shelf is None:
            shelf = opener
            values = (shelf, kind, scope, owner_of(uid), TOKENIZER)
            self._db.execute("insert into memory_shelf(no, kind, scope, owner, tokenizer, items, length) values(?, ?, ?, ?, ?, 0, 0)", values)
        return shelf

    def _close(self, shelf: int, table: str) -> None:
        """Take a shelf away, if nothing is left on it."""
        self._db.execute(f"delete from memory_shelf where no = ? and not exists (select 1 from {table} where shelf = memory_shelf.no)", (shelf,))  # noqa: S608

    def _shelf(self, kind: str, scope: str, uid: str | None) -> int | None:
        place = (kind, findable(scope), findable(owner_of(uid)))
        row = self._db.execute("select no from memory_shelf where kind = ? and scope = ? and owner = ?", place).fetchone()
        return row[0] if row else None

    def _has_entry(self, item_id: str, change: str) -> bool:
        return self._db.execute("select 1 from memory_log where item_id = ? and change = ?", (findable(item_id), change)).fetchone() is not None


def log_of(db: sqlite3.Connection) -> list[Entry]:
    """Return the whole log, oldest first."""
    rows = db.execute(f"select {ENTRY}, salt, pledge, hash from memory_log order by number").fetchall()  # noqa: S608
    return [Entry(row[0], change_of(row[:8]), *row[8:]) for row in rows]


def change_of(row: Sequence[Any]) -> Change:
    """Return a row of the log as a change."""
    _, at, uid, change, item_id, by, successor, data = row
    return Change(at=from_ms(at), uid=uid, change=change, item_id=item_id, by=by, successor_id=successor, data=data)


def _told(row: Sequence[Any] | None) -> Told | None:
    if row is None or row[0] is None:
        return None
    told = decode_told(row[0])
    return replace(told, use=replace(told.use, outcome=row[1], outcome_from=row[2], outcome_by=row[3]))
