"""Two tools of your own: `seasoned run "…" --tools tools_example:registry` in this folder offers both."""

import agent

registry = agent.ToolRegistry()
PRICES = {"apple": 0.50, "lemon": 0.75}


@registry.tool(effect="read")
def price_of(fruit: str, count: int = 1) -> float:
    """Return what some fruit costs, in dollars.

    Args:
        fruit: its name, such as apple
        count: how many pieces
    """
    if fruit not in PRICES:
        raise ValueError(f"no price is known for {fruit!r}; there are prices for {', '.join(PRICES)}")
    return round(PRICES[fruit] * count, 2)


@registry.tool(effect="unsafe", requires_confirmation=True, editable_params=["note"])
def place_order(customer: str, fruit: str, count: int, note: str = "") -> str:
    """Place an order. A person is asked first, since this cannot be taken back.

    Args:
        customer: who is to be charged
        fruit: what is ordered
        count: how many pieces
        note: for the people who deliver
    """
    return f"ordered {count} of {fruit} for {customer}" + (f" ({note})" if note else "")
