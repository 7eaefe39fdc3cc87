"""What is read of a memory, each with one connection, fetched whole."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from agent.models.learning import Use
from agent.models.value import replace
from agent.storage.memory_log import Item, decode, told_of
from agent.storage.memory_uses import decode_told
from agent.storage.sqlite.memory_tables import ENTRY, ITEM, USES, change_of
from agent.storage.sqlite.owners import owner_of
from agent.storage.unicode import findable, is_unicode

_LARGEST = (1 << 63) - 1  # what SQLite can compare
_OWNED = "(:owner is null or owner in ('', :owner))"
SHELVES = f"select no from memory_shelf where kind = :kind and (:scopes is null or scope in (select value from json_each(:scopes))) and {_OWNED}"  # noqa: S608 (constants, as in all below)
"""The shelves that are meant: `kind`, `scopes` (JSON; null: all), `owner` as of `seen_by`."""
_NEWEST = f"""
    select {ITEM} from memory_item
    where +shelf in ({SHELVES})
    and (:state is null or state = :state)
    and (:tool is null or name = :tool)
    and (:created is null or (created, id) < (:created, :id))
"""  # noqa: S608
_FROM = " and no in (select item from memory_origin where origin = :trace_id)"
_USES = f"select data, outcome, signal, u.by from memory_use u join memory_log l on l.number = u.no where u.shelf in ({SHELVES})"  # noqa: S608


def seen_by(uid: str | None) -> str | bytes | None:
    """Return whose items a uid sees beside nobody's; None: everybody's."""
    return None if uid is None else findable(owner_of(uid))


def newest(db: sqlite3.Connection, filters: Mapping[str, Any], *, scopes: Sequence[str] | None, limit: int | None) -> list[Item]:
    """Return items, newest first. `filters`: kind, owner, state, tool, trace_id, and created and id of the last one seen; None leaves it open."""
    sql = f"{_NEWEST}{_FROM if filters['trace_id'] is not None else ''} order by created desc, id desc limit :limit"
    if filters["kind"] == "skill":  # few among many: by their shelves, not by walking over all that is newer
        sql = sql.replace("+shelf", "shelf", 1)
    rows = db.execute(sql, {**filters, "scopes": None if scopes is None else scopes_json(scopes), "limit": _most(limit)}).fetchall()
    return [decode(data) for (data,) in rows]


def entries(db: sqlite3.Connection, *, uid: str | None, item_id: str | None) -> list[dict[str, Any]]:
    """Return entries of the log, oldest first, as `history` tells them."""
    wanted = f"change not in {USES}" if item_id is None else "item_id = :item_id"
    sql = f"select {ENTRY} from memory_log where (:uid is null or uid is null or uid = :uid) and {wanted} order by number"  # noqa: S608
    rows = db.execute(sql, {"uid": uid and findable(uid), "item_id": item_id and findable(item_id)}).fetchall()
    return [told_of(row[0], change_of(row), with_item=item_id is not None) for row in rows]


def uses(db: sqlite3.Connection, filters: Mapping[str, Any], *, scope: str | None, limit: int | None) -> list[Use]:
    """Return uses, newest first. `filters`: owner, item_id, trace_id, since (milliseconds); None leaves it open."""
    wanted = [
        clause
        for name, clause in (
            ("item_id", "u.no in (select use from memory_used where item = :item_id)"),
            ("trace_id", "u.no in (select number from memory_log where item_id = :trace_id)"),
            ("since", "u.at >= :since"),
        )
        if filters[name] is not None
    ]
    sql = f"{' and '.join([_USES, *wanted])} order by u.no desc limit :limit"
    place = {"kind": "use", "scopes": None if scope is None else scopes_json([scope]), "limit": _most(limit)}
    rows = db.execute(sql, {**filters, **place}).fetchall()
    return [replace(decode_told(data).use, outcome=outcome, outcome_from=signal, outcome_by=by) for data, outcome, signal, by in rows]


def scopes_json(scopes: Sequence[str]) -> str:
    """Return scopes for `SHELVES`; what can be none is left out."""
    return json.dumps([scope for scope in scopes if is_unicode(scope)])


def _most(limit: int | None) -> int:
    return -1 if limit is None else max(min(limit, _LARGEST), 0)
