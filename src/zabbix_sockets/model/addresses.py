"""Addresses and endpoints as text (RFC 5952), and as a number where only equality counts."""

import struct
from _socket import AF_INET, AF_INET6, inet_ntop

_IPV4_LENGTH = 4

_MAPPED = bytes(10) + b"\xff\xff"  # in front of an IPv4 address: ::ffff:a.b.c.d
_WORDS = struct.Struct("=IIII")
_FACTORS = (1, 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D)  # set_addresses() of the BPF program has them


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


def fold_address(address: bytes) -> int:
    """Return the number of 32 bits by which sources tell local addresses apart.

    The BPF program writes it for IPv6 sockets, to keep its records small; all others make it
    here. An IPv4 address has the number of the IPv6 address that it is mapped to.
    """
    if len(address) == _IPV4_LENGTH:
        address = _MAPPED + address
    folded = 0
    for word, factor in zip(_WORDS.unpack(address), _FACTORS, strict=True):
        folded ^= word * factor & 0xFFFFFFFF
    return folded
