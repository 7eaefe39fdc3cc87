"""Every kind of run, killed at every durable write and around every effect; and bugs planted on purpose, which must be found.

`SEASONED_CRASH=all` kills each run a second time during its recovery, at many points.
"""

import os
import time
from pathlib import Path

import pytest

from agent.errors import BadInput
from agent.testing.crash_kit import CrashReport, kill_everywhere

HERE = Path(__file__).parent
IS_WHOLE = os.environ.get("SEASONED_CRASH") == "all"
pytestmark = [pytest.mark.crash, pytest.mark.timeout(7200 if IS_WHOLE else 300)]
EXPECTED = {  # scenario: the points it has at least, second kills for each of them
    "serial": (30, 1),
    "parallel": (40, 1),
    "approval": (60, 1),
    "expiry": (20, 0),
    "memory": (40, 0),
    "transactional": (50, 1),
    "compaction": (80, 0),
    "conversation": (30, 0),
    "fork": (45, 0),
    "subagent": (60, 0),
    "skills": (30, 0),
}


@pytest.mark.parametrize("scenario", EXPECTED)
def test_nothing_is_silently_repeated_or_lost(scenario: str) -> None:
    points, twice = EXPECTED[scenario]
    report = kill_everywhere(f"{HERE / 'scenarios.py'}:{scenario}", twice=20 if IS_WHOLE else twice)

    assert report.is_safe, str(report)
    assert len(report.points) >= points
    assert report.deaths >= len(report.points)


def test_there_are_at_least_300_points() -> None:
    assert sum(points for points, _ in EXPECTED.values()) >= 300


@pytest.mark.parametrize(
    ("bug", "words"),
    [
        ("repeated", "is unsafe, and was run again by itself"),
        ("result_first", "has a result on the record, and never ran to its end"),
        ("new_key_each_time", "changed its idempotency key"),
    ],
)
def test_a_planted_bug_is_found_within_five_minutes(bug: str, words: str) -> None:
    began = time.monotonic()
    report = kill_everywhere(f"{HERE / 'planted.py'}:{bug}", stop_at=1)

    assert words in str(report)
    assert time.monotonic() - began < 300


def test_a_key_that_is_used_twice_is_found_without_any_crash() -> None:
    with pytest.raises(BadInput, match="two calls have the same idempotency key"):
        kill_everywhere(f"{HERE / 'planted.py'}:one_key_for_all")


def test_a_scenario_that_cannot_be_played_is_told(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("async def broken(stage):\n    raise RuntimeError('no such thing')\n")

    with pytest.raises(BadInput, match="no such thing"):
        kill_everywhere(f"{tmp_path / 'mine.py'}:broken")
    with pytest.raises(BadInput, match="cannot be played"):
        kill_everywhere(f"{tmp_path / 'mine.py'}:nothing")
    with pytest.raises(BadInput, match="cannot be played"):
        kill_everywhere("nowhere:nothing")


def test_a_report_names_the_points_and_what_went_wrong_there() -> None:
    report = kill_everywhere(f"{HERE / 'planted.py'}:repeated", points=range(12), jobs=1)

    assert isinstance(report, CrashReport)
    assert not report.is_safe
    assert report.findings[0].points[0] in report.points
    assert "killed at" in str(report)
    assert "12 series of kills" in str(report)
