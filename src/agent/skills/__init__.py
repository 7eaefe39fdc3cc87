"""Agent Skills folders: read leniently, checked and written strictly."""

__all__: list[str] = []
