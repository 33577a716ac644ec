"""The attributes behind inet_diag_msg: tcp_info's figures, the cgroup's id, the mark.

Source: include/uapi/linux/{netlink,inet_diag,tcp}.h.
"""

import struct
from collections.abc import Iterator
from functools import cache

from zabbix_sockets.model.errors import ParseError

MESSAGE_MIN = 16 + 72  # nlmsghdr, inet_diag_msg
NLATTR = struct.Struct("=HH")  # nla_len, nla_type
INET_DIAG_INFO, INET_DIAG_CONG, INET_DIAG_MARK, INET_DIAG_CGROUP_ID = 2, 4, 15, 21
CGROUP_ID = struct.Struct("=Q")
_MARK = struct.Struct("=I")
COOKIE_AT = 16 + 4 + 40  # idiag_cookie, in nlmsghdr, inet_diag_msg, inet_diag_sockid

Figures = tuple[int, ...]
"""Of a socket's tcp_info: tcpi_retransmits, tcpi_lost, tcpi_retrans, tcpi_last_data_sent,
tcpi_last_data_recv, tcpi_rtt, tcpi_total_retrans; from Linux 4.10 on tcpi_rwnd_limited and
tcpi_sndbuf_limited. Empty for a socket without."""

# The beginning of struct tcp_info, as Figures: all of them, and without the last two.
_FIGURES = "2x B 29x II 4x I 4x I 12x I 28x I"
_WITH_LIMITS = struct.Struct(f"={_FIGURES} 72x QQ")
_WITHOUT_LIMITS = struct.Struct(f"={_FIGURES}")


@cache
def figures_struct(stride: int, place: int, size: int) -> struct.Struct | None:
    """Return the layout of Figures in messages with *size* bytes of tcp_info at *place*."""
    for figures in (_WITH_LIMITS, _WITHOUT_LIMITS):
        if place and figures.size <= size:
            form = figures.format.removeprefix("=")
            return struct.Struct(f"={place}x {form} {stride - place - figures.size}x")
    return None


def equal_layouts(
    messages: memoryview, stride: int, length: int
) -> Iterator[tuple[memoryview, int, int]]:
    """Yield parts of equally long messages with the place and size of their INET_DIAG_INFO.

    Nearly all have the same attributes, so each one's headers are compared in one go: they are
    words, as in _run().
    """
    place = size = 0
    for kind, at, length_of in _attributes(messages[:length]):
        headers = messages[at - NLATTR.size :].cast("I")[:: stride // 4].tolist()
        if headers.count(headers[0]) != len(headers):
            for start in range(0, len(messages), stride):
                yield from equal_layouts(messages[start : start + stride], stride, length)
            return
        if kind == INET_DIAG_INFO:
            place, size = at, length_of
            break
    yield messages, place, size


def cgroup_ids(data: memoryview, stride: int, length: int) -> Iterator[int]:
    """Yield the cgroup id of each of equally long messages; it is mostly at the same place."""
    place = MESSAGE_MIN
    for at in range(0, len(data), stride):
        if not _is_cgroup(data, at + place, at + length):
            place = _find_cgroup(data[at : at + length])
        yield CGROUP_ID.unpack_from(data, at + place + NLATTR.size)[0] if place else 0
        place = place or MESSAGE_MIN


def _is_cgroup(data: memoryview, at: int, end: int) -> bool:
    if at + NLATTR.size + CGROUP_ID.size > end:
        return False
    return NLATTR.unpack_from(data, at) == (NLATTR.size + CGROUP_ID.size, INET_DIAG_CGROUP_ID)


def _find_cgroup(message: memoryview) -> int:
    """Return where the attribute with the cgroup's id begins; 0 without one."""
    wanted = INET_DIAG_CGROUP_ID, CGROUP_ID.size
    places = (at for kind, at, size in _attributes(message) if (kind, size) == wanted)
    return next(places, NLATTR.size) - NLATTR.size


def decode_figures(message: bytes) -> Figures:
    """Return the figures of INET_DIAG_INFO in one whole message; empty without."""
    place, size = find_attribute(memoryview(message), INET_DIAG_INFO)
    figures = figures_struct(len(message), place, size)
    return figures.unpack(message) if figures else ()


def decode_cgroup_and_mark(message: bytes) -> tuple[int, int]:
    """Return the cgroup's id and the mark in one whole message; 0 where that is not told."""
    view = memoryview(message)
    facts = []
    for wanted, form in ((INET_DIAG_CGROUP_ID, CGROUP_ID), (INET_DIAG_MARK, _MARK)):
        at, size = find_attribute(view, wanted)
        facts.append(form.unpack_from(view, at)[0] if size == form.size else 0)
    return facts[0], facts[1]


def find_attribute(message: memoryview, wanted: int) -> tuple[int, int]:
    """Return place and size of the attribute's value in a message of inet_diag; 0, 0 without.

    Raises:
        ParseError: an attribute that can't be.
    """
    return next(((at, size) for kind, at, size in _attributes(message) if kind == wanted), (0, 0))


def _attributes(message: memoryview) -> Iterator[tuple[int, int, int]]:
    """Yield type, place and size of the value of each attribute that is whole."""
    at = MESSAGE_MIN
    while at + NLATTR.size <= len(message):
        size, kind = NLATTR.unpack_from(message, at)
        if size < NLATTR.size:
            raise ParseError("netlink attribute", bytes(message[at:]))
        if at + size <= len(message):
            yield kind, at + NLATTR.size, size - NLATTR.size
        at += (size + 3) & ~3
