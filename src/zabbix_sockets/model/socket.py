"""Single sockets, for people: `show sockets`."""

from typing import NamedTuple


class Owner(NamedTuple):
    """A process that holds a socket."""

    pid: int
    name: str


class TcpInfo(NamedTuple):
    """How a TCP connection fares; None: the kernel didn't say, or has no sample yet.

    Windows and counts are in segments, but for what says bytes. *lost*: thought to be, and not
    sent again yet. *timeouts*: in a row, now, without an answer. *retransmits_in_flight*: sent
    again and not acknowledged yet; *retransmits*: since the connection began. *busy_us*: there
    was something to send or to be acknowledged; limited by the receiver's window and by the own
    send buffer in parts of it. Times since the connection's beginning; *last_sent_ms* and
    *last_received_ms* since data went.
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

    Queues are bytes; a listener has *accept_queue* and *backlog* (connections) instead.
    *cookie*: the kernel's number for this socket, which no other one gets. *device*: what it is
    bound to, empty if to none. Both are None from procfs.
    """

    protocol: str
    family: int
    netns: str
    state: int
    direction: str | None  # None for listeners and bound UDP sockets
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
    cookie: int | None = None
    tcp_info: TcpInfo | None = None
