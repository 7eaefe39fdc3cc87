"""Conditions: narrow, exact, and not to be talked round."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.patterns import condition_for, fields_for, meets
from agent.models.rule import Begins, Between, Condition, Each, Equals, Fields, Mailbox, OneOf

REPORTS = [f"https://good.com/reports/{name}" for name in ("may.pdf", "june.pdf", "july/all.pdf")]
FOLDER = [f"/data/reports/{name}" for name in ("may.csv", "june.csv", "2026/all.csv")]
SCALARS = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=8)


@pytest.mark.parametrize(
    ("values", "condition"),
    [
        (["ann", "ann"], Equals(value="ann")),
        ([1, 1.0], Equals(value=1)),
        ([True, True], Equals(value=True)),
        ([5, 20, 7], Between(low=5, high=20, is_whole=True)),
        ([0.5, 2], Between(low=0.5, high=2)),
        (["a", "b", "a", "b"], OneOf(values=["a", "b"])),
        ([None, "a", None, "a"], OneOf(values=[None, "a"])),
        (REPORTS, Begins(prefix="https://good.com/reports/", rest="path", max_chars=12)),
        (FOLDER, Begins(prefix="/data/reports/", rest="path", max_chars=12)),
        (["INV-1", "INV-23", "INV-999"], Begins(prefix="INV-", rest="digits", max_chars=3)),
        (["ann@firm.org", "bob.b@firm.org", "eve+x@firm.org"], Mailbox(domain="firm.org")),
        ([{"a": 1}, {"a": 3, "b": "x"}], Fields(fields={"a": Between(low=1, high=3, is_whole=True), "b": Equals(value="x")}, optional=["b"])),
        ([["a", "a"], ["b", "b", "a"]], Each(items=OneOf(values=["a", "b"]), max_items=3)),
    ],
)
def test_the_condition_for_what_was_seen(values: list[Any], condition: Condition) -> None:
    assert condition_for(values) == condition


@pytest.mark.parametrize(
    "values",
    [
        [True, False, True, False],  # both: no condition at all
        ["a", "b"],  # seen once each
        ["some words", "other words", "third text"],
        ["https://good.com/a", "https://bad.com/b", "https://good.com/c"],
        ["https://good.com/a?x=1", "https://good.com/b?x=2", "https://good.com/c?x=3"],
        ["https://me@good.com/a", "https://me@good.com/b", "https://me@good.com/c"],
        ["https://good.com", "https://good.com.x", "https://good.com-y"],
        ["/data/../a", "/data/../b", "/data/../c"],
        ["../a/x", "../a/y", "../a/z"],
        ["/a", "/b", "/c"],  # nothing in common but the root
        ["a@x.org", "b@y.org", "c@z.org"],
        [1, "1", None],
        [[], [], [{"a": "x y"}], [{"a": "z w"}], [{"a": "q r"}]],
        [2**70, 2**71],
    ],
)
def test_where_only_anything_would_do_there_is_none(values: list[Any]) -> None:
    assert condition_for(values) is None


@pytest.mark.parametrize(
    "url",
    [
        "https://good.com.evil.net/reports/a.pdf",
        "https://good.com@evil.net/reports/a.pdf",
        "https://evil.net/https://good.com/reports/a",
        "https://good.com/reports/../admin",
        "https://good.com/reports/%2e%2e/admin",
        "https://good.com/reports/..\\admin",
        "https://good.com/reports//evil.net",
        "https://good.com/reports/a?to=evil",
        "https://good.com/reports/a#x",
        "https://good.com/reports/.hidden",
        "https://good.com/reports/",
        "https://good.com/reports",
        "https://good.com\\@evil.net/reports/a",
        "https://good.com:80@evil.net/reports/a",
        "https://good.com/reports/a\n.pdf",
        "https://good.com/reports/a\x00",
        "https://good.com/reports/" + "a" * 13,
        "HTTPS://GOOD.COM/reports/a",
        "http://good.com/reports/a",
        "https://gооd.com/reports/a",  # Cyrillic letters
        " https://good.com/reports/a",
        "https://good.com/reportsX/a",
        5,
        None,
        ["https://good.com/reports/a"],
    ],
)
def test_a_url_elsewhere_or_of_another_form_does_not_meet(url: Any) -> None:
    condition = condition_for(REPORTS)
    assert condition is not None

    assert all(meets(condition, seen) for seen in REPORTS)
    assert not meets(condition, url)


@pytest.mark.parametrize(
    "path", ["/data/reports/../../etc/passwd", "/data/reportsX/a", "/data/reports//a", "/data/reports/./a", "/data/reports/a\\b", "/data/reports/"]
)
def test_a_path_elsewhere_does_not_meet(path: str) -> None:
    condition = condition_for(FOLDER)
    assert condition is not None

    assert not meets(condition, path)


@pytest.mark.parametrize(
    "address",
    ["x@firm.org.evil.net", "x@evil.net@firm.org", "x@firm.org\n", "x@Firm.org", "a b@firm.org", "x@firm.org,y@evil.net", '"x@evil.net"@firm.org', "@firm.org"],
)
def test_an_address_elsewhere_does_not_meet(address: str) -> None:
    assert not meets(Mailbox(domain="firm.org"), address)
    assert meets(Mailbox(domain="firm.org"), "someone.new@firm.org")


@pytest.mark.parametrize("value", [4, 20.5, 5.5, True, "7", None, [7], 1e308])
def test_a_number_outside_or_of_another_kind_does_not_meet(value: Any) -> None:
    assert not meets(Between(low=5, high=20, is_whole=True), value)


def test_a_truth_value_is_no_number() -> None:
    assert not meets(Equals(value=1), True)
    assert not meets(OneOf(values=[0, 1]), False)
    assert not meets(Between(low=0, high=1), True)


@pytest.mark.parametrize("value", [{}, {"a": 1, "b": "x", "c": 0}, {"a": 9}, {"A": 1}, [], None])
def test_an_object_with_more_less_or_other_members_does_not_meet(value: Any) -> None:
    condition = fields_for([{"a": 1}, {"a": 3, "b": "x"}])
    assert condition is not None

    assert meets(condition, {"a": 2})
    assert not meets(condition, value)


@settings(max_examples=300)
@given(st.lists(JSON, min_size=1, max_size=8))
def test_whatever_was_seen_meets_the_condition_made_of_it_also_after_storing(values: list[Any]) -> None:
    condition = condition_for(values)

    if condition is not None:
        stored = msgspec.json.decode(msgspec.json.encode(condition), type=Condition)
        assert stored == condition
        assert all(meets(stored, value) for value in values)


@settings(max_examples=300)
@given(st.text())
def test_what_follows_a_known_beginning_can_never_name_another_host(rest: str) -> None:
    condition = condition_for(REPORTS)
    assert condition is not None
    url = "https://good.com" + rest

    if meets(condition, url):
        assert url.startswith("https://good.com/reports/")
        assert not set(url[8:]) & set("@\\?#% \n\r\t:")
        assert ".." not in url.split("/")
