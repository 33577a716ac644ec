"""One small host, from which all that the fake kernel says is made.

The /proc tree, netlink's messages and the iterators' records are three views of it, so a call
must give the same answer whichever it reads.
"""

import errno
import socket
from typing import NamedTuple

OWN, CART, LAB = 4026531840, 4026532100, 4026532200
"""Network namespaces: the caller's; a container's; one that `ip netns` made."""

ETHERNET = {1: "lo", 2: "eth0"}
DEVICES = {OWN: ETHERNET, CART: {1: "lo", 133: "veth133"}, LAB: ETHERNET}

PORTS = (32768, 60999)
UPTIME = 38991.59
SYN_SENT, SYN_RECV, FIN_WAIT1, TIME_WAIT, CLOSE, CLOSE_WAIT, LISTEN = 2, 3, 4, 6, 7, 8, 10
ESTABLISHED = 1

CONTAINER = "c0ffee" * 10 + "cafe"
DOCKER = f"/system.slice/docker-{CONTAINER}.scope"


class Process(NamedTuple):
    """A process; *started* in seconds after the boot, *threads* beside the main one."""

    pid: int
    comm: bytes
    command: bytes = b""
    cgroup: str = "/init.scope"
    uid: int = 0
    netns: int = OWN
    started: int = 100
    fds_limit: int = 1024
    threads: tuple[int, ...] = ()
    main_thread_ended: bool = False
    is_zombie: bool = False
    is_kernel_thread: bool = False

    @property
    def executable(self) -> str:
        """What /proc/PID/exe links to; empty for a kernel thread."""
        name = self.command.partition(b"\0")[0].partition(b" ")[0].decode().rstrip(":")
        return name if name.startswith("/") or not name else f"/usr/sbin/{name}"

    @property
    def has_descriptors(self) -> bool:
        """Whether /proc/PID/fd has any."""
        return not (self.main_thread_ended or self.is_zombie or self.is_kernel_thread)


class Socket(NamedTuple):
    """A socket; *holders* are pids, and inode 0 is a socket without a descriptor.

    *accepted*: from a listener with a backlog, which BPF can tell. *queues* are bytes, or of a
    listener the accept queue and the backlog. *rtt* in us: 0 for what is not measured.
    """

    inode: int
    protocol: str
    state: int
    local: tuple[str, int]
    remote: tuple[str, int] = ("", 0)
    holders: tuple[int, ...] = ()
    netns: int = OWN
    uid: int = 0
    device: int = 0
    queues: tuple[int, int] = (0, 0)
    accepted: bool = False
    requests: int = 0
    rtt: int = 0
    retransmits: int = 0
    drops: int = 0

    @property
    def family(self) -> int:
        """AF_INET or AF_INET6."""
        return int(socket.AF_INET6 if ":" in self.local[0] else socket.AF_INET)

    @property
    def local_address(self) -> bytes:
        """In network order."""
        return socket.inet_pton(self.family, self.local[0])

    @property
    def remote_address(self) -> bytes:
        """In network order; the wildcard where there is none."""
        wildcard = "::" if self.family == socket.AF_INET6 else "0.0.0.0"
        return socket.inet_pton(self.family, self.remote[0] or wildcard)


class UnixSocket(NamedTuple):
    """A stream socket of unix; *name* as the kernel has it, *bound* the listener that bound it.

    *waiting* is the accept queue of a listener. Sockets of one have an inode, *holders* are pids.
    """

    inode: int
    state: int
    name: bytes = b""
    bound: int = 0
    holders: tuple[int, ...] = ()
    netns: int = OWN
    uid: int = 0
    waiting: int = 0
    backlog: int = 0
    peer: int = 0


OTHER_FILES = ("/dev/null", "pipe:[77]", "anon_inode:[eventpoll]")
"""What each process has open beside its sockets."""

_NO_PID = 5_000_000
"""Beyond what a kernel numbers (PID_MAX_LIMIT is 2^22): no process of the scene is the caller."""
NGINX, WORKER, POSTGRES, DNSMASQ, EXPORTER, THREADED = range(_NO_PID, _NO_PID + 6)
ZOMBIE, CART_REDIS, LAB_SSHD, JAVA, NODE = range(_NO_PID + 10, _NO_PID + 15)

PROCESSES = (
    Process(1, b"systemd", b"/sbin/init\0"),
    Process(2, b"kthreadd", is_kernel_thread=True),
    Process(NGINX, b"nginx", b"nginx: master process\0", "/system.slice/nginx.service"),
    Process(WORKER, b"nginx", b"nginx: worker process\0", "/system.slice/nginx.service", 33),
    Process(POSTGRES, b"postgres", b"/usr/bin/postgres\0", "/system.slice/postgresql.service", 70),
    Process(DNSMASQ, b"dnsmasq", b"/usr/sbin/dnsmasq\0", "/system.slice/dnsmasq.service", 65),
    Process(
        EXPORTER,
        b"prometheus-node",
        b"/usr/bin/prometheus-node-exporter\0" + b"--collector.x\0" * 400,  # over 4 KB
        "/system.slice/exporter.service",
        66,
    ),
    Process(
        THREADED,
        b"threaded",
        b"/usr/bin/threaded\0",
        "/system.slice/threaded.service",
        threads=(THREADED + 100,),
        main_thread_ended=True,
    ),
    Process(ZOMBIE, b"defunct", is_zombie=True),
    Process(
        JAVA, b"java", b"/usr/bin/java\0kafka.Kafka\0", "/system.slice/kafka.service", 1000,
        started=38000, fds_limit=256,
    ),
    Process(NODE, b"node-MainThread", b"node\0server.js\0", "/system.slice/shop.service", 1000),
    Process(CART_REDIS, b"redis-server", b"redis-server *:6379\0", DOCKER, 999, CART),
    Process(LAB_SSHD, b"sshd", b"/usr/sbin/sshd\0", "/user.slice", 0, LAB),
)  # fmt: skip

_DATABASE, _CLIENT = ("192.0.2.5", 5432), "203.0.113.9"

SOCKETS = (
    # nginx: listeners that both processes hold, connections of the worker's
    Socket(1001, "tcp", LISTEN, ("0.0.0.0", 80), holders=(NGINX, WORKER), queues=(0, 511)),
    Socket(1002, "tcp", LISTEN, ("::", 443), holders=(NGINX, WORKER), queues=(0, 511)),
    Socket(1003, "tcp", ESTABLISHED, ("192.0.2.1", 80), (_CLIENT, 40001), (WORKER,), uid=33,
           accepted=True, queues=(0, 1448), rtt=30_000),
    Socket(1004, "tcp", ESTABLISHED, ("192.0.2.1", 80), (_CLIENT, 40002), (WORKER,), uid=33,
           accepted=True, rtt=50_000, retransmits=3),
    Socket(1005, "tcp", CLOSE_WAIT, ("192.0.2.1", 80), (_CLIENT, 40003), (WORKER,), uid=33,
           accepted=True, queues=(17, 0)),
    Socket(1006, "tcp", ESTABLISHED, ("::ffff:192.0.2.1", 443), (f"::ffff:{_CLIENT}", 40004),
           (WORKER,), uid=33, accepted=True, rtt=60_000),
    Socket(1007, "tcp", ESTABLISHED, ("2001:db8::1", 443), ("2001:db8::9", 40005), (WORKER,),
           uid=33, accepted=True, rtt=70_000),
    *(
        Socket(1010 + at, "tcp", ESTABLISHED, ("192.0.2.1", 41000 + at), _DATABASE, (WORKER,),
               uid=33, rtt=500 + 8 * at)
        for at in range(12)
    ),
    Socket(1030, "tcp", SYN_SENT, ("192.0.2.1", 42000), ("198.51.100.7", 443), (WORKER,), uid=33),
    Socket(1031, "tcp", ESTABLISHED, ("2001:db8::1", 42001), ("2001:db8::5", 5432), (WORKER,),
           uid=33, rtt=900),
    # postgres: a connection that waits to be accepted, and one of nginx's is none of its own
    Socket(2001, "tcp", LISTEN, ("127.0.0.1", 5432), holders=(POSTGRES,), uid=70,
           queues=(1, 200)),
    Socket(2002, "tcp", ESTABLISHED, ("127.0.0.1", 5432), ("127.0.0.1", 43000), (POSTGRES,),
           uid=70, accepted=True, rtt=40),
    Socket(0, "tcp", ESTABLISHED, ("127.0.0.1", 5432), ("127.0.0.1", 43001)),
    # java connects to postgres over the loopback, and binds its port beforehand for another one
    Socket(7001, "tcp", ESTABLISHED, ("127.0.0.1", 43000), ("127.0.0.1", 5432), (JAVA,), uid=1000,
           rtt=45),
    Socket(7002, "tcp", ESTABLISHED, ("127.0.0.1", 43001), ("127.0.0.1", 5432), (JAVA,), uid=1000),
    # Node.js, which only its executable tells
    Socket(7201, "tcp", LISTEN, ("127.0.0.1", 3000), holders=(NODE,), uid=1000, queues=(0, 511)),
    # dnsmasq
    Socket(3001, "udp", CLOSE, ("0.0.0.0", 53), holders=(DNSMASQ,), uid=65, queues=(120, 0),
           drops=7),
    Socket(3002, "udp", CLOSE, ("fe80::1", 546), holders=(DNSMASQ,), uid=65, device=2),
    Socket(3003, "udp", ESTABLISHED, ("192.0.2.1", 44000), ("192.0.2.53", 53), (DNSMASQ,), uid=65),
    # a name that the kernel has cut; a process whose main thread has ended
    Socket(4001, "tcp", LISTEN, ("::", 9100), holders=(EXPORTER,), uid=66, queues=(0, 4096)),
    Socket(5001, "tcp", LISTEN, ("192.0.2.1", 8080), holders=(THREADED,), queues=(0, 5)),
    # nobody's
    Socket(0, "tcp", TIME_WAIT, ("192.0.2.1", 41900), _DATABASE),
    Socket(0, "tcp", TIME_WAIT, ("192.0.2.1", 80), (_CLIENT, 40009)),
    Socket(0, "tcp", FIN_WAIT1, ("192.0.2.1", 80), (_CLIENT, 40010), queues=(0, 9)),
    # the container
    Socket(8001, "tcp", LISTEN, ("0.0.0.0", 6379), holders=(CART_REDIS,), netns=CART, uid=999,
           queues=(0, 511)),
    Socket(8002, "tcp", ESTABLISHED, ("10.0.0.2", 6379), ("10.0.0.1", 45000), (CART_REDIS,),
           CART, 999, accepted=True, rtt=100),
    Socket(8003, "udp", CLOSE, ("10.0.0.2", 68), holders=(CART_REDIS,), netns=CART, uid=999,
           device=133),
    # the namespace that `ip netns` made
    Socket(8101, "tcp", LISTEN, ("::", 22), holders=(LAB_SSHD,), netns=LAB, queues=(0, 128)),
)  # fmt: skip

_POSTGRES = b"/run/postgresql/.s.PGSQL.5432"
UNIX_SOCKETS = (
    UnixSocket(9001, LISTEN, _POSTGRES, 9001, (POSTGRES,), uid=70, waiting=1, backlog=200),
    UnixSocket(9002, ESTABLISHED, _POSTGRES, 9001, (POSTGRES,), uid=70, peer=9003),
    UnixSocket(9003, ESTABLISHED, holders=(JAVA,), uid=1000, peer=9002),
    UnixSocket(9004, ESTABLISHED, holders=(NGINX, WORKER), peer=9005),
    UnixSocket(9005, ESTABLISHED, holders=(1,), peer=9004),
    UnixSocket(9006, LISTEN, b"\0java", 9006, (JAVA,), uid=1000, backlog=5),
    UnixSocket(9007, LISTEN, b"/data/redis.sock", 9007, (CART_REDIS,), CART, 999, backlog=511),
    UnixSocket(9008, LISTEN, b"/run/dbus/system_bus_socket", 9008, (1,), backlog=4096),
)

USERS = {"root": 0, "www-data": 33, "postgres": 70, "alice": 1000}
"""Those of /etc/passwd."""

ROOT = (1 << 41) - 1
"""All capabilities."""


class Scene(NamedTuple):
    """What there is, and what the caller may do with it."""

    processes: tuple[Process, ...] = PROCESSES
    sockets: tuple[Socket, ...] = SOCKETS
    unix: tuple[UnixSocket, ...] = UNIX_SOCKETS
    capabilities: int = ROOT
    denied: frozenset[int] = frozenset()
    """Pids whose descriptors and namespaces the caller may not see."""
    rules: str = ""
    """/etc/zabbix/zabbix-sockets.toml, if there is one."""
    has_pins: bool = True
    """Else its kernel has no BTF: no call loads iterators itself."""
    refusals: tuple[tuple[str, int], ...] = ()
    """What the kernel refuses at each call, by the labels of its steps, with the errno."""

    def sockets_of(self, netns: int, protocol: str, family: int) -> list[Socket]:
        """Return a table: listeners first, as the kernel has them."""
        wanted = netns, protocol, family
        found = [
            each for each in self.sockets if (each.netns, each.protocol, each.family) == wanted
        ]
        return sorted(found, key=lambda each: each.state not in (LISTEN, CLOSE))

    def held_by(self, pid: int) -> list[Socket]:
        """Return the TCP and UDP sockets that a process has a descriptor of."""
        return [each for each in self.sockets if pid in each.holders]

    def unix_held_by(self, pid: int) -> list[UnixSocket]:
        """Return the unix sockets that a process has a descriptor of."""
        return [each for each in self.unix if pid in each.holders]

    def current_established(self, netns: int) -> int:
        """Return CurrEstab of /proc/net/snmp."""
        states = (ESTABLISHED, CLOSE_WAIT)
        return sum(
            (each.netns, each.protocol) == (netns, "tcp") and each.state in states
            for each in self.sockets
        )


HOST = Scene()
UNPRIVILEGED = Scene(
    capabilities=0,
    denied=frozenset(each.pid for each in PROCESSES if each.uid != 33),
    has_pins=False,
)
"""The agent of a host without iterators: it may look into the processes of its own user."""
WITHOUT_PINS = Scene(has_pins=False)
WITHOUT_NETLINK = Scene(has_pins=False, refusals=(("netlink", errno.EPROTONOSUPPORT),))
WITH_RULES = Scene(
    rules="""
[[group]]
name = 'kafka'
process = '^java$'
command = 'kafka\\.Kafka'

[[group]]
name = 'web'
user = '^www-data$'
"""
)
