"""The width of a text in a terminal. Pure."""

import unicodedata


def text_width(text: str) -> int:
    """Return the number of a terminal's cells that *text* takes.

    Wide and fullwidth characters (Unicode, UAX #11) take two, combining marks and format
    characters none.
    """
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
