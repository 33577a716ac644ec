"""Addresses and endpoints as text (RFC 5952)."""

from _socket import AF_INET, AF_INET6, inet_ntop

_IPV4_LENGTH = 4

_MAPPED = bytes(10) + b"\xff\xff"  # in front of an IPv4 address: ::ffff:a.b.c.d


def format_address(address: bytes) -> str:
    """Return the text of a packed address: "192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"."""
    return inet_ntop(AF_INET if len(address) == _IPV4_LENGTH else AF_INET6, address)


def format_endpoint(address: bytes, port: int | str, device: str = "") -> str:
    """Return "192.0.2.1:80" or "[fe80::1%eth0]:80"."""
    text = format_address(address)
    if device:
        text = f"{text}%{device}"
    return f"{text}:{port}" if len(address) == _IPV4_LENGTH else f"[{text}]:{port}"


def unmapped(address: bytes) -> bytes:
    """Return the IPv4 address in an IPv4-mapped IPv6 address, any other as it is."""
    return address[12:] if len(address) == 16 and address.startswith(_MAPPED) else address  # noqa: PLR2004
