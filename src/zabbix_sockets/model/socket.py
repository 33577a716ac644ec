"""Values of single sockets, for people: `show sockets`."""

from __future__ import annotations

from zabbix_sockets.model.light_typing import NamedTuple
from zabbix_sockets.model.wire import UNIX


class Owner(NamedTuple):
    """A process that holds a socket; its name is safe to print."""

    pid: int
    name: str


class TcpInfo(NamedTuple):
    """The kernel's figures of a TCP connection (struct tcp_info); None: no such figure or sample.

    Windows and counts are in segments where the name doesn't say bytes.

    Attributes:
        unacked: segments sent and not acknowledged.
        lost: segments that the kernel takes for lost and hasn't sent again yet.
        timeouts: retransmission timeouts in a row, just now, without an answer.
        retransmits_in_flight: segments sent again and not acknowledged yet.
        retransmits: segments sent again since the connection began.
        busy_us: time, since the connection began, with data to send or to be acknowledged.
        receiver_limited_us: the part of it in which the receiver's window held data up.
        sender_buffer_limited_us: the part of it in which the own send buffer did.
        last_sent_ms: time since data was sent, *last_received_ms* since it was received.
        congestion_control: the name of the algorithm, such as "cubic".
    """

    rtt_us: int | None = None
    rtt_variance_us: int | None = None
    receive_rtt_us: int | None = None
    min_rtt_us: int | None = None
    congestion_window: int | None = None
    slow_start_threshold: int | None = None
    unacked: int | None = None
    lost: int | None = None
    timeouts: int | None = None
    retransmits_in_flight: int | None = None
    retransmits: int | None = None
    bytes_sent: int | None = None
    bytes_acked: int | None = None
    bytes_received: int | None = None
    bytes_retransmitted: int | None = None
    delivery_rate_bytes_per_s: int | None = None
    busy_us: int | None = None
    receiver_limited_us: int | None = None
    sender_buffer_limited_us: int | None = None
    last_sent_ms: int | None = None
    last_received_ms: int | None = None
    congestion_control: str | None = None


class Socket(NamedTuple):
    """One socket, for people: an object of `show sockets --json`.

    Attributes:
        protocol: tcp or udp.
        family: AF_INET or AF_INET6.
        netns: the name of its network namespace for people; empty for the caller's own.
        state: the kernel's number (model.wire).
        direction: inbound, outbound or unknown; None for listeners and bound UDP sockets.
        local_address, remote_address: 4 or 16 bytes in network order.
        device: the safe name of the network device that it is bound to, empty if to none; None
            from procfs, which doesn't tell.
        owners: the processes that hold it; none if they can't be seen.
        recv_queue, send_queue: bytes; None for a listener.
        accept_queue, backlog: connections of a listener; None for all others, *backlog* from
            procfs, too.
        drops: packets that the kernel dropped at a listener or UDP socket since it was made; None
            for other sockets, and for TCP from procfs.
        listener: the address of the listener that accepted it, as that has it; None for others.
        uid: the user of the socket.
        inode: its number in sockfs; 0 of one without a file: in TIME_WAIT or SYN_RECV, an orphan,
            or not yet accepted.
        cookie: the kernel's number for this socket, which no other one gets; None from procfs.
        tcp_info: None where nobody asked, or the source doesn't tell.
    """

    protocol: str
    family: int
    netns: str
    state: int
    direction: str | None
    local_address: bytes
    local_port: int
    remote_address: bytes
    remote_port: int
    device: str | None
    owners: tuple[Owner, ...]
    uid: int
    inode: int
    recv_queue: int | None = None
    send_queue: int | None = None
    accept_queue: int | None = None
    backlog: int | None = None
    drops: int | None = None
    listener: bytes | None = None
    cookie: int | None = None
    tcp_info: TcpInfo | None = None


class UnixEnd(NamedTuple):
    """The other end of a unix connection: its inode, its name as the kernel has it, its owners."""

    inode: int
    name: bytes
    owners: tuple[Owner, ...]


class UnixSocket(NamedTuple):
    """One unix socket, for people: an object of `show sockets --protocol unix --json`.

    Attributes:
        netns: the name of its network namespace for people; empty for the caller's own.
        type: the kernel's number, SOCK_STREAM or SOCK_SEQPACKET.
        state: the kernel's number, LISTEN or ESTABLISHED.
        name: the path that it is bound to, or an abstract name behind a NUL; empty if to none.
        direction: inbound if a listener has its name, outbound if one has its peer's, else unknown;
            None for listeners.
        inode: 0 if it waits to be accepted.
        owners: the processes that hold it; none if they can't be seen.
        peer: the other end; None from procfs, of a listener, and if that end is closed.
        uid: of its creator; None from procfs and before Linux 5.3.
        recv_queue, send_queue: bytes; None for a listener, and from procfs.
        accept_queue, backlog: connections of a listener; None for all others. From procfs *backlog*
            is None, and *accept_queue* where two listeners have one name.
    """

    netns: str
    type: int
    state: int
    name: bytes
    direction: str | None
    inode: int
    owners: tuple[Owner, ...]
    peer: UnixEnd | None = None
    uid: int | None = None
    recv_queue: int | None = None
    send_queue: int | None = None
    accept_queue: int | None = None
    backlog: int | None = None

    @property
    def protocol(self) -> str:
        """The protocol of every unix socket, as Socket has one."""
        return UNIX
