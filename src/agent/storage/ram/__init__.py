"""The stores in this process's memory: gone when it ends."""

__all__: list[str] = []
