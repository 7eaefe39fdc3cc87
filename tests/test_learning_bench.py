"""The experiments of bench/learning on a fifth of their size: that they still show what RESULTS.md says, so that a change that spoils learning is seen."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).parent.parent / "bench" / "learning"
FIFTH, HELD_OUT = 400, 200


@pytest.fixture(scope="module")
def bench() -> Iterator[Any]:
    """The scripts find each other by the folder that they lie in."""
    sys.path.insert(0, str(BENCH))
    yield importlib.import_module("simulate")
    sys.path.remove(str(BENCH))


def of(bench: Any, arm: str, seed: int = 0, **fields: Any) -> Any:
    return bench.run(bench.Cell(arm=arm, seed=seed, stream=FIFTH, held_out=HELD_OUT, **fields))


def test_memory_helps_a_frozen_policy_and_a_placebo_does_not(bench: Any) -> None:
    none, full = ([of(bench, arm, seed) for seed in (0, 1)] for arm in ("none", "full"))
    placebo, oracle = of(bench, "placebo"), of(bench, "oracle")
    gains = [told.late.accuracy - by_itself.late.accuracy for by_itself, told in zip(none, full, strict=True)]

    assert sum(gains) / len(gains) >= 0.04  # .06 as this was written
    assert max(one.late.harmed for one in full) <= 0.08
    assert max(one.tokens for one in full) <= 40
    assert placebo.late.accuracy < none[0].late.accuracy
    assert oracle.late.accuracy > 0.9


def test_whoever_does_not_read_memory_does_as_without_it(bench: Any) -> None:
    assert of(bench, "full", obeys=0.0).late.right == of(bench, "none").late.right


async def test_the_runner_with_a_store_does_what_the_pure_form_does(bench: Any) -> None:
    through = importlib.import_module("through_runner")
    small = bench.Cell(arm="full", seed=2, stream=40, held_out=20)

    assert (await through.run_one(small)).late.right == bench.run(small).late.right


async def test_notes_are_found_by_questions_in_other_words_in_english_and_in_chinese(bench: Any) -> None:
    found = await importlib.import_module("retrieval").measure()

    assert found.share("en", 5) >= 0.7
    assert found.share("zh", 5) >= 0.9
    assert [one.query for one in found.words if one.place != 1] == []
