"""The journal beside the file: what was erased is to be gone from it too."""

import sqlite3

ERASE_WAIT_S = 0.5
"""How long an erasure waits for readers before it leaves the journal to a later checkpoint."""


def empty_journal(db: sqlite3.Connection) -> None:
    """Write the journal into the file and cut it off, unless somebody reads for longer than `ERASE_WAIT_S`."""
    (usual,) = db.execute("pragma busy_timeout").fetchone()
    db.execute(f"pragma busy_timeout={int(ERASE_WAIT_S * 1000)}")
    try:
        db.execute("pragma wal_checkpoint(truncate)").fetchall()
    finally:
        db.execute(f"pragma busy_timeout={usual}")
