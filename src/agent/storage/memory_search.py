"""What a search of a memory is asked, checked once for every adapter."""

from collections.abc import Sequence

from agent.core.text import query_tokens
from agent.errors import BadInput
from agent.models.value import Value
from agent.storage.memory_log import ItemKind, checked_kind, checked_state
from agent.storage.unicode import is_unicode

MAX_SCOPES = 1_000
"""Scopes that are searched at once."""


class Question(Value, frozen=True, kw_only=True):
    """A search. `uid` None: everybody's."""

    kind: ItemKind
    scopes: tuple[str, ...]
    words: tuple[str, ...]  # tokens
    uid: str | None
    states: frozenset[str]
    now_ms: int
    limit: int
    floor: float


def question(
    query: str, *, scopes: Sequence[str], kind: str, uid: str | None, states: Sequence[str] | frozenset[str], now_ms: int, limit: int, floor: float
) -> Question:
    """Return a search ready to be asked.

    Raises:
        BadInput: the kind or a state is not known, or scopes is no list of them.
    """
    if isinstance(scopes, str) or isinstance(states, str) or not all(isinstance(scope, str) for scope in scopes):
        raise BadInput(f"scopes and states are lists of text: {scopes!r:.100}, {states!r:.100}")
    if len(scopes) > MAX_SCOPES:
        raise BadInput(f"{len(scopes)} scopes are too many: at most {MAX_SCOPES} are searched at once")
    return Question(
        kind=checked_kind(kind),
        scopes=tuple(scope for scope in dict.fromkeys(scopes) if is_unicode(scope)),
        words=tuple(query_tokens(query)),
        uid=uid,
        states=frozenset(checked_state(state) for state in states),
        now_ms=now_ms,
        limit=max(limit, 0),
        floor=floor,
    )
