"""What a call costs."""

import sys

import pytest

from agent.llm import prices
from agent.llm.prices import Tariff, TokenUse, calculate, cost_usd

USE = TokenUse(input_tokens=1000, output_tokens=100)


@pytest.mark.parametrize(
    ("model", "use", "tariff", "cost"),
    [
        ("gpt-4o", USE, Tariff(provider="openai"), 0.0035),
        ("gpt-4o", TokenUse(input_tokens=1000, output_tokens=100, cache_read_tokens=500, reasoning_tokens=50), Tariff(provider="openai"), 0.002875),
        ("claude-sonnet-4-5", TokenUse(input_tokens=1000, output_tokens=100, cache_write_tokens=500), Tariff(provider="anthropic"), 0.004875),
        ("gpt-4o", USE, Tariff(base_url="https://api.openai.com/v1"), 0.0035),
        ("gpt-4o", TokenUse(input_tokens=0, output_tokens=0), Tariff(provider="openai"), 0.0),
    ],
)
async def test_a_known_model_has_a_price(model: str, use: TokenUse, tariff: Tariff, cost: float) -> None:
    assert await cost_usd(model, use, tariff) == pytest.approx(cost)


@pytest.mark.parametrize(
    ("model", "use", "tariff"),
    [
        ("no-such-model", USE, Tariff(provider="openai")),
        ("gpt-4o", USE, Tariff(provider="no-such-provider")),
        ("gpt-4o", USE, Tariff(base_url="https://gateway.example/v1")),
        ("gpt-4o", USE, Tariff()),
        ("gpt-4o", TokenUse(input_tokens=None, output_tokens=100), Tariff(provider="openai")),
        ("gpt-4o", TokenUse(input_tokens=100, output_tokens=None), Tariff(provider="openai")),
        ("gpt-4o", TokenUse(input_tokens=10, output_tokens=100, cache_read_tokens=500), Tariff(provider="openai")),
    ],
)
async def test_what_is_unknown_has_no_price(model: str, use: TokenUse, tariff: Tariff) -> None:
    assert await cost_usd(model, use, tariff) is None


async def test_a_model_of_ones_own_costs_nothing() -> None:
    assert await cost_usd("any", TokenUse(input_tokens=None, output_tokens=None), Tariff(is_free=True)) == 0.0
    assert calculate("any", USE, Tariff(is_free=True)) == 0.0


async def test_a_service_tier_has_its_own_price() -> None:
    normal = await cost_usd("gpt-5.4", USE, Tariff(provider="openai"))
    flex = await cost_usd("gpt-5.4", USE, Tariff(provider="openai"), service_tier="flex")

    assert normal is not None
    assert flex is not None
    assert flex < normal
    assert await cost_usd("gpt-5.4", USE, Tariff(provider="openai"), service_tier="no-such-tier") == normal


async def test_without_the_price_data_nothing_has_a_price(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    prices._load.cache_clear()
    try:
        assert await cost_usd("gpt-4o", USE, Tariff(provider="openai")) is None
    finally:
        prices._load.cache_clear()
