"""Ports and addresses as ss(8) takes them."""

import _socket
from typing import NamedTuple

MAX_PORT = 65535
_PORT = "a port: a number up to 65535 or a service of /etc/services"
_ADDRESS = "an address: a.b.c.d or [IPv6], each with /bits and :port if need be, or *"
_ANY = ("", "*", "any", "all", "default")
_MOST_DIGITS = 20  # of 2^64
_V4_PARTS, _V4_BITS, _V6_BITS = 4, 32, 128


class Wrong(ValueError):  # noqa: N818  # no error of its own: the parser knows the place
    """What was expected instead."""


class End(NamedTuple):
    """An address's first bits and a port; None: any."""

    address: bytes | None = None
    prefix: int = 0
    port: int | None = None


def read_port(text: str) -> int | None:
    """Return the port that a number (`22`, `0x16`) or a service's name says; None for `*`.

    Raises:
        Wrong: there is none.
    """
    text = text.removeprefix(":")
    if text == "*":
        return None
    number = read_number(text)
    if number is None:
        ports = {port for port in map(_service, (text, text), ("tcp", "udp")) if port is not None}
        if len(ports) > 1:
            raise Wrong("this service has another port for UDP: give the number")
        number = next(iter(ports), None)
    if number is None or number > MAX_PORT:
        raise Wrong(f"expected {_PORT}")
    return number


def read_number(text: str) -> int | None:
    """Return what `22` or `0x16` says; None for all else.

    So it is for 022, which is octal in C, and for what no field of the kernel's has room for.
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


def read_end(text: str) -> End:
    """Return what `a.b.c.d[/bits][:port]`, `[IPv6][/bits][:port]` or `*[:port]` says.

    Raises:
        Wrong: it is none of these.
    """
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket:
            raise Wrong("expected ] after an IPv6 address")
        bits, _, port = rest.partition(":")
        host += bits  # ss has them before the bracket
    else:
        host, colon, port = text.rpartition(":")
        if not colon:
            host, port = text, ""
        elif ":" in host and "." not in host.partition("/")[0]:
            raise Wrong(f"expected {_ADDRESS}")  # ss would take the last part for a port
    number = read_port(port) if port else None
    if host in _ANY:
        return End(port=number)
    address, slash, bits = host.partition("/")
    packed = _packed(address)
    most = len(packed) * 8
    length = read_number(bits) if slash else most
    if length is None or length > most:
        raise Wrong(f"expected up to {most} bits after /")
    return End(packed, length, number)


def _packed(text: str) -> bytes:
    """Return an address; fewer than four parts of an IPv4 one are its first, as with ss."""
    if ":" in text:
        try:
            return _socket.inet_pton(_socket.AF_INET6, text)
        except (OSError, ValueError):
            raise Wrong(f"expected {_ADDRESS}") from None
    parts = [read_number(part) for part in text.split(".")]
    numbers = [part for part in parts if part is not None and part <= 255]  # noqa: PLR2004
    if len(numbers) != len(parts) or len(parts) > _V4_PARTS:
        raise Wrong(f"expected {_ADDRESS}; names are not resolved")
    return bytes(numbers) + bytes(_V4_PARTS - len(numbers))
