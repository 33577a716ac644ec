"""Encoder of zabbix_sender's input: a line for each value, which no name or value can forge."""

from typing import NamedTuple

from zabbix_sockets.model.errors import SocketsError

_MAX_FIELD = 2047
"""The most bytes that zabbix_sender takes for a host or a key; at a longer one it stops reading."""

_MAX_CLOCK = 2**31 - 1
_NANOSECONDS = 10**9

_ESCAPES = str.maketrans({'"': '\\"', "\\": "\\\\", "\n": "\\n"})


class Value(NamedTuple):
    """One value of one item, at *clock* Unix seconds and *ns* nanoseconds."""

    host: str
    key: str
    clock: int
    ns: int
    text: str


def encode_line(value: Value) -> bytes:
    """Return the line of a value for `zabbix_sender -T -N -i -`, with its line feed.

    Raises:
        SocketsError: no such line has this host, key, time or value.
    """
    host, key = (_field(text, what) for text, what in ((value.host, "host"), (value.key, "key")))
    text = value.text
    if "\0" in text:
        raise SocketsError(f"a value of {value.key} has a NUL in it")
    if not (0 <= value.clock <= _MAX_CLOCK and 0 <= value.ns < _NANOSECONDS):
        raise SocketsError(f"a value of {value.key} has no time that zabbix_sender takes")
    if not _is_plain(text):
        text = f'"{text.translate(_ESCAPES)}"'
    try:
        return f"{host} {key} {value.clock} {value.ns} {text}\n".encode()
    except UnicodeEncodeError:
        raise SocketsError(f"a value of {value.key} is no text: half of a surrogate") from None


def _field(text: str, what: str) -> str:
    """Return a host or key (*what*) in quotes.

    Raises:
        SocketsError: zabbix_sender can't take it; "-" would stand for the default host.
    """
    if not text or text == "-" or any(char < " " or char == "\x7f" for char in text):
        raise SocketsError(f"zabbix_sender can't send to {what} {text!r}")
    quoted = f'"{text.translate(_ESCAPES)}"'
    try:
        length = len(quoted.encode())
    except UnicodeEncodeError:
        raise SocketsError(f"zabbix_sender can't send to {what} {text!r}") from None
    if length > _MAX_FIELD:
        raise SocketsError(f"{what} is too long for zabbix_sender: {text[:40]}...")
    return quoted


def _is_plain(text: str) -> bool:
    """Whether zabbix_sender takes a value without quotes, as a document or a number."""
    return text[:1] not in ('"', "") and text.strip() == text and text.isprintable()
