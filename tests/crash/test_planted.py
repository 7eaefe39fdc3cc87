"""Bugs planted on purpose are caught: without this, the crash tests could pass because they look at nothing."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import lives  # type: ignore[import-not-found]  # it lies beside this file

pytestmark = [pytest.mark.crash, pytest.mark.timeout(240)]


async def complaint(folder: Path, script: str, plant: str) -> str:
    """Kill runs of an engine with a bug at one point after the other; return what the first check says that fails."""
    for number in range(60):
        life = folder / str(number)
        life.mkdir()
        if not lives.live(life, script, number, plant=plant):
            break
        try:
            await lives.recover(life, script, plant=plant)
        except AssertionError as error:
            return str(error)
    return "nothing"


@pytest.mark.parametrize(
    ("plant", "script", "caught"),
    [
        ("unsafe calls are repeated", "serial", "an unsafe call was made again by itself"),
        ("the result is recorded before the effect", "serial", "an effect is missing"),
        ("the effect comes before the announcement", "parallel", "an effect was not announced"),
    ],
)
async def test_a_planted_bug_is_caught(plant: str, script: str, caught: str, tmp_path: Path) -> None:
    assert caught in await complaint(tmp_path, script, plant)
