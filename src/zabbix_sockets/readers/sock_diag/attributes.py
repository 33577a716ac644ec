"""Decoder of the netlink attributes behind inet_diag_msg: tcp_info, cgroup id, mark, drops.

Source: include/uapi/linux/{netlink,inet_diag,tcp}.h.
"""

from __future__ import annotations

import struct
from _collections_abc import Iterator

from zabbix_sockets.model.light_library import cache
from zabbix_sockets.readers.netlink import NLATTR, attributes

MESSAGE_MIN = 16 + 72  # nlmsghdr, inet_diag_msg
INET_DIAG_INFO, INET_DIAG_CONG, INET_DIAG_SKMEMINFO = 2, 4, 7
INET_DIAG_MARK, INET_DIAG_CGROUP_ID = 15, 21
CGROUP_ID = struct.Struct("=Q")
_MARK = struct.Struct("=I")
_SK_MEMINFO_DROPS = struct.Struct("=32x I")  # of INET_DIAG_SKMEMINFO, since Linux 4.6
COOKIE_AT = 16 + 4 + 40  # idiag_cookie, in nlmsghdr, inet_diag_msg, inet_diag_sockid

TcpInfoFigures = tuple[int, ...]
"""Fields of a socket's struct tcp_info: tcpi_retransmits, tcpi_lost, tcpi_retrans,
tcpi_last_data_sent, tcpi_last_data_recv, tcpi_rtt, tcpi_total_retrans; from Linux 4.10 on
tcpi_rwnd_limited and tcpi_sndbuf_limited. Empty for a socket without."""

# The beginning of struct tcp_info, as Figures: all of them, and without the last two.
_FIGURES = "2x B 29x II 4x I 4x I 12x I 28x I"
_WITH_LIMITS = struct.Struct(f"={_FIGURES} 72x QQ")
_WITHOUT_LIMITS = struct.Struct(f"={_FIGURES}")


@cache
def figures_struct(stride: int, offset: int, size: int) -> struct.Struct | None:
    """Return the layout of TcpInfoFigures in messages that are *stride* bytes apart.

    Their tcp_info is *size* bytes long and begins at *offset*, which is 0 if they have none. None
    if they have none, or one that ends before tcpi_total_retrans.
    """
    for figures in (_WITH_LIMITS, _WITHOUT_LIMITS):
        if offset and figures.size <= size:
            form = figures.format.removeprefix("=")
            return struct.Struct(f"={offset}x {form} {stride - offset - figures.size}x")
    return None


@cache
def drops_struct(stride: int, offset: int, size: int) -> struct.Struct | None:
    """Return the layout of the packets dropped, in messages that are *stride* bytes apart.

    Their INET_DIAG_SKMEMINFO is *size* bytes long and begins at *offset*, which is 0 if they have
    none. None if it doesn't have that number.
    """
    if not offset or size < _SK_MEMINFO_DROPS.size:
        return None
    form = _SK_MEMINFO_DROPS.format.removeprefix("=")
    return struct.Struct(f"={offset}x {form} {stride - offset - _SK_MEMINFO_DROPS.size}x")


def equal_layouts(
    messages: memoryview, stride: int, length: int, attribute: int = INET_DIAG_INFO
) -> Iterator[tuple[memoryview, int, int]]:
    """Yield runs of messages with the same attributes: the run, offset and size of *attribute*.

    *messages* are *length* bytes long each and *stride* bytes apart; offset and size are 0 where
    they have no such attribute. Nearly all messages have the same attributes, so each attribute's
    headers are compared in one go: they are words of a strided view.

    Raises:
        ParseError: an attribute is shorter than its header, or longer than the message.
    """
    offset = size = 0
    for kind, at, length_of in attributes(messages[:length], MESSAGE_MIN):
        headers = messages[at - NLATTR.size :].cast("I")[:: stride // 4].tolist()
        if headers.count(headers[0]) != len(headers):
            for start in range(0, len(messages), stride):
                one = messages[start : start + stride]
                yield from equal_layouts(one, stride, length, attribute)
            return
        if kind == attribute:
            offset, size = at, length_of
            break
    yield messages, offset, size


def cgroup_ids(data: memoryview, stride: int, length: int) -> Iterator[int]:
    """Yield each message's id of the cgroup v2 in which the socket was made; 0 without one.

    *data* are messages that are *length* bytes long each and *stride* bytes apart. The attribute
    is mostly at the same offset.

    Raises:
        ParseError: an attribute is shorter than its header, or longer than the message.
    """
    offset = MESSAGE_MIN
    for at in range(0, len(data), stride):
        if not _is_cgroup(data, at + offset, at + length):
            offset = _find_cgroup(data[at : at + length])
        yield CGROUP_ID.unpack_from(data, at + offset + NLATTR.size)[0] if offset else 0
        offset = offset or MESSAGE_MIN


def _is_cgroup(data: memoryview, at: int, end: int) -> bool:
    if at + NLATTR.size + CGROUP_ID.size > end:
        return False
    return NLATTR.unpack_from(data, at) == (NLATTR.size + CGROUP_ID.size, INET_DIAG_CGROUP_ID)


def _find_cgroup(message: memoryview) -> int:
    """Return the offset of the attribute with the cgroup's id; 0 without one."""
    expected = INET_DIAG_CGROUP_ID, CGROUP_ID.size
    offsets = (
        at for kind, at, size in attributes(message, MESSAGE_MIN) if (kind, size) == expected
    )
    return next(offsets, NLATTR.size) - NLATTR.size


def decode_figures(message: bytes) -> TcpInfoFigures:
    """Return the figures of tcp_info in one message, from its nlmsghdr on; empty without any.

    Raises:
        ParseError: an attribute is shorter than its header, or longer than the message.
    """
    offset, size = find_attribute(memoryview(message), INET_DIAG_INFO)
    figures = figures_struct(len(message), offset, size)
    return figures.unpack(message) if figures else ()


def decode_drops(message: bytes) -> int | None:
    """Return the number of packets dropped at the socket of one message, from its nlmsghdr on.

    None where the message doesn't have it.

    Raises:
        ParseError: an attribute is shorter than its header, or longer than the message.
    """
    layout = drops_struct(len(message), *find_attribute(memoryview(message), INET_DIAG_SKMEMINFO))
    return layout.unpack(message)[0] if layout else None


def decode_cgroup_and_mark(message: bytes) -> tuple[int, int]:
    """Return the cgroup's id and the socket's mark in one message, from its nlmsghdr on.

    Each is 0 where the message doesn't have it: the id before Linux 5.8, the mark (SO_MARK)
    without CAP_NET_ADMIN.

    Raises:
        ParseError: an attribute is shorter than its header, or longer than the message.
    """
    view = memoryview(message)
    found = []
    for attribute, form in ((INET_DIAG_CGROUP_ID, CGROUP_ID), (INET_DIAG_MARK, _MARK)):
        at, size = find_attribute(view, attribute)
        found.append(form.unpack_from(view, at)[0] if size == form.size else 0)
    return found[0], found[1]


def find_attribute(message: memoryview, attribute: int) -> tuple[int, int]:
    """Return offset and size of the value of the attribute of type *attribute*; 0, 0 without one.

    *message* is one of inet_diag, from its nlmsghdr on.

    Raises:
        ParseError: an attribute is shorter than its header, or longer than the message.
    """
    for kind, at, size in attributes(message, MESSAGE_MIN):
        if kind == attribute:
            return at, size
    return 0, 0
