"""Targets: what the kernel says in words, in files of /proc and of the system."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from zabbix_sockets.model.cgroup_paths import choose_path, is_lasting, parse_path, workload_name
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import SourceUnavailableError
from zabbix_sockets.model.names import MAX_LENGTH
from zabbix_sockets.model.wire import Table
from zabbix_sockets.readers.proc import counters, process
from zabbix_sockets.readers.proc.cgroup import read_placement
from zabbix_sockets.readers.proc.descriptors import parse_links
from zabbix_sockets.readers.proc.mounts import Mounts, read_mounts
from zabbix_sockets.readers.proc.namespaces import read_devices, read_unused
from zabbix_sockets.readers.proc.net_addresses import parse_fib_trie, parse_if_inet6
from zabbix_sockets.readers.proc.net_tables import ENCODING, ProcTables
from zabbix_sockets.readers.proc.passwd import read_users
from zabbix_sockets.readers.proc.snmp import parse_counters, parse_counters6

from .target import PARSES, Target, folder, pieces, written

CAPTURES = Path(__file__).parents[1] / "unit/captures"
LINUX = CAPTURES / "linux-6.18"
LONG = Deadline(1e9)


def _captured(*names: str) -> bytes:
    return b"\xff".join((LINUX / name).read_bytes()[:3000] for name in names)


def _written_below(path: str, content: bytes) -> str:
    os.makedirs(os.path.dirname(f"{folder()}/{path}"), exist_ok=True)
    return written(path, content)


def tables(data: bytes) -> None:
    """Read the tables of TCP, UDP and unix sockets, and decode the addresses."""
    names = ("tcp", "udp6", "unix")
    for name, content in zip(names, pieces(data, len(names))):
        _written_below(f"net/{name}", content)
    reader = ProcTables(f"{folder()}/net")
    for batch in reader.read_unix(LONG):
        for row in batch:
            assert row[2] >= 0
    for table in (Table("tcp", 2), Table("udp", 10)):
        for rows in reader.read(table, LONG, {}):
            for each in rows:
                ENCODING.address(each[3])


def status(data: bytes) -> None:
    """Read what a process's own files say: the first byte chooses which."""
    parsers: tuple[Callable[[bytes], object], ...] = (
        process.parse_stat,
        process.parse_user,
        process.parse_fds_limit,
        lambda words: process.read_uptime(_folder_with("uptime", words)),
        lambda words: process.read_capabilities(_folder_with("thread-self/status", words)),
        lambda words: parse_links(words.decode("utf-8", "surrogateescape").split("\n")),
    )
    if data:
        parsers[data[0] % len(parsers)](data[1:])


def _folder_with(name: str, content: bytes) -> str:
    _written_below(name, content)
    return folder()


def _status_seeds() -> Iterator[bytes]:
    yield b"\0" + Path("/proc/self/stat").read_bytes()
    yield b"\0" + b"7 (a) b) Z 1 1 1 0 -1 4194304 0 0 0 0 0 0 0 0 20 0 1 0 5 0 0"
    yield b"\1" + Path("/proc/self/status").read_bytes()
    yield b"\2" + Path("/proc/self/limits").read_bytes()
    yield b"\3" + b"38991.59 77000.01\n"
    yield b"\4" + b"Name:\tx\nCapEff:\t000001ffffffffff\n"
    yield b"\5" + b"socket:[4026]\nsocket:[17]"


def figures(data: bytes) -> None:
    """Read the counters of a network namespace, of the memory and of the ports."""
    names = ("net/sockstat", "net/netstat", "net/snmp", "net/snmp6", "sys/net/ipv4/tcp_mem")
    for name, content in zip(names, pieces(data, len(names))):
        _written_below(name, content)
    counters.read_host(folder())


def texts(data: bytes) -> None:
    """Give a text to the parser that the first byte chooses."""
    text = data[1:].decode("ascii", "replace")
    first, _, second = text.partition("\n")
    parsers: tuple[Callable[[], object], ...] = (
        lambda: counters.parse_sockstat(text),
        lambda: parse_counters(text),
        lambda: parse_counters6(text),
        lambda: counters.parse_port_range(first, second),
        lambda: list(parse_fib_trie(data[1:].splitlines())),
        lambda: list(parse_if_inet6(data[1:].splitlines())),
    )
    if data:
        parsers[data[0] % len(parsers)]()


def _text_seeds() -> Iterator[bytes]:
    yield b"\0" + _captured("net/sockstat")
    yield b"\1" + _captured("net/snmp")
    yield b"\2" + b"Ip6InReceives\t5\nUdp6NoPorts   \t0\nUdp6InErrors\t7\n"
    yield b"\3" + b"32768\t60999\n8080,9148-9150\n"
    yield b"\4" + b"Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 192.0.2.1\n        /32 host LOCAL\n"
    yield b"\5" + b"00000000000000000000000000000001 01 80 10 80       lo\n"


def cgroup(data: bytes) -> None:
    """Place a process by its file of cgroups; a component has 255 bytes at most, as in a folder."""
    lines = (b"/".join(part[:255] for part in line.split(b"/")) for line in data.split(b"\n"))
    content = b"\n".join(lines)
    path = choose_path(content)
    placement = parse_path(path)
    is_lasting(placement.unit)
    if placement.container:
        workload_name(placement.container.id)
        is_lasting(placement.container.id)
    _written_below("7/cgroup", content)
    assert read_placement(folder(), 7) == placement


def _cgroup_seeds() -> Iterator[bytes]:
    number = b"0123456789abcdef" * 4
    for path in (
        b"/system.slice/nginx.service",
        b"/system.slice/docker-" + number + b".scope",
        b"/user.slice/user-1000.slice/user@1000.service/app.slice/run-u7.service",
        b"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + number + b".scope",
        b"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod01234567_89ab_cdef_0123_"
        b"456789abcdef.slice/cri-containerd-" + number + b".scope",
        b"/machine.slice/machine-qemu\\x2d1\\x2dweb.scope/libvirt/emulator",
        b"/system.slice/system-foo.slice/foo@7-10.0.0.1:22-10.0.0.2:4000.service",
        b"/machine.slice/systemd-nspawn@a\\x2db.service/payload",
        b"/lxc.payload.web/init.scope",
        b"/system.slice/dbus-:1.2-org.example.X@0.service",
    ):
        yield b"0::" + path + b"\n"
    yield b"12:pids:/docker/" + number + b"\n1:name=systemd:/system.slice/x.service\n0::/\n"
    yield b"0::/../../system.slice/a-0123456789ab.service (deleted)\n"


def mounts(data: bytes) -> None:
    """Read the table of mounts, and follow paths by it."""
    _written_below("self/mountinfo", data)
    list(read_mounts(folder()))
    found = Mounts(folder(), LONG)
    assert found.complete
    found.is_local("/home/alice/x")
    assert found.cgroup2 is None or isinstance(found.cgroup2, str)
    assert all(isinstance(number, int) for number in found.namespaces)


def _mount_seeds() -> Iterator[bytes]:
    yield (
        b"22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        b"23 22 0:4 net:[4026532208] /run/netns/web rw - nsfs nsfs rw\n"
        b"24 22 0:30 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
        b"25 22 0:50 / /mnt/a\\040b\\134 rw - nfs4 server:/x rw\n"
    )
    yield Path("/proc/self/mountinfo").read_bytes()[:2000]


def namespaces(data: bytes) -> None:
    """Read the devices and the tables in use of a process's network namespace."""
    names = ("igmp", "if_inet6", "sockstat", "sockstat6")
    for name, content in zip(names, pieces(data, len(names))):
        _written_below(f"7/net/{name}", content)
    assert all(0 < len(name) <= MAX_LENGTH for name in read_devices(folder(), "7").values())
    assert read_unused(folder(), "7") <= {"tcp", "tcp6", "udp", "udp6"}


def _namespace_seeds() -> Iterator[bytes]:
    igmp = (
        b"Idx\tDevice    : Count Querier\tGroup\n1\tlo        :     1      V3\n\t\t\t\t010000E0\n"
    )
    inet6 = b"00000000000000000000000000000001 01 80 10 80       lo\n"
    unused = b"sockets: used 7\nTCP: inuse 0 orphan 0 tw 0 alloc 3 mem 1\nUDP: inuse 0 mem 0\n"
    yield b"\xff".join((igmp, inet6, unused, b"TCP6: inuse 0\nUDP6: inuse 5\n"))


def users(data: bytes) -> Iterable[object]:
    """Read a file of users."""
    return list(read_users(written("passwd", data)))


def _user_seeds() -> Iterator[bytes]:
    yield b"root:x:0:0:root:/root:/bin/bash\n+::::::\nalice:x:1000:1000::/home/alice:/bin/sh\n"


TARGETS = {
    "proc_tables": Target(
        tables,
        lambda: [_captured("net/tcp", "net/udp6", "net/unix"), _captured("net/tcp6", "net/udp")],
        (*PARSES, SourceUnavailableError),
        8192,
    ),
    "proc_status": Target(status, _status_seeds, PARSES),
    "proc_figures": Target(
        figures,
        lambda: [
            _captured("net/sockstat", "net/netstat", "net/snmp")
            + b"\xffUdp6NoPorts 0\nUdp6InErrors 7\n\xff5 6 7\n"
        ],
        PARSES,
        10000,
    ),
    "proc_texts": Target(texts, _text_seeds, PARSES),
    "cgroup": Target(cgroup, _cgroup_seeds, ()),
    "mounts": Target(mounts, _mount_seeds, PARSES),
    "namespaces": Target(namespaces, _namespace_seeds, ()),
    "passwd": Target(users, _user_seeds, ()),
}
