"""Endpoints of the filter language: addresses, prefixes and ports."""

from __future__ import annotations

import pytest

from zabbix_sockets.filters.hosts import EndpointPattern, SyntaxFaultError, parse_endpoint

MAPPED = bytes(10) + b"\xff\xff\x01\x02\x03\x04"
LOCAL = bytes(15) + b"\x01"


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("255.255.255.255", EndpointPattern(b"\xff" * 4, 32)),
        ("0.0.0.0/0:65535", EndpointPattern(bytes(4), 0, 65535)),
        ("10:80", EndpointPattern(b"\x0a\0\0\0", 32, 80)),
        ("[::1]", EndpointPattern(LOCAL, 128)),
        ("[::1]:443", EndpointPattern(LOCAL, 128, 443)),
        ("[::1]/64:443", EndpointPattern(LOCAL, 64, 443)),
        ("[::1/64]:443", EndpointPattern(LOCAL, 64, 443)),
        ("::ffff:1.2.3.4:80", EndpointPattern(MAPPED, 128, 80)),
        ("::ffff:1.2.3.4/96:80", EndpointPattern(MAPPED, 96, 80)),
        ("*:22", EndpointPattern(port=22)),
    ],
)
def test_endpoints(text: str, pattern: EndpointPattern) -> None:
    """An endpoint has an address, the bits of its prefix, and a port."""
    assert parse_endpoint(text) == pattern


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("256.0.0.1", "names are not resolved"),
        ("1.2.3.4.5", "names are not resolved"),
        ("1.2.3.4/33", "up to 32 bits"),
        ("[::1/129]", "up to 128 bits"),
        ("[::1", "expected ] after an IPv6 address"),
        ("[::1]]:80", "expected"),
        ("::1", "expected"),
        ("::1:80", "expected"),
        ("::1/1.2:80", "expected"),
    ],
)
def test_what_is_none(text: str, said: str) -> None:
    """What is no endpoint, or has two meanings, is an error that says what was expected."""
    with pytest.raises(SyntaxFaultError, match=said):
        parse_endpoint(text)
