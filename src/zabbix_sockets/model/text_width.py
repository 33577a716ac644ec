"""How wide a text is in a terminal. Pure."""

import unicodedata


def text_width(text: str) -> int:
    """Return how many cells of a terminal *text* takes (UAX #11; marks: none)."""
    if text.isascii():
        return len(text)
    return sum(
        0
        if unicodedata.category(char) in ("Mn", "Me", "Cf")
        else 2
        if unicodedata.east_asian_width(char) in "WF"
        else 1
        for char in text
    )
