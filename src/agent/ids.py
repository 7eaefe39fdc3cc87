"""Ids: time-ordered, so that newer sorts after older."""

import os
import threading
import time

_lock = threading.Lock()
_last = 0


def new_id() -> str:
    """Return a UUIDv7 as 32 hex digits; ids of one process are strictly ascending.

    Source: RFC 9562, section 5.7 (48 bits of milliseconds; the 12 + 6 bits that follow count within one).
    """
    global _last
    with _lock:
        stamp = max((time.time_ns() // 1_000_000) << 18, _last + 1)
        _last = stamp
    ms, count = stamp >> 18, stamp & 0x3FFFF
    tail = int.from_bytes(os.urandom(7), "big")
    value = (ms & ((1 << 48) - 1)) << 80 | 0x7 << 76 | (count >> 6) << 64 | 0b10 << 62 | (count & 0x3F) << 56 | tail
    return f"{value:032x}"
