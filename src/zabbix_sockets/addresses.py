"""Addresses and endpoints as text (RFC 5952)."""

from _socket import AF_INET, AF_INET6, inet_ntop

_IPV4_LENGTH = 4


def format_address(address: bytes) -> str:
    """Return the text of a packed address: "192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"."""
    return inet_ntop(AF_INET if len(address) == _IPV4_LENGTH else AF_INET6, address)


def format_endpoint(address: bytes, port: int | str, device: str = "") -> str:
    """Return "192.0.2.1:80" or "[fe80::1%eth0]:80"."""
    text = format_address(address)
    if device:
        text = f"{text}%{device}"
    return f"{text}:{port}" if len(address) == _IPV4_LENGTH else f"[{text}]:{port}"
