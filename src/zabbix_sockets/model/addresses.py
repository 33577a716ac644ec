"""Addresses and endpoints as text (RFC 5952), and as a number where only equality counts."""

from __future__ import annotations

import struct
from _socket import AF_INET, AF_INET6, inet_ntop, inet_pton

from zabbix_sockets.model.light_library import lru_cache

IPV4_LENGTH, IPV6_LENGTH = 4, 16
"""Bytes of a packed address."""

MAPPED_PREFIX = bytes(10) + b"\xff\xff"
"""The bytes before the IPv4 address in an IPv4-mapped IPv6 address, ::ffff:a.b.c.d."""

_LOOPBACK, _LOOPBACK6 = 127, bytes(15) + b"\1"
_WORDS = struct.Struct("=IIII")
_FACTORS = (1, 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D)  # fold() of kernel.bpf.h has them


def family_of(address: bytes) -> int:
    """Return the family of a packed address, AF_INET or AF_INET6."""
    return AF_INET if len(address) == IPV4_LENGTH else AF_INET6


@lru_cache(maxsize=4096)
def format_address(address: bytes) -> str:
    """Return the text of a packed address: "192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"."""
    return inet_ntop(family_of(address), address)


def is_loopback(address: bytes) -> bool:
    """Whether a packed address is one of 127.0.0.0/8, or ::1."""
    return address[0] == _LOOPBACK if len(address) == IPV4_LENGTH else address == _LOOPBACK6


def parse_address(text: str) -> bytes:
    """Return the packed address of a text such as "192.0.2.1" or "2001:db8::1".

    Raises:
        ValueError: it is none.
    """
    try:
        return inet_pton(AF_INET6 if ":" in text else AF_INET, text)
    except OSError:
        raise ValueError(f"no address: {text!r}") from None


def format_endpoint(address: bytes, port: int | str, device: str = "") -> str:
    """Return the text of a packed address with a port: "192.0.2.1:80", "[fe80::1%eth0]:80".

    *device*, if not empty, is the name of the network device that the socket is bound to.
    """
    text = format_address(address) + (f"%{device}" if device else "")
    return f"{text}:{port}" if len(address) == IPV4_LENGTH else f"[{text}]:{port}"


def unmapped(address: bytes) -> bytes:
    """Return the IPv4 address in an IPv4-mapped IPv6 address, any other as it is."""
    is_mapped = len(address) == IPV6_LENGTH and address.startswith(MAPPED_PREFIX)
    return address[len(MAPPED_PREFIX) :] if is_mapped else address


def fold_address(address: bytes) -> int:
    """Return the 32-bit hash by which local addresses are told apart, whatever the source.

    The BPF program writes it for IPv6 sockets, to keep its records small; all others make it
    here. An IPv4 address has the number of the IPv6 address that it is mapped to.
    """
    if len(address) == IPV4_LENGTH:
        address = MAPPED_PREFIX + address
    folded = 0
    for word, factor in zip(_WORDS.unpack(address), _FACTORS):
        folded ^= word * factor & 0xFFFFFFFF
    return folded
