"""Names are hostile: the one function that makes a name safe to leave this process.

A process chooses its name freely (prctl(2) PR_SET_NAME, argv[0]); so does whoever names a
network device or a namespace. A safe name can't break JSON, an LLD row, a quoted item key,
a line for zabbix_sender, a terminal or a log, and no Zabbix macro is expanded in it.
"""

from functools import lru_cache

MAX_LENGTH = 64

# What this package calls what has no name; no safe name begins with a parenthesis.
UNNAMED, HOST, NO_UNIT, UNKNOWN = "(unnamed)", "(host)", "(no unit)", "(unknown)"

# Quotes and backslash end or escape quoted strings; "$", "{" and "}" begin and end Zabbix
# macros, which a server would expand in item names; "%" and "~" are this function's own.
_ESCAPED = frozenset("\"'`\\${}%~")


@lru_cache(1024)  # processes of a host have few names
def safe_name(raw: bytes) -> str:
    """Return *raw* as at most 64 printable characters; distinct names stay distinct.

    What may do harm becomes the %XX of its UTF-8 bytes: control and format characters,
    separators, quotes, backslashes, the characters of Zabbix macros, invalid UTF-8, a
    leading parenthesis (names like "(absent)" are reserved) or a space at either end. What
    is longer ends with "~" and a digest of the whole name. An empty name is "%".
    """
    text = raw.decode("utf-8", "surrogateescape")
    if text.isalnum() and text.isascii() and len(text) <= MAX_LENGTH:
        return text  # nearly every name
    last = len(text) - 1
    name = "".join(
        _escape(char)
        if char in _ESCAPED
        or not char.isprintable()
        or (char == "(" and not at)
        or (char == " " and at in (0, last))
        else char
        for at, char in enumerate(text[: MAX_LENGTH + 1])  # no more can be kept
    )
    if len(name) > MAX_LENGTH:
        return _shorten(name, raw)
    return name or "%"


def _escape(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogateescape"))


def _shorten(name: str, raw: bytes) -> str:
    """Cut *name*, and tell names with the same beginning apart by 64 bits of a digest."""
    from hashlib import blake2b  # noqa: PLC0415  # few hosts need it

    digest = blake2b(raw, digest_size=8).hexdigest()
    kept = name[: MAX_LENGTH - len(digest) - 1]
    percent = kept.rfind("%", len(kept) - 2)
    return f"{kept if percent < 0 else kept[:percent]}~{digest}"
