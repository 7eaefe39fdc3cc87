"""Text that stores can keep: all but lone surrogates, which have no bytes in UTF-8."""


def is_unicode(text: str) -> bool:
    """Whether `text` has no lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def findable(text: str) -> str | bytes:
    """Return `text`, or where it cannot be in a column of text, bytes that equal none there: a look-up finds nothing, as it should."""
    return text if is_unicode(text) else text.encode(errors="surrogatepass")
