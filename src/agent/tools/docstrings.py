"""What a docstring tells: the text before its sections, and one line for each parameter."""

import inspect
import re

from agent.models.value import Value

_HAS_SECTIONS = re.compile(r"^\s*(?:Args|Arguments|Params|Parameters|Keyword Args|Keyword Arguments)\s*:?\s*$|^\s*:param\b", re.MULTILINE | re.IGNORECASE)


class Documentation(Value, frozen=True):
    """A docstring, taken apart."""

    description: str = ""
    parameters: dict[str, str] = {}


def read_docstring(text: str | None) -> Documentation:
    """Return what `text` says; Google, NumPy and Sphinx styles are recognised by themselves."""
    if not text or not text.strip():
        return Documentation()
    clean = inspect.cleandoc(text)
    if not _HAS_SECTIONS.search(clean):
        return Documentation(clean)
    from griffe import Docstring, DocstringSectionParameters, DocstringSectionText, infer_docstring_style, parse_google, parse_numpy, parse_sphinx

    docstring = Docstring(clean)
    style, _ = infer_docstring_style(docstring)
    quiet = {"warnings": False, "warn_unknown_params": False, "warn_missing_types": False}
    if style is not None and style.value == "numpy":
        sections = parse_numpy(docstring, **quiet)
    elif style is not None and style.value == "sphinx":
        sections = parse_sphinx(docstring, **quiet)
    else:
        sections = parse_google(docstring, **quiet)
    texts = [section.value.strip() for section in sections if isinstance(section, DocstringSectionText)]
    described = {
        item.name.lstrip("*"): " ".join(item.description.split())
        for section in sections
        if section.kind.value in ("parameters", "other parameters") and isinstance(section, DocstringSectionParameters)
        for item in section.value
    }
    return Documentation("\n\n".join(texts), described)
