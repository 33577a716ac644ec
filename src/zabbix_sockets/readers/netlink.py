"""Messages of netlink, whatever they are about: a dump's request, and how its answer ends.

Source: netlink(7), include/uapi/linux/netlink.h.
"""

from __future__ import annotations

import errno
import os
import struct
from _collections_abc import Iterator

from zabbix_sockets.model import shortage
from zabbix_sockets.model.errors import ParseError, SourceUnavailableError

NLMSGHDR = struct.Struct("=IHHII")  # len, type, flags, seq, pid
NLATTR = struct.Struct("=HH")  # nla_len, nla_type; struct rtattr has the same
NLMSG_ERROR, NLMSG_DONE = 2, 3
_NLM_F_REQUEST, _NLM_F_DUMP = 0x1, 0x300
_NLMSGERR = struct.Struct("=i")  # NLMSG_ERROR's and NLMSG_DONE's negative errno
_MAX_ERRNO = 4095  # include/linux/err.h


def encode_dump(kind: int, request: bytes) -> bytes:
    """Return the message of type *kind* that asks for a dump; *request* comes behind its header."""
    flags = _NLM_F_REQUEST | _NLM_F_DUMP
    return NLMSGHDR.pack(NLMSGHDR.size + len(request), kind, flags, 1, 0) + request


def aligned(length: int) -> int:
    """Return the bytes from the start of a message of that length to the next one (NLMSG_ALIGN).

    Attributes begin at multiples of four, too.
    """
    return length + 3 & ~3


def attributes(message: memoryview | bytes, at: int) -> Iterator[tuple[int, int, int]]:
    """Yield type, and offset and size of the value, of each attribute of a message, from *at* on.

    Raises:
        ParseError: an attribute is shorter than its header, or longer than the message.
    """
    end = len(message)
    while at + NLATTR.size <= end:
        size, kind = NLATTR.unpack_from(message, at)
        if size < NLATTR.size or at + size > end:
            raise ParseError("netlink attribute", bytes(message[at:]))
        yield kind, at + NLATTR.size, size - NLATTR.size
        at += aligned(size)


def is_end(data: memoryview | bytes, at: int) -> bool:
    """Whether the message that begins at *at* in a datagram ends a dump without an error.

    The datagram has a header there.

    Raises:
        ParseError: it has an impossible error number.
        SourceUnavailableError: it is an error.
    """
    length, kind, _flags, _seq, _pid = NLMSGHDR.unpack_from(data, at)
    is_whole = NLMSGHDR.size + _NLMSGERR.size <= min(length, len(data) - at)
    if kind not in (NLMSG_DONE, NLMSG_ERROR) or not is_whole:
        return False
    (error,) = _NLMSGERR.unpack_from(data, at + NLMSGHDR.size)
    if error > 0 or error < -_MAX_ERRNO:
        raise ParseError("netlink error", bytes(data[at : at + aligned(length)]))
    if error:
        raise _refusal(-error)
    return True


def _refusal(number: int) -> SourceUnavailableError:
    if number == errno.ENOENT:  # sock_diag(7) alone answers so
        return SourceUnavailableError("the kernel has no diag module for it")
    reason = os.strerror(number)
    shortage.note(OSError(number, reason))
    return SourceUnavailableError(f"the kernel refused the dump: {reason}")
