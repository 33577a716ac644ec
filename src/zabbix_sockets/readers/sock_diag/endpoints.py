"""The endpoints of sockets in netlink's messages, as columns: nothing else is looked at.

Source: struct inet_diag_msg in include/uapi/linux/inet_diag.h.
"""

from __future__ import annotations

import _socket
import struct
from _collections_abc import Iterator

from zabbix_sockets.model.light_library import cache
from zabbix_sockets.readers.sock_diag.attributes import MESSAGE_MIN
from zabbix_sockets.readers.sock_diag.messages import decode_runs_of_both

_LOCAL_PORT, _REMOTE_PORT = 10, 11  # indices of idiag_sport and idiag_dport among 16-bit words

LocalEndpoint = tuple[int, bytes, int]
"""The local port (network order), the packed local address, and the index of the device."""

RemoteEndpoint = tuple[int, bytes, bytes, int]
"""The remote port (network order), packed local and remote address, and the index of the device."""

BothEndpoints = tuple[int, int, bytes, bytes, int]
"""The local port, and a RemoteEndpoint's fields."""

_REMOTE_END = {
    _socket.AF_INET: struct.Struct("=H 4s12x 4s12x I"),
    _socket.AF_INET6: struct.Struct("=H 16s 16s I"),
}


@cache
def _layouts(family: int, stride: int) -> tuple[struct.Struct, struct.Struct, struct.Struct]:
    """Return the layouts of a message of *stride* bytes: local, remote and both endpoints.

    They unpack a LocalEndpoint, the bytes of a RemoteEndpoint, and BothEndpoints.
    """
    address = "4s12x" if family == _socket.AF_INET else "16s"
    behind = f"28x {stride - MESSAGE_MIN}x"  # cookie, expires, queues, uid, inode, attributes
    return (
        struct.Struct(f"=20x H 2x {address} 16x I {behind}"),
        struct.Struct(f"=22x {_REMOTE_END[family].size}s {behind}"),
        struct.Struct(f"=20x HH {address} {address} I {behind}"),
    )


def remote_endpoint(family: int, undecoded: tuple[bytes]) -> RemoteEndpoint:
    """Return a RemoteEndpoint of sockets of *family*, as Endpoints.remote() yields it undecoded."""
    return _REMOTE_END[family].unpack(undecoded[0])


class Endpoints:
    """The endpoints of the sockets in a run of messages, valid until the next datagram is received.

    Args:
        family: the sockets' family, AF_INET or AF_INET6.
        messages: the messages, from the first one's nlmsghdr on.
        stride: the bytes from one message to the next.
    """

    def __init__(self, family: int, messages: memoryview, stride: int) -> None:
        self.family = family
        self._messages = messages
        self._stride = stride
        self._layouts = _layouts(family, stride)

    def local_ports(self) -> list[int]:
        """Return the local port of each socket, in network order."""
        return self._messages.cast("H")[_LOCAL_PORT :: self._stride // 2].tolist()

    def remote_ports(self) -> list[int]:
        """Return the remote port of each socket, in network order."""
        return self._messages.cast("H")[_REMOTE_PORT :: self._stride // 2].tolist()

    def local(self) -> Iterator[LocalEndpoint]:
        """Yield the local end of each socket."""
        return self._layouts[0].iter_unpack(self._messages)

    def remote(self) -> Iterator[tuple[bytes]]:
        """Yield the remote end of each socket, undecoded: remote_endpoint() decodes it."""
        return self._layouts[1].iter_unpack(self._messages)

    def both(self) -> Iterator[BothEndpoints]:
        """Yield both endpoints of each socket."""
        return self._layouts[2].iter_unpack(self._messages)


def decode_endpoints(data: memoryview) -> Iterator[Endpoints | None]:
    """Yield the endpoints of each run of messages of an answer for both families; None: NLMSG_DONE.

    Raises:
        ParseError, SourceUnavailableError: as messages.decode_both().
    """
    for run in decode_runs_of_both(data):
        yield Endpoints(*run) if run else None
