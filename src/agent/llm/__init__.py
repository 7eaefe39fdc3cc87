"""Models: one contract, and the adapters that keep it."""

__all__: list[str] = []
