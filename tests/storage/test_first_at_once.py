"""A file that another process makes at the very moment it is opened."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from agent.storage.sqlite import schema
from agent.storage.sqlite.schema import connect, format_of, migrations, prepare


@pytest.mark.parametrize("moment", ["sqlite_master", "user_version", "application_id", "journal_mode", "begin exclusive"])
def test_a_file_that_another_process_makes_meanwhile_is_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    path = tmp_path / "runs.db"
    happened: list[str] = []

    def watched(path: Path, **options: Any) -> sqlite3.Connection:
        def be_faster(statement: str) -> None:
            if moment in statement and not happened:
                happened.append(statement)
                prepare(path, timeout_s=5)

        db = connect(path, **options)
        db.set_trace_callback(be_faster)
        return db

    monkeypatch.setattr(schema, "connect", watched)
    prepare(path, timeout_s=5)

    assert len(happened) == 1
    assert format_of(path) == migrations()[-1][0]
