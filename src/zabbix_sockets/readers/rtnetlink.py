"""Reader of the addresses of the caller's network namespace, by netlink's RTM_GETADDR.

Source: rtnetlink(7), include/uapi/linux/if_addr.h, net/ipv4/devinet.c, net/ipv6/addrconf.c. It
takes no privilege.
"""

from __future__ import annotations

import _socket
import struct
from _collections_abc import Iterator

from zabbix_sockets.model import shortage
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import ParseError, SourceUnavailableError
from zabbix_sockets.readers.netlink import NLMSGHDR, aligned, attributes, encode_dump, is_end

NETLINK_ROUTE = 0
RTM_NEWADDR, RTM_GETADDR = 20, 22
IFA_ADDRESS, IFA_LOCAL = 1, 2
IFA_F_TEMPORARY, IFA_F_DADFAILED, IFA_F_TENTATIVE = 0x01, 0x08, 0x40

IFADDRMSG = struct.Struct("=BBBBI")  # family, prefixlen, flags, scope, index
_BUFFER = 65536
_SHORTEST = 0.01
"""Seconds that the kernel has for its answer past the deadline, too."""

DeviceAddress = tuple[int, bytes, int]
"""The index of a device, an address of it as packed bytes, and the length of its prefix in bits."""


def read_addresses(deadline: Deadline) -> list[DeviceAddress]:
    """Return the addresses of all devices of the caller's network namespace.

    Temporary ones of IPv6 are left out, which others are not told of (RFC 8981), and those that
    are not known yet to be nobody else's.

    Raises:
        SourceUnavailableError: the kernel or a sandbox forbids it, or there is no answer in time.
        DeadlineError: the answer doesn't end in time.
        ParseError: the kernel's answer is none.
    """
    try:
        kind = _socket.SOCK_RAW | _socket.SOCK_CLOEXEC
        sock = _socket.socket(_socket.AF_NETLINK, kind, NETLINK_ROUTE)
        try:
            sock.settimeout(max(_SHORTEST, deadline.remaining()))
            return list(_dumped(sock, deadline))
        finally:
            sock.close()
    except OSError as error:
        shortage.note(error)
        raise SourceUnavailableError(error.strerror or str(error)) from error


def _dumped(sock: _socket.socket, deadline: Deadline) -> Iterator[DeviceAddress]:
    sock.send(encode_dump(RTM_GETADDR, IFADDRMSG.pack(0, 0, 0, 0, 0)))
    buffer = bytearray(_BUFFER)
    while True:
        deadline.check()
        received, _, _, _ = sock.recvmsg_into([buffer])
        if not received:
            raise ParseError("netlink dump", "it ended without NLMSG_DONE")
        for each in decode_addresses(bytes(buffer[:received])):
            if each is None:
                return
            yield each


def decode_addresses(data: bytes) -> Iterator[DeviceAddress | None]:
    """Yield the addresses in a datagram of the answer, and None where the answer ends.

    Raises:
        ParseError: it is no such datagram.
        SourceUnavailableError: the kernel answers with an error.
    """
    at = 0
    while at < len(data):
        if len(data) - at < NLMSGHDR.size:
            raise ParseError("netlink datagram", data[at:])
        length, kind, _flags, _seq, _pid = NLMSGHDR.unpack_from(data, at)
        message = data[at + NLMSGHDR.size : at + length]
        if length < NLMSGHDR.size or at + length > len(data):
            raise ParseError("netlink message", data[at:])
        if is_end(data, at):
            yield None
            return
        if kind != RTM_NEWADDR or len(message) < IFADDRMSG.size:
            raise ParseError("netlink message", data[at : at + length])
        found = _decode(message)
        if found:
            yield found
        at += aligned(length)


def _decode(message: bytes) -> DeviceAddress | None:
    family, prefix, flags, _scope, index = IFADDRMSG.unpack_from(message)
    unsettled = flags & (IFA_F_DADFAILED | IFA_F_TENTATIVE)
    if unsettled or (family == _socket.AF_INET6 and flags & IFA_F_TEMPORARY):
        return None  # of IPv4 the same bit is IFA_F_SECONDARY
    values = {
        kind: message[at : at + size] for kind, at, size in attributes(message, IFADDRMSG.size)
    }
    # Of a point-to-point device IFA_ADDRESS is the other end's.
    address = values.get(IFA_LOCAL) or values.get(IFA_ADDRESS)
    lengths = {_socket.AF_INET: 4, _socket.AF_INET6: 16}
    if address is None or len(address) != lengths.get(family):
        return None
    return index, address, prefix
