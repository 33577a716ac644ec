"""Safe names: the one function that makes a hostile name fit to leave this process.

A process chooses its name freely (prctl(2) PR_SET_NAME, argv[0]); so does whoever names a
network device or a namespace. A safe name can't break JSON, an LLD row, a quoted item key,
a line for zabbix_sender, a terminal or a log, no Zabbix macro is expanded in it, and it is no
markup in a mail or a chat.
"""

from _collections_abc import Collection

from zabbix_sockets.model.light_library import lru_cache

MAX_LENGTH = 64
"""The most characters of a safe name."""
MAX_UNIX_LENGTH = 60
"""The most characters of a unix socket's name, so that no listener has a longer id than others."""

# What this package calls what has no name; no safe name begins with a parenthesis.
UNNAMED, HOST, NO_UNIT, UNKNOWN_NAME = "(unnamed)", "(host)", "(no unit)", "(unknown)"
KERNEL = "(kernel)"

# Quotes and backslash end or escape quoted strings; "$", "{" and "}" begin and end Zabbix
# macros, which a server would expand in item names; "<" begins a tag, or what Slack takes for a
# mention, and servers put names into mails and webhooks as they are; "%" and "~" are this
# function's own.
_ESCAPED = frozenset("\"'`\\${}<%~")
_ESCAPED_IN_PATHS = _ESCAPED | {"@"}


# What an agent lets through and a key's parameter may hold unquoted; "%" leads an escape.
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:/+=-%")

_HEXADECIMAL = frozenset(b"0123456789abcdefABCDEF")
_ESCAPE_DIGITS = 2
_LOWER_DIGITS = frozenset(b"0123456789abcdef")
_DIGEST = 8  # bytes, of which "~" and their hex digits are at the end of a name that was cut
_AUTOBOUND = 6  # unix_autobind() in net/unix/af_unix.c: a NUL and "%05x"


@lru_cache(1024)  # processes of a host have few names
def safe_name(raw: bytes) -> str:
    """Return the bytes of a name as 1 to 64 printable characters; distinct names stay distinct.

    What may do harm becomes the %XX of its UTF-8 bytes: control and format characters,
    separators, quotes, backslashes, the characters of Zabbix macros, "<", invalid UTF-8, a
    leading parenthesis (names like "(absent)" are reserved) or a space at either end. What
    is longer ends with "~" and a digest of all of the name. An empty name is "%".
    """
    text = raw.decode("utf-8", "surrogateescape")
    if text.isalnum() and text.isascii() and len(text) <= MAX_LENGTH:
        return text  # nearly every name
    return _made_safe(raw, text, _ESCAPED, MAX_LENGTH)


def _made_safe(raw: bytes, text: str, escaped: frozenset[str], longest: int) -> str:
    """Return the safe name of the bytes *raw*, which are *text*; see safe_name().

    The characters *escaped* become escapes, and what has more than *longest* ends with a digest.
    """
    last = len(text) - 1
    is_plain = text.isascii() and text.isprintable() and escaped.isdisjoint(text)
    if is_plain and 0 <= last < longest and text[0] not in "( " and text[last] != " ":
        return text  # nearly every path, of which there may be very many
    name = "".join(
        _escape(char)
        if char in escaped
        or not char.isprintable()
        or (char == "(" and not at)
        or (char == " " and at in (0, last))
        else char
        for at, char in enumerate(text[: longest + 1])  # no more can be kept
    )
    if len(name) > longest:
        return _shorten(name, raw, longest)
    return name or "%"


def unix_name(raw: bytes) -> str:
    """Return a unix socket's name as 1 to 60 printable characters; distinct ones stay distinct.

    *raw* is the path that it is bound to, or an abstract name behind a NUL, which is shown as "@".
    It is made safe as by safe_name(), and no other "@" is left: the name of a network namespace may
    follow behind one.
    """
    is_abstract = raw[:1] == b"\0"
    body = raw[1:] if is_abstract else raw
    text = body.decode("utf-8", "surrogateescape")
    if is_abstract:
        return "@" + _made_safe(body, text, _ESCAPED_IN_PATHS, MAX_UNIX_LENGTH - 1)
    return _made_safe(body, text, _ESCAPED_IN_PATHS, MAX_UNIX_LENGTH)


def is_autobound(raw: bytes) -> bool:
    """Whether the name of a unix socket is as the kernel picks them: abstract, five digits."""
    return len(raw) == _AUTOBOUND and raw[0] == 0 and _LOWER_DIGITS.issuperset(raw[1:])


def _escape(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogateescape"))


def _shorten(name: str, raw: bytes, longest: int) -> str:
    """Return the beginning of *name*, the escaped *raw*, with "~" and 64 bits of its digest."""
    from zabbix_sockets.model.digests import digest_of  # noqa: PLC0415  # few hosts need it

    digest = digest_of(raw, _DIGEST).hex()
    kept = name[: longest - len(digest) - 1]
    percent = kept.rfind("%", len(kept) - 2)
    return f"{kept if percent < 0 else kept[:percent]}~{digest}"


def as_parameter(name: str) -> str:
    """Return a safe name as a parameter of an item key that every agent takes, without quotes.

    Agents refuse what means something to a shell (UnsafeUserParameters=0), such as "(", "["
    and "~". All but plain characters become the %XX of their UTF-8 bytes, as safe_name() wrote
    others; the "~" of a digest becomes "%-", since %7E is one that a process has in its name.
    So no two names are spelled the same.
    """
    return "".join(
        char if char in _PLAIN else "%-" if char == "~" else _escape(char) for char in name
    )


def from_parameter(parameter: bytes, known: Collection[str]) -> str:
    """Return the safe name that the *parameter* of an item key stands for.

    A parameter may be one of the safe names *known*, or be spelled by as_parameter(), or be a
    name as a process has it. "%" and two hexadecimal digits are always an escape, any other "%" is
    itself; "%" alone is the safe name of a process without one. The name that is returned may be
    none of *known*.
    """
    text = parameter.decode("utf-8", "surrogateescape")
    if text in known or text == "%":
        return text
    if "%-" in text:
        for name in known:
            if as_parameter(name) == text:
                return name
    first, *escapes = parameter.split(b"%")
    return safe_name(first + b"".join(map(_unescaped, escapes)))


def _unescaped(part: bytes) -> bytes:
    """Return the bytes that "%" and *part* stand for: an escape and what follows, or themselves."""
    digits = part[:2]
    if len(digits) == _ESCAPE_DIGITS and _HEXADECIMAL.issuperset(digits):
        return bytes((int(digits, 16),)) + part[2:]
    return b"%" + part
