"""The hash chain of a trace: each link covers the one before it, the step's head, and a salted commitment of its payload.

The commitment is what makes forgetting possible: payload and salt are dropped, it stays, and the chain still holds, while
nobody can guess the payload from it.
"""

from hashlib import sha256

import msgspec

SIZE = 16
"""Bytes of a link, of a commitment and of a blob's hash: the first of their SHA-256."""
SALT_SIZE = 8

_encode_head = msgspec.msgpack.Encoder().encode


def commitment(salt: bytes, plain: bytes) -> bytes:
    """Return what the chain knows of a payload."""
    return sha256(salt + plain).digest()[:SIZE]


def link(before: bytes, head: tuple[str, int, int, int, str, str, str | None], commit: bytes) -> bytes:
    """Return the hash of a step: `head` is trace id, sequence, epoch, milliseconds, kind, parents, the id its caller chose."""
    return sha256(before + _encode_head(head) + commit).digest()[:SIZE]
