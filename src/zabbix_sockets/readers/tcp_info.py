"""struct tcp_info: how a TCP connection fares, as the kernel tells it.

Source: include/uapi/linux/tcp.h, and tcp_get_info() in net/ipv4/tcp.c for what the fields mean.
The struct grows with the kernels: what is beyond the length received is not available. The BPF
program inform_sockets writes the same layout.
"""

import struct
from collections.abc import Iterable

from zabbix_sockets.readers.inet_diag import (
    COOKIE_AT,
    INET_DIAG_CONG,
    INET_DIAG_INFO,
    find_attribute,
)
from zabbix_sockets.sockets import TcpInfo

_U8, _U32, _U64 = "=B", "=I", "=Q"
_NEVER = 0xFFFFFFFF  # tcpi_min_rtt before the first sample
_INFINITE = 0x7FFFFFFF  # TCP_INFINITE_SSTHRESH: no loss has set one yet
_COOKIE = struct.Struct("=Q")

# Field: offset, type, values that mean that there is none.
_LAYOUT: dict[str, tuple[int, str, tuple[int, ...]]] = {
    "rtt_us": (68, _U32, (0,)),
    "rtt_variance_us": (72, _U32, ()),
    "receive_rtt_us": (92, _U32, (0,)),
    "min_rtt_us": (148, _U32, (0, _NEVER)),
    "congestion_window": (80, _U32, ()),
    "slow_start_threshold": (76, _U32, (_INFINITE,)),
    "unacked": (24, _U32, ()),
    "lost": (32, _U32, ()),
    "timeouts": (2, _U8, ()),
    "retransmits_in_flight": (36, _U32, ()),
    "retransmits": (100, _U32, ()),
    "bytes_sent": (200, _U64, ()),
    "bytes_acked": (120, _U64, ()),
    "bytes_received": (128, _U64, ()),
    "bytes_retransmitted": (208, _U64, ()),
    "delivery_rate_bytes_per_s": (160, _U64, (0,)),
    "busy_us": (168, _U64, ()),
    "receiver_limited_us": (176, _U64, ()),
    "sender_buffer_limited_us": (184, _U64, ()),
    "last_sent_ms": (44, _U32, ()),
    "last_received_ms": (52, _U32, ()),
}


def decode_tcp_info(data: bytes, congestion_control: str | None = None) -> TcpInfo:
    """Return what *data* tells; fields behind its end are None."""
    found: dict[str, int | None] = {}
    for name, (at, form, none) in _LAYOUT.items():
        if at + struct.calcsize(form) <= len(data):
            (value,) = struct.unpack_from(form, data, at)
            found[name] = None if value in none else value
    if found.get("rtt_us") is None:
        found["rtt_variance_us"] = None  # but a guess
    return TcpInfo(congestion_control=congestion_control, **found)


def decode_details(message: bytes) -> tuple[int, TcpInfo | None]:
    """Return a socket's cookie, and its tcp_info if the message of inet_diag has one.

    Raises:
        ParseError: an attribute that can't be.
    """
    (cookie,) = _COOKIE.unpack_from(message, COOKIE_AT)
    view = memoryview(message)
    at, size = find_attribute(view, INET_DIAG_INFO)
    if not at:
        return cookie, None
    name_at, name_size = find_attribute(view, INET_DIAG_CONG)
    name = decode_name(message[name_at : name_at + name_size]) if name_at else None
    return cookie, decode_tcp_info(message[at : at + size], name)


def decode_name(data: bytes) -> str:
    """Return the name of a congestion control, which a module of the kernel chose."""
    return data.split(b"\0", 1)[0].decode("ascii", "replace")


def decode_all(records: Iterable[tuple[int, int, int, bytes, bytes]]) -> "Informed":
    """Return what the records of inform_sockets tell, by inode: the cookie (0: none yet) too."""
    return {
        inode: (cookie, decode_tcp_info(info, decode_name(name)))
        for cookie, inode, _, name, info in records
    }


Informed = dict[int, tuple[int, TcpInfo]]
"""Cookies and tcp_info by inode, which is unique in all network namespaces."""
