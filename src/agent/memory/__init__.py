"""What an agent learns, and what it is told of it."""

__all__: list[str] = []
