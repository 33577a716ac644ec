"""Addresses as people and Zabbix read them."""

from __future__ import annotations

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zabbix_sockets.model.addresses import (
    MAPPED_PREFIX,
    fold_address,
    format_address,
    format_endpoint,
    unmapped,
)


@given(st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16))
def test_every_address_means_itself(address: bytes) -> None:
    """Any address reads back as the same bytes, and has one spelling only."""
    text = format_address(address)
    assert ipaddress.ip_address(text).packed == address
    assert text == text.lower()


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (bytes(4), "0.0.0.0"),
        (b"\xc0\0\2\1", "192.0.2.1"),
        (bytes(16), "::"),
        (bytes(15) + b"\1", "::1"),
        (bytes.fromhex("20010db8000000000001000000000001"), "2001:db8::1:0:0:1"),
        (bytes(10) + b"\xff\xff\xc0\0\2\1", "::ffff:192.0.2.1"),
    ],
)
def test_spelling(address: bytes, text: str) -> None:
    """Addresses are spelled as RFC 5952 says."""
    assert format_address(address) == text


@pytest.mark.parametrize(
    ("address", "port", "device", "text"),
    [
        (b"\xc0\0\2\1", 80, "", "192.0.2.1:80"),
        (bytes(4), 68, "eth0", "0.0.0.0%eth0:68"),
        (bytes(16), 443, "", "[::]:443"),
        (bytes.fromhex("fe80") + bytes(13) + b"\1", 546, "eth0", "[fe80::1%eth0]:546"),
        (bytes(16), "*", "", "[::]:*"),
    ],
)
def test_endpoint(address: bytes, port: int | str, device: str, text: str) -> None:
    """An IPv6 address stands in brackets with its device; an IPv4 one does not."""
    assert format_endpoint(address, port, device) == text


@pytest.mark.parametrize("length", [0, 3, 5, 15, 17])
def test_no_address_of_another_length(length: int) -> None:
    """Bytes that are no address are refused, not shown as one."""
    with pytest.raises(ValueError, match="invalid length"):
        format_address(bytes(length))


@given(st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16))
def test_unmapped(address: bytes) -> None:
    """Only an IPv4-mapped address is the IPv4 address in it."""
    mapped = MAPPED_PREFIX + address[:4]
    parsed = ipaddress.ip_address(mapped)
    assert isinstance(parsed, ipaddress.IPv6Address)
    assert parsed.ipv4_mapped == ipaddress.IPv4Address(address[:4])
    assert unmapped(mapped) == address[:4]
    if len(address) == 4 or not address.startswith(MAPPED_PREFIX):
        assert unmapped(address) == address


def test_ipv4_address_folds_like_its_mapped_form() -> None:
    """One local end has one number, whichever family its socket is of."""
    loopback = bytes((127, 0, 0, 1))
    assert fold_address(loopback) == fold_address(MAPPED_PREFIX + loopback)
    assert fold_address(loopback) != fold_address(bytes((127, 0, 0, 2)))


@given(st.lists(st.integers(0, 0xFFFFFFFF), min_size=4, max_size=4))
def test_ipv6_address_folds_as_in_the_kernel(words: list[int]) -> None:
    """It is what fold() of minisocks.bpf.c computes, in 32 bits, of the address's four words."""
    one, two, three, four = words
    wanted = one ^ two * 0x9E3779B1 ^ three * 0x85EBCA77 ^ four * 0xC2B2AE3D
    assert fold_address(struct.pack("=4I", *words)) == wanted % (1 << 32)
