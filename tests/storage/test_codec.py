"""What is on the disk, byte for byte."""

import os
import zlib
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import BadInput, StoreUnusable
from agent.models.trace import Step
from agent.models.value import replace
from agent.storage import codec
from agent.storage.chain import SALT_SIZE, SIZE
from agent.storage.codec import Coded, Page, Row, blob_bytes, commitment_of, encode_step, erase, pack, parents_of, parents_text, unpack

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters()) | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters()), inner, max_size=4),
    max_leaves=12,
)


def step(sequence: int = 0, kind: str = "note", **data: Any) -> Step:
    return Step(f"t/{sequence}", "t", kind, sequence, (), data, datetime(2026, 1, 2, tzinfo=UTC))


def noted(data: dict[str, Any]) -> Step:
    return Step("t/0", "t", "note", 0, (), data, datetime(2026, 1, 2, tzinfo=UTC))


def row(coded: Coded) -> Row:
    return coded.sequence, coded.epoch, coded.kind, coded.at, coded.parents, coded.data, coded.name


def back(coded: Coded) -> Step:
    page = Page("t")
    page.add([row(coded)])
    page.fill(dict(coded.blobs))
    return page.steps[0]


@given(st.dictionaries(st.text(st.characters()), ANYTHING, max_size=5))
def test_every_step_comes_back(data: dict[str, Any]) -> None:
    coded = encode_step(noted(data))

    assert back(coded) == noted(data)
    assert commitment_of(coded.data) == coded.commitment
    assert unpack(pack(data)) == data


@pytest.mark.parametrize(
    ("value", "first"),
    [("short", range(0x80, 0x90)), ("long " * 1000, {0x78}), (2**64, {0x7B}), ("\ud800", {0x7B}), ("\ud800" * 2000, {0x78})],
)
def test_the_first_byte_tells_the_form(value: Any, first: Any) -> None:
    coded = encode_step(step(value=value))

    assert coded.data[0] in first
    assert back(coded).data == {"value": value}


def test_data_that_does_not_get_smaller_is_not_deflated() -> None:
    noise = os.urandom(5000)
    coded = encode_step(step(value=noise))

    assert coded.data[0] >= 0x80
    assert back(coded).data["value"] == noise


def test_equal_payloads_have_different_commitments() -> None:
    assert len({encode_step(step(value="secret")).commitment for _ in range(600)}) == 600


def test_what_repeats_is_a_blob_and_small_things_are_not() -> None:
    system, schemas = "You are brief. " * 20, [{"name": "t", "description": "d" * 100}]
    large = encode_step(step(0, "input", task="t" * 1000, system=system, schemas=schemas))
    small = encode_step(step(0, "input", task="t", system="Hi", schemas=[]))

    assert len(large.blobs) == 2
    assert len(large.data) < 1100
    assert blob_bytes(large.blobs[0][1]).decode() == system
    assert large.blobs == encode_step(step(5, "input", task="u", system=system, schemas=schemas)).blobs
    assert small.blobs == ()
    assert back(large).data == {"task": "t" * 1000, "system": system, "schemas": schemas}


@pytest.mark.parametrize("value", ["x" * 70_000, b"\0" * 70_000, ["word"] * 20_000, {"k": "v" * 70_000}, {"big": 2**70, "x": "y" * 70_000}, "\ud800" * 70_000])
def test_large_values_are_blobs_of_any_kind(value: Any) -> None:
    coded = encode_step(step(value=value, beside=2**70 if isinstance(value, bytes) else 1))

    assert len(coded.blobs) == 1
    assert len(coded.data) < 200
    assert back(coded).data["value"] == value


def test_many_values_that_are_large_only_together_are_no_blobs() -> None:
    coded = encode_step(noted({f"k{n}": "x" * 30_000 for n in range(10)}))

    assert coded.blobs == ()


def test_an_erased_payload_keeps_its_commitment_and_nothing_else() -> None:
    coded = encode_step(step(value="canary"))
    erased = erase(coded.data)

    assert commitment_of(erased) == coded.commitment
    assert erase(erased) == erased
    assert len(erased) == 1 + SIZE
    assert back(replace(coded, data=erased)).data == {"erased": True}


@pytest.mark.parametrize("broken", [b"", b"\xff", b"\x81\xa1", b"x" * 30, b"{" * 30, b"\x82" * 30, zlib.compress(b"{}")[:-2] + b"\1" * SALT_SIZE, None, 7])
def test_a_damaged_row_is_named(broken: Any) -> None:
    with pytest.raises(StoreUnusable, match="t/0 is damaged"):
        back(replace(encode_step(step()), data=broken))


def test_a_missing_blob_is_named() -> None:
    with pytest.raises(StoreUnusable, match="of step t/0 is missing"):
        back(replace(encode_step(step(value="x" * 70_000)), blobs=()))


@pytest.mark.parametrize(
    "bad",
    [
        {"sequence": -1},
        {"sequence": 10**18},
        {"sequence": True},
        {"step_type": ""},
        {"step_type": "x" * 501},
        {"step_type": "\ud800"},
        {"step_id": 5},
        {"parent_ids": "text"},
        {"parent_ids": [7]},
        {"parent_ids": [""]},
        {"data": []},
        {"data": {"n": 10**5000}},
    ],
    ids=lambda bad: next(iter(bad)),
)
def test_steps_that_cannot_be_held_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        encode_step(replace(step(), **bad))


def test_data_above_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "STEP_LIMIT", 1000)

    with pytest.raises(BadInput, match="at most 1000"):
        encode_step(step(value="x" * 1001))


@given(st.text(min_size=1, max_size=5), st.lists(st.text(min_size=1, max_size=8) | st.integers(0, 10**17), max_size=4))
def test_parents_of_all_kinds_come_back(trace_id: str, mixed: list[str | int]) -> None:
    ids = tuple(f"{trace_id}/{parent}" if isinstance(parent, int) else parent for parent in mixed)

    assert parents_of(trace_id, parents_text(trace_id, ids)) == ids


def test_parents_of_the_same_trace_take_a_few_bytes() -> None:
    assert parents_text("t", ("t/3", "t/14")) == "3,14"
    assert parents_text("t", ("t/03", "x", "t/4")) == '["t/03","x",4]'
