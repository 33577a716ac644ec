"""Netlink messages as the kernel writes them."""

import struct

from zabbix_sockets.model.wire import SocketRow

ROW_TYPE, DONE_TYPE, ERROR_TYPE = 20, 3, 2
SHUTDOWN, CGROUP_ID = 8, 21


def align(length: int) -> int:
    """NLMSG_ALIGN."""
    return (length + 3) & ~3


def message(kind: int, payload: bytes, flags: int = 2) -> bytes:
    """Return a netlink message, padded as NLMSG_ALIGN pads it."""
    length = 16 + len(payload)
    return struct.pack("=IHHII", length, kind, flags, 1, 0) + payload.ljust(align(length) - 16)


def attribute(kind: int, payload: bytes) -> bytes:
    """Return a netlink attribute, padded as NLA_ALIGN pads it."""
    length = 4 + len(payload)
    return struct.pack("=HH", length, kind) + payload.ljust(align(length) - 4, b"\0")


def row(inode: int) -> SocketRow:
    """Return a row that is told by its inode."""
    return (1, 80, 4000, bytes(4), bytes(4), 0, 0, 0, 0, inode)


def cgroup(number: int) -> bytes:
    """Return the attribute with the number of a socket's cgroup."""
    return attribute(CGROUP_ID, struct.pack("=Q", number))


def encode_row(row: SocketRow, family: int, extra: int = 0, attributes: bytes = b"") -> bytes:
    """Return a SocketRow, with its ports as numbers, as inet_diag_fill_req() and others write it.

    Behind it come *extra* bytes that mean nothing, or *attributes*.
    """
    state, lport, rport, laddr, raddr, ifindex, recv, send, uid, inode = row
    assert isinstance(laddr, bytes)
    assert isinstance(raddr, bytes)
    payload = struct.pack("=4B", family, state, 7, 9)
    payload += struct.pack("!HH", lport, rport)
    payload += laddr.ljust(16, b"\xee") + raddr.ljust(16, b"\xee")
    payload += struct.pack("=III", ifindex, 0xC00C1E00, 0xC00C1E01)
    payload += struct.pack("=5I", 0xE0E0E0E0, recv, send, uid, inode)
    return message(ROW_TYPE, payload + b"\xaa" * extra + attributes)


def as_getsock(encoded: bytes) -> bytes:
    """Return an encoded row as the answer to TCPDIAG_GETSOCK, which is for both families."""
    return encoded[:4] + struct.pack("=H", 18) + encoded[6:]


def done(error: int = 0, flags: int = 2) -> bytes:
    """Return the message that ends a dump."""
    return message(DONE_TYPE, struct.pack("=i", error), flags)
