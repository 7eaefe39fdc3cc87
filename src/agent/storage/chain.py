"""The hash chain of a trace: each link covers the one before it, the step's head, and a salted commitment of its payload.

The commitment is what makes forgetting possible: payload and salt are dropped, it stays, and the chain still holds, while
nobody can guess the payload from it.
"""

from hashlib import sha256
from typing import NamedTuple

import msgspec

SIZE = 16
"""Bytes of a link, of a commitment and of a blob's hash: the first of their SHA-256."""
SALT_SIZE = 8

_encode_head = msgspec.msgpack.Encoder().encode


def commitment(salt: bytes, plain: bytes) -> bytes:
    """Return what the chain knows of a payload."""
    return sha256(salt + plain).digest()[:SIZE]


def digest(value: object) -> bytes:
    """Return the hash of plain values, in a form that the same values always have."""
    return sha256(_encode_head(value)).digest()[:SIZE]


IDENTITY_FROM = 2
"""The first format of a trace whose chain begins with what the trace is, not with nothing."""


class Identity(NamedTuple):
    """What a trace is from its first moment on, as it is kept."""

    trace_id: str
    mode: str
    uid: str | None
    created: int  # milliseconds
    conversation: str | None
    parent: str | None
    fork_at: int | None
    format: int

    def link(self, seam: bytes = b"") -> bytes:
        """Return what the first step's link covers as if it were the one before it; `seam` is the last link that a fork inherits."""
        return digest((seam, tuple(self))) if self.format >= IDENTITY_FROM else seam


def link(before: bytes, head: tuple[str, int, int, int, str, str, str | None], commit: bytes) -> bytes:
    """Return the hash of a step: `head` is trace id, sequence, epoch, milliseconds, kind, parents, the id its caller chose."""
    return sha256(before + _encode_head(head) + commit).digest()[:SIZE]
