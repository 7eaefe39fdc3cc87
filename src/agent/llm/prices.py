"""What a call cost, in USD, and what a model takes, from the offline data of `genai-prices` (extra `prices`); unknown stays unknown."""

import asyncio
import functools
from collections.abc import Callable
from typing import Any

from agent.models.value import Value

Calculate = Callable[..., Any]


class TokenUse(Value, frozen=True, kw_only=True):
    """The tokens of one call. `input_tokens` includes what was read from and written to a cache, `output_tokens` includes reasoning."""

    input_tokens: int | None
    output_tokens: int | None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None


class Tariff(Value, frozen=True, kw_only=True):
    """How a model is priced: free where `is_free`, else by the provider's name in the price data, else by the server's address."""

    provider: str | None = None
    base_url: str | None = None
    is_free: bool = False


async def cost_usd(model: str, use: TokenUse, tariff: Tariff, *, service_tier: str | None = None) -> float | None:
    """Return what the call cost, 0.0 only where the model is known to be free, and None when the price or the tokens are unknown.

    Nothing is fetched: the data is the one that was installed.
    Source: genai-prices, whose first use takes about 0.6 s of CPU; hence the thread.
    """
    if tariff.is_free:
        return 0.0
    if use.input_tokens is None or use.output_tokens is None or not (tariff.provider or tariff.base_url):
        return None
    if not _load.cache_info().currsize:
        await asyncio.to_thread(_load)
    return calculate(model, use, tariff, service_tier=service_tier)


def calculate(model: str, use: TokenUse, tariff: Tariff, *, service_tier: str | None = None) -> float | None:
    """Return `cost_usd`, without a thread: the first call may take most of a second."""
    if tariff.is_free:
        return 0.0
    price_of = _load()
    if price_of is None:
        return None
    try:
        return float(price_of(model, use, tariff, service_tier).total_price)
    except (LookupError, ValueError):  # unknown model or provider; tokens that contradict each other
        return None


@functools.cache
def _load() -> Calculate | None:
    try:
        from genai_prices import Usage, calc_price
        from genai_prices.data_snapshot import get_snapshot
    except ModuleNotFoundError:
        return None
    get_snapshot()

    def price_of(model: str, use: TokenUse, tariff: Tariff, service_tier: str | None) -> Any:
        counts = {
            "input_tokens": use.input_tokens,
            "output_tokens": use.output_tokens,
            "cache_read_tokens": use.cache_read_tokens,
            "cache_write_tokens": use.cache_write_tokens,
            "output_reasoning_tokens": use.reasoning_tokens,
        }
        usage = Usage(**{key: count for key, count in counts.items() if count})
        context = {"service_tier": service_tier} if service_tier else None
        if tariff.provider:
            return calc_price(usage, model, provider_id=tariff.provider, price_context=context)
        return calc_price(usage, model, provider_api_url=tariff.base_url, price_context=context)

    return price_of


async def context_window(model: str, tariff: Tariff) -> int | None:
    """Return how many tokens a model takes, from the same data; None where it does not say."""
    if tariff.is_free or not (tariff.provider or tariff.base_url):
        return None
    if not _windows.cache_info().currsize:
        await asyncio.to_thread(_windows)
    window_of = _windows()
    try:
        tokens = window_of(model, tariff) if window_of is not None else None
    except LookupError:
        return None
    return tokens if isinstance(tokens, int) and tokens > 0 else None


@functools.cache
def _windows() -> Callable[[str, Tariff], Any] | None:
    try:
        from genai_prices.data_snapshot import get_snapshot
    except ModuleNotFoundError:
        return None
    snapshot = get_snapshot()

    def window_of(model: str, tariff: Tariff) -> Any:
        url = None if tariff.provider else tariff.base_url
        return snapshot.find_provider_model(model, None, tariff.provider, url)[1].context_window

    return window_of
