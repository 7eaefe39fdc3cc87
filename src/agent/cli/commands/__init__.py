"""The commands of `seasoned`, one module a subject."""

__all__: list[str] = []
