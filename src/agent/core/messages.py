"""A list of messages as a value: it grows in O(1) and old versions stay valid."""

from collections.abc import Iterator, Sequence

from agent.models.message import Message
from agent.models.value import Value


class Messages(Value, frozen=True, eq=False, gc=False):
    """Versions share one list; a second branch off an old version copies. Message ids of tool calls are known in O(1)."""

    _items: list[Message] = []
    count: int = 0
    _call_ids: set[str] = set()

    def plus_reply(self, message: Message, call_ids: Sequence[str] = ()) -> "Messages":
        """Return the version with one message at its end, whose tool calls have these ids."""
        items = self._items
        if len(items) != self.count:
            return self.plus(message)
        items.append(message)
        if call_ids:
            self._call_ids.update(call_ids)
        return Messages(items, self.count + 1, self._call_ids)

    def plus(self, *messages: Message) -> "Messages":
        """Return the version with `messages` at its end."""
        items, ids = self._items, self._call_ids
        if len(items) != self.count:
            items = items[: self.count]
            ids = _ids(items)
        for message in messages:
            items.append(message)
            if "tool_calls" in message:
                ids |= _ids([message])
        return Messages(items, self.count + len(messages), ids)

    def insert_before_last(self, message: Message) -> "Messages":
        """Return a version with `message` one before the end."""
        items = self._items[: self.count]
        return Messages().plus(*items[:-1], message, *items[-1:])

    def with_first(self, message: Message, *, is_replacement: bool) -> "Messages":
        """Return a version that begins with `message`, in place of the first one or before it."""
        return Messages().plus(message, *self._items[1 if is_replacement else 0 : self.count])

    def has_grown_from(self, earlier: "Messages") -> bool:
        """Whether this begins with all of `earlier`, as far as that is known without looking."""
        return self._items is earlier._items and self.count >= earlier.count  # noqa: SLF001  a version of the same list

    @property
    def call_ids(self) -> set[str]:
        """The ids of all tool calls in here."""
        return self._call_ids if len(self._items) == self.count else _ids(self.to_list())

    @property
    def last(self) -> Message | None:
        """The last message, or None."""
        return self._items[self.count - 1] if self.count else None

    @property
    def first(self) -> Message | None:
        """The first message, or None."""
        return self._items[0] if self.count else None

    def to_list(self) -> list[Message]:
        """Return a new list of the (shared) messages."""
        return self._items[: self.count]

    def since(self, count: int) -> list[Message]:
        """Return those after the first `count`."""
        return self._items[count : self.count]

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Message]:
        return iter(self.to_list())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Messages) and self.to_list() == other.to_list()

    def __ne__(self, other: object) -> bool:  # a struct has one of its own, which would compare identities
        return not self == other

    def __hash__(self) -> int:
        return hash(self.count)

    def __repr__(self) -> str:
        return f"Messages({self.count})"


def _ids(messages: list[Message]) -> set[str]:
    """A caller's messages, and steps that anyone wrote, may hold anything under `tool_calls`."""
    given = [message["tool_calls"] for message in messages if isinstance(message.get("tool_calls"), list)]
    return {call["id"] for calls in given for call in calls if isinstance(call, dict) and isinstance(call.get("id"), str)}
