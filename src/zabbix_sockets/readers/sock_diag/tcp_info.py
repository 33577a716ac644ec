"""Decoder of struct tcp_info: round-trip times, windows, retransmissions and so on.

Source: include/uapi/linux/tcp.h, and tcp_get_info() in net/ipv4/tcp.c for what the fields mean.
The struct grows with the kernels: what is beyond the length received is not available. The BPF
program inform_sockets writes the same layout.
"""

from __future__ import annotations

import struct
from _collections_abc import Iterable

from zabbix_sockets.model.light_library import cache
from zabbix_sockets.model.socket import TcpInfo
from zabbix_sockets.readers.sock_diag.attributes import (
    COOKIE_AT,
    INET_DIAG_CONG,
    INET_DIAG_INFO,
    find_attribute,
)

_COOKIE = struct.Struct("=Q")

_PLACES = {  # of the fields, and their types
    "timeouts": (2, "B"),
    "unacked": (24, "I"),
    "lost": (32, "I"),
    "retransmits_in_flight": (36, "I"),
    "last_sent_ms": (44, "I"),
    "last_received_ms": (52, "I"),
    "rtt_us": (68, "I"),
    "rtt_variance_us": (72, "I"),
    "slow_start_threshold": (76, "I"),
    "congestion_window": (80, "I"),
    "receive_rtt_us": (92, "I"),
    "retransmits": (100, "I"),
    "bytes_acked": (120, "Q"),
    "bytes_received": (128, "Q"),
    "min_rtt_us": (148, "I"),
    "delivery_rate_bytes_per_s": (160, "Q"),
    "busy_us": (168, "Q"),
    "receiver_limited_us": (176, "Q"),
    "sender_buffer_limited_us": (184, "Q"),
    "bytes_sent": (200, "Q"),
    "bytes_retransmitted": (208, "Q"),
}
_NO_SAMPLE = {  # values that say so
    "rtt_us": (0,),
    "receive_rtt_us": (0,),
    "min_rtt_us": (0, 0xFFFFFFFF),
    "slow_start_threshold": (0x7FFFFFFF,),  # TCP_INFINITE_SSTHRESH: there was no loss
    "delivery_rate_bytes_per_s": (0,),
}


@cache
def _layout(length: int) -> tuple[tuple[str, ...], struct.Struct]:
    """Return the fields of TcpInfo that end within *length* bytes, and their layout."""
    names, form, end = [], "=", 0
    for name, (at, kind) in _PLACES.items():
        if at + struct.calcsize(kind) <= length:
            names.append(name)
            form += f"{at - end}x{kind}"
            end = at + struct.calcsize(kind)
    return tuple(names), struct.Struct(form)


def decode_tcp_info(data: bytes, congestion_control: str | None = None) -> TcpInfo:
    """Return the fields of *data*, the bytes of a struct tcp_info or of its beginning.

    Fields beyond its end, and those whose value says that there is no sample yet, are None.
    """
    names, layout = _layout(len(data))
    found: dict[str, int | None] = dict(zip(names, layout.unpack_from(data)))
    for name, values in _NO_SAMPLE.items():
        if found.get(name) in values:
            found[name] = None
    if found.get("rtt_us") is None:
        found["rtt_variance_us"] = None  # but a guess
    return TcpInfo(congestion_control=congestion_control, **found)


def decode_details(message: bytes) -> tuple[int, TcpInfo | None]:
    """Return the socket's cookie and tcp_info of a message of inet_diag, from its nlmsghdr on.

    tcp_info is None if the message has none.

    Raises:
        ParseError: an attribute is shorter than its header.
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
    """Return the name of a congestion control, such as "cubic", of bytes up to a NUL.

    A module of the kernel chose it; bytes that are no ASCII become U+FFFD.
    """
    return data.split(b"\0", 1)[0].decode("ascii", "replace")


def decode_information(records: Iterable[tuple[int, int, bytes, bytes]]) -> TcpInfoByInode:
    """Return cookie and tcp_info of each record of inform_sockets, by the socket's inode.

    A record is cookie (0: nobody has asked for it yet), inode number, name of the congestion
    control, struct tcp_info: as struct information of the BPF program.
    """
    return {
        inode: (cookie, decode_tcp_info(info, decode_name(name)))
        for cookie, inode, name, info in records
    }


TcpInfoByInode = dict[int, tuple[int, TcpInfo]]
"""Cookies and tcp_info by inode, which is unique in all network namespaces."""
