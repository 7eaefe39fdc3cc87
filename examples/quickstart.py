"""An agent with one tool, on the record. Any model: SEASONED_MODEL=provider:model, a provider's key, or the embedded model."""

import asyncio

import agent

registry = agent.ToolRegistry()


@registry.tool(effect="read")
def price_of(fruit: str) -> float:
    """Return the price of one piece of fruit, in dollars."""
    return {"apple": 0.50, "lemon": 0.75}[fruit]


async def main() -> None:
    """Ask, and print what happens."""
    async with agent.open_store("sqlite:///quickstart.db") as store:
        runner = agent.AgentRunner(store.traces, store.memories, store.states, registry, agent.open_model())
        async for event in runner.run("What does a lemon cost?", tools=["price_of"]):
            print(event.type, event.data.get("content") or event.data.get("result") or "")
        await runner.aclose()


asyncio.run(main())
