"""The pure heart: what has happened, what comes next, what the model sees."""

__all__: list[str] = []
