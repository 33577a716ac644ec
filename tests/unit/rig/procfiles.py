"""The scene as files: /proc, and what of /etc, /run, /sys and /var a call looks at."""

from __future__ import annotations

import os
from pathlib import Path

from .scene import (
    CART,
    CONTAINER,
    DEVICES,
    LAB,
    LISTEN,
    OTHER_FILES,
    OWN,
    PORTS,
    TIME_WAIT,
    UPTIME,
    USERS,
    Process,
    Scene,
    Socket,
    UnixSocket,
)

_FAMILIES = {"tcp": ("tcp", 2), "tcp6": ("tcp", 10), "udp": ("udp", 2), "udp6": ("udp", 10)}
NAMES = {OWN: "own", CART: "cart", LAB: "lab"}
"""Of the network namespaces' folders."""
_CGROUP_MOUNT = "/sys/fs/cgroup"
_MANY = 60  # lines that make a file longer than a page


def write(root: Path, scene: Scene) -> None:
    """Write the files of *scene* below *root*."""
    proc = root / "proc"
    for netns, name in NAMES.items():
        _write_net(proc / f"netns-{name}", scene, netns)
    for process in scene.processes:
        _write_process(proc, scene, process)
    _write_caller(proc, scene)
    _write_sysctls(proc / "sys/net/ipv4")
    (proc / "uptime").write_text(f"{UPTIME} 1000.00\n")
    (proc / "sys/kernel/random").mkdir(parents=True)
    (proc / "sys/kernel/random/boot_id").write_text("6ca0a5f5-57f5-4f0a-8b3e-0e4b9f3f7d11\n")
    _write_rest(root, scene)


def _write_process(proc: Path, scene: Scene, process: Process) -> None:
    folder = proc / str(process.pid)
    folder.mkdir()
    (folder / "stat").write_bytes(_stat(process))
    (folder / "comm").write_bytes(process.comm + b"\n")
    (folder / "cmdline").write_bytes(process.command)
    (folder / "limits").write_text(
        f"Limit                     Soft Limit           Hard Limit           Units\n"
        f"Max open files            {process.fds_limit} 4096 files\n"
    )
    (folder / "cgroup").write_text(f"0::{process.cgroup}\n")
    held = [each.inode for each in scene.held_by(process.pid)]
    held += [each.inode for each in scene.unix_held_by(process.pid)]
    _write_links(folder / "fd", held if process.has_descriptors else None)
    for tid in (process.pid, *process.threads):
        alive = tid != process.pid or process.has_descriptors
        _write_links(folder / "task" / str(tid) / "fd", held if alive else None)
    if process.executable:
        (folder / "exe").symlink_to(process.executable)
    if not (process.is_zombie or process.main_thread_ended):
        _join(folder, process.netns, proc)
    for tid in process.threads:  # /proc has threads, too, by their own numbers
        (proc / f".{tid}").mkdir()
        _join(proc / f".{tid}", process.netns, proc)


def _join(folder: Path, netns: int, proc: Path) -> None:
    (folder / "net").symlink_to(proc / f"netns-{NAMES[netns]}")
    (folder / "ns").mkdir()
    (folder / "ns/net").write_text(str(netns))  # what fstat(2) of the file says, see kernel


def _stat(process: Process) -> bytes:
    state = b"Z" if process.is_zombie or process.main_thread_ended else b"S"
    flags = 0x00200000 if process.is_kernel_thread else 0x00400000
    threads = 1 + len(process.threads)
    parent = 0 if process.pid == 1 else 1
    head = b"%d (%s) %s %d 1 1 0 -1 %d" % (process.pid, process.comm, state, parent, flags)
    start = b" 0 0 0 0 0 0 0 0 20 0 %d 0 %d" % (threads, process.started * 100)
    return head + start + b" 0" * 30 + b"\n"


def _write_links(folder: Path, held: list[int] | None) -> None:
    folder.mkdir(parents=True)
    if held is None:
        return
    sockets = [f"socket:[{inode}]" for inode in held]
    for number, link in enumerate([*OTHER_FILES, *sockets]):
        (folder / str(number)).symlink_to(link)


def _write_caller(proc: Path, scene: Scene) -> None:
    """Write what /proc says of the caller itself."""
    folder = proc / "thread-self"
    folder.mkdir()
    mask = f"{scene.capabilities:016x}"
    (folder / "status").write_text(f"Name:\tpython3\nCapEff:\t{mask}\nCapBnd:\t{mask}\n")
    _join(folder, OWN, proc)
    (folder / "mountinfo").write_text(_mountinfo())
    (folder / "stat").write_bytes(_stat(Process(os.getpid(), b"python3")))
    (folder / "cmdline").write_bytes(b"python3\0-I\0-m\0zabbix_sockets\0get\0")
    (folder / "cgroup").write_text("0::/system.slice/zabbix-agent.service\n")
    (proc / "self").symlink_to(folder)
    (proc / "net").symlink_to(folder / "net")


def _mountinfo() -> str:
    """Return mounts; those that matter are behind the first page."""
    mounts = [
        f"{at} 1 8:{at} / /srv/volume-{at:04} rw,relatime shared:{at} - ext4 /dev/sda{at} rw\n"
        for at in range(10, 10 + _MANY)
    ]
    mounts.append(f"90 1 0:26 / {_CGROUP_MOUNT} rw - cgroup2 cgroup2 rw\n")
    mounts.append(f"91 1 0:4 net:[{LAB}] /run/netns/lab rw shared:7 - nsfs nsfs rw\n")
    return "".join(mounts)


def _write_net(folder: Path, scene: Scene, netns: int) -> None:
    folder.mkdir(parents=True)
    (folder / "dev").write_text("Inter-|   Receive\n")
    for name, (protocol, family) in _FAMILIES.items():
        rows = scene.sockets_of(netns, protocol, family)
        lines = [_titles(name), *(_line(at, each) for at, each in enumerate(rows))]
        (folder / name).write_text("".join(lines))
    unix = [line for each in scene.unix if each.netns == netns for line in _unix_lines(each)]
    (folder / "unix").write_bytes(b"Num       RefCount Protocol\n" + b"".join(unix))
    own = [each for each in scene.sockets if each.netns == netns]
    (folder / "sockstat").write_text(_sockstat(own))
    (folder / "sockstat6").write_text(
        "".join(f"{name.upper()}: inuse {_in_use(own, name)}\n" for name in ("tcp6", "udp6"))
    )
    established = scene.current_established(netns)
    (folder / "snmp").write_text(f"Tcp: CurrEstab InSegs RetransSegs\nTcp: {established} 9000 31\n")
    (folder / "netstat").write_text("TcpExt: ListenOverflows ListenDrops\nTcpExt: 5 6\n")
    devices = DEVICES[netns]
    others = {} if netns == OWN else {at: f"dummy{at}" for at in range(3, 133)}
    (folder / "igmp").write_text(
        "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n"
        + "".join(
            f"{index}\t{name:10}: {1:5} V3\n\t\t\t\t010000E0     1 0:00000000\t\t0\n"
            for index, name in sorted((devices | others).items())
        )
    )
    (folder / "if_inet6").write_text(
        "".join(
            f"fe80000000000000000000000000{index:04x} {index:02x} 40 20 80 {name:>8}\n"
            for index, name in devices.items()
        )
    )


def _unix_lines(each: UnixSocket) -> list[bytes]:
    """Return the lines of a unix socket, and of what waits to be accepted by it."""
    name = b" " + each.name.replace(b"\0", b"@") if each.name else b""
    head = b"%016x: %08X %08X %08X %04X %02X %5d%s\n"
    if each.state != LISTEN:
        return [head % (0, 3, 0, 0, 1, 3, each.inode, name)]
    listener = head % (0, 2, 0, 0x10000, 1, 1, each.inode, name)
    return [listener, *[head % (0, 3, 0, 0, 1, 2, 0, name)] * each.waiting]


def _titles(name: str) -> str:
    return f"  sl  local_address rem_address   st tx_queue rx_queue ({name})\n"


def _line(number: int, each: Socket) -> str:
    """Return a socket's line as get_tcp4_sock() and its siblings write it."""
    receive, send = each.queues
    if each.state == LISTEN:
        send = 0
    ends = " ".join(
        f"{_hexadecimal(address)}:{port:04X}"
        for address, port in (
            (each.local_address, each.local[1]),
            (each.remote_address, each.remote[1]),
        )
    )
    tail = "20 4 0 10 -1" if each.protocol == "tcp" else each.drops
    return (
        f"{number:4}: {ends} {each.state:02X} {send:08X}:{receive:08X} 00:00000000 00000000"
        f" {each.uid:5} {0:8} {each.inode} 2 0000000000000000 {tail}\n"
    )


def _hexadecimal(address: bytes) -> str:
    """Return an address as words in host byte order."""
    words = memoryview(address).cast("I")
    return "".join(f"{word:08X}" for word in words)


def _in_use(sockets: list[Socket], name: str) -> int:
    place = _FAMILIES[name]
    return sum((each.protocol, each.family) == place for each in sockets)


def _sockstat(sockets: list[Socket]) -> str:
    waiting = sum(each.state == TIME_WAIT for each in sockets)
    orphans = sum(not each.inode and each.state in (4, 5, 9, 11) for each in sockets)
    return (
        f"sockets: used {len(sockets)}\n"
        f"TCP: inuse {_in_use(sockets, 'tcp')} orphan {orphans} tw {waiting} alloc 99 mem 7\n"
        f"UDP: inuse {_in_use(sockets, 'udp')} mem 2\n"
    )


def _write_sysctls(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "ip_local_port_range").write_text(f"{PORTS[0]}\t{PORTS[1]}\n")
    (folder / "ip_local_reserved_ports").write_text("50000-50009\n")
    (folder / "tcp_mem").write_text("18000\t24000\t36000\n")


def _write_rest(root: Path, scene: Scene) -> None:
    for folder in ("dev/shm", "etc/zabbix", "run/netns", "run/zabbix-sockets", "sys/kernel/btf"):
        (root / folder).mkdir(parents=True)
    for folder in ("etc/systemd/system/dbus.socket.d", "run/systemd/system"):
        (root / folder).mkdir(parents=True)
    unit = root / "etc/systemd/system/dbus.socket"
    unit.write_text("[Socket]\nListenStream=/run/dbus/bus\n")
    (root / f"{unit}.d/path.conf").write_text(
        "[Socket]\nListenStream=\nListenStream=%t/dbus/system_bus_socket\n"
    )
    (root / "etc/passwd").write_text(
        "".join(f"{name}:x:{uid}:{uid}::/home/{name}:/bin/sh\n" for name, uid in USERS.items())
    )
    if scene.has_pins:
        (root / "sys/kernel/btf/vmlinux").touch()
    (root / "run/netns/lab").write_text(str(LAB))
    if scene.rules:
        (root / "etc/zabbix/zabbix-sockets.toml").write_text(scene.rules)
    for process in scene.processes:
        os.makedirs(f"{root}{_CGROUP_MOUNT}{process.cgroup}", exist_ok=True)
    docker = root / "var/lib/docker/containers" / CONTAINER
    docker.mkdir(parents=True)
    (docker / "config.v2.json").write_text('{"Name":"/cart","Config":{"Labels":{}}}')
