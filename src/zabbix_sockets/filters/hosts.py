"""Parser of ports and addresses in the syntax of ss(8)."""

from __future__ import annotations

import _socket

from zabbix_sockets.model.light_typing import NamedTuple

MAX_PORT = 65535  # of 16 bits
_PORT = "a port: a number up to 65535 or a service of /etc/services"
_ADDRESS = "an address: a.b.c.d or [IPv6], each with /bits and :port if need be, or *"
_ANY = ("", "*", "any", "all", "default")
_MOST_DIGITS = 20  # of 2^64
_V4_PARTS = 4


class SyntaxFaultError(ValueError):
    """A text is no port or address; the message says what was expected instead of it."""


class EndpointPattern(NamedTuple):
    """The first *prefix* bits of an address, and a port.

    *address* has 4 or 16 bytes in network order, and is None for any; *port* is None for any.
    """

    address: bytes | None = None
    prefix: int = 0
    port: int | None = None


def parse_port(text: str) -> int | None:
    """Return the port of a number (`22`, `0x16`) or a service's name; None for `*`.

    A colon may be before it. Names are those of /etc/services.

    Raises:
        SyntaxFaultError: there is none.
    """
    text = text.removeprefix(":")
    if text == "*":
        return None
    number = parse_number(text)
    if number is None:
        ports = {port for port in map(_service, (text, text), ("tcp", "udp")) if port is not None}
        if len(ports) > 1:
            raise SyntaxFaultError("this service has another port for UDP: give the number")
        number = next(iter(ports), None)
    if number is None or number > MAX_PORT:
        raise SyntaxFaultError(f"expected {_PORT}")
    return number


def parse_number(text: str) -> int | None:
    """Return the number of `22` or `0x16`; None for all else.

    None are 022, which is octal in C, and numbers of more than 20 decimal or 8 hexadecimal digits,
    for which no field of the kernel's has room.
    """
    digits = text.removeprefix("0x")
    if digits != text:
        hexadecimal = 0 < len(digits) <= 8 and digits.isascii() and digits.isalnum()  # noqa: PLR2004
        try:
            return int(digits, 16) if hexadecimal else None
        except ValueError:
            return None
    if not (text.isascii() and text.isdecimal()) or (text[0] == "0" and text != "0"):
        return None
    return int(text) if len(text) <= _MOST_DIGITS else None


def _service(name: str, protocol: str) -> int | None:
    try:
        return _socket.getservbyname(name, protocol)
    except (OSError, ValueError):  # ValueError: a NUL in it
        return None


def parse_endpoint(text: str) -> EndpointPattern:
    """Return the endpoint of `a.b.c.d[/bits][:port]`, `[IPv6][/bits][:port]` or `*[:port]`.

    Raises:
        SyntaxFaultError: it is none of these.
    """
    if text.startswith("["):
        host, bracket, behind = text[1:].partition("]")
        if not bracket:
            raise SyntaxFaultError("expected ] after an IPv6 address")
        bits, _, port = behind.partition(":")
        host += bits  # ss has them before the bracket
    else:
        host, colon, port = text.rpartition(":")
        if not colon:
            host, port = text, ""
        elif ":" in host and "." not in host.partition("/")[0]:
            raise SyntaxFaultError(f"expected {_ADDRESS}")  # ss would take the last part for a port
    number = parse_port(port) if port else None
    if host in _ANY:
        return EndpointPattern(port=number)
    address, slash, bits = host.partition("/")
    packed = _packed(address)
    most = len(packed) * 8
    length = parse_number(bits) if slash else most
    if length is None or length > most:
        raise SyntaxFaultError(f"expected up to {most} bits after /")
    return EndpointPattern(packed, length, number)


def _packed(text: str) -> bytes:
    """Return the 4 or 16 bytes of an address in network order.

    An IPv4 address may have fewer than four parts: these are its first, as with ss.

    Raises:
        SyntaxFaultError: it is none.
    """
    if ":" in text:
        try:
            return _socket.inet_pton(_socket.AF_INET6, text)
        except (OSError, ValueError):
            raise SyntaxFaultError(f"expected {_ADDRESS}") from None
    parts = [parse_number(part) for part in text.split(".")]
    numbers = [part for part in parts if part is not None and part <= 255]  # noqa: PLR2004
    if len(numbers) != len(parts) or len(parts) > _V4_PARTS:
        raise SyntaxFaultError(f"expected {_ADDRESS}; names are not resolved")
    return bytes(numbers) + bytes(_V4_PARTS - len(numbers))
