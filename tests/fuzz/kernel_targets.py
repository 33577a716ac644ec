"""Targets: what the kernel says in binary, by netlink and through the BPF iterators."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from zabbix_sockets.collector.iterator.clients import RecordClients
from zabbix_sockets.collector.iterator.minisocks import MinisockFold
from zabbix_sockets.collector.iterator.record_fold import RecordFold
from zabbix_sockets.collector.iterator.record_owners import RecordOwners, read_owners
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import ParseError, SourceUnavailableError
from zabbix_sockets.model.snapshot import HostCounters, PortRange, Snapshot, Visibility
from zabbix_sockets.model.wire import Drops
from zabbix_sockets.readers.bpf import records as bpf
from zabbix_sockets.readers.bpf import totals
from zabbix_sockets.readers.rtnetlink import decode_addresses
from zabbix_sockets.readers.sock_diag.attributes import (
    decode_cgroup_and_mark,
    decode_drops,
    decode_figures,
)
from zabbix_sockets.readers.sock_diag.endpoints import decode_endpoints, remote_endpoint
from zabbix_sockets.readers.sock_diag.messages import (
    decode_both,
    decode_datagram,
    decode_measured,
    decode_with_drops,
    decode_with_messages,
)
from zabbix_sockets.readers.sock_diag.tcp_info import (
    decode_details,
    decode_information,
    decode_tcp_info,
)
from zabbix_sockets.readers.sock_diag.unix import decode_unix

from ..unit.collector.iterator import folded, test_minisocks, test_unix_fold  # noqa: TID252
from ..unit.readers import test_rtnetlink  # noqa: TID252
from ..unit.readers.sock_diag import messages, test_unix  # noqa: TID252
from ..unit.rig import iterators  # noqa: TID252
from ..unit.rig.scene import HOST  # noqa: TID252
from ..unit.snapshots import snapshot_of, tcp_listener  # noqa: TID252
from .target import PARSES, Target, folder, pieces, written

LONG = Deadline(1e9)
NETNS = 7
_PORTS = PortRange(32768, 60999, 28232)
_CAPTURE = Path(__file__).parents[1] / "unit/captures/linux-6.18/inet_diag-tcp_info.bin"


def _use(batches: Iterable[object]) -> None:
    """Use up batches of rows, as their readers do."""
    for batch in batches:
        if isinstance(batch, Iterable):
            list(batch)


def _rows(decode: Callable[[memoryview, int], Iterable[object]]) -> Callable[[memoryview], None]:
    def run(data: memoryview) -> None:
        for family in (2, 10):
            _use(decode(data, family))

    return run


def _measured(data: memoryview) -> None:
    for batch in decode_measured(data, 10):
        if batch:
            list(zip(*batch))


def _observed(data: memoryview) -> None:
    _use(decode_datagram(data, 2, lambda rows: (row for _, row in rows)))


def _details(data: memoryview) -> None:
    for batch in decode_with_messages(data, 2):
        for _, message in batch or ():
            for decode in (decode_details, decode_figures, decode_drops, decode_cgroup_and_mark):
                decode(message)


def _of_both(data: memoryview) -> None:
    found: Drops = {}
    for drops in (None, found):
        for batch in decode_both(data, drops):
            list(batch[1] if batch else ())


def _ends(data: memoryview) -> None:
    for ends in decode_endpoints(data):
        if ends:
            ports = ends.local_ports(), ends.remote_ports()
            sides = list(ends.local()), list(ends.both())
            remote = [remote_endpoint(ends.family, each) for each in ends.remote()]
            assert len({len(each) for each in (*ports, *sides, remote)}) == 1


_DECODERS: tuple[Callable[[memoryview], None], ...] = (
    _rows(decode_datagram),
    _rows(lambda data, family: decode_with_drops(data, family, {})),
    _measured,
    _observed,
    _details,
    _of_both,
    _ends,
)


def inet_diag(data: bytes) -> None:
    """Give a datagram to the decoder that its first byte chooses."""
    if data:
        _DECODERS[data[0] % len(_DECODERS)](memoryview(bytearray(data[1:])))


def _inet_diag_seeds() -> Iterator[bytes]:
    rows = [messages.row(inode) for inode in (0, 5, 6)]
    attributes = messages.cgroup(77) + messages.attribute(2, bytes(range(232)))
    attributes += messages.attribute(7, bytes(36)) + messages.attribute(15, b"abcd")
    plain = b"".join(messages.encode_row(each, 2) for each in rows)
    told = b"".join(messages.encode_row(each, 2, attributes=attributes) for each in rows)
    mixed = plain + told + messages.encode_row(rows[0], 10, 3) + messages.done()
    for number in range(len(_DECODERS)):
        first = bytes([number])
        yield first + _CAPTURE.read_bytes()[:4000]
        yield first + mixed
        yield first + told + messages.done(-2)
        yield first + b"".join(messages.as_getsock(messages.encode_row(each, 2)) for each in rows)


def _unix_diag_seeds() -> Iterator[bytes]:
    told = messages.attribute(0, b"/run/x.sock\0") + messages.attribute(1, b"inodedev")
    told += messages.attribute(2, b"abcd") + messages.attribute(4, bytes(8))
    told += messages.attribute(7, b"\xe8\3\0\0")
    rows = test_unix.row_message(told, 5, 10) + test_unix.row_message()
    yield rows + messages.done()
    yield rows + test_unix.row_message(messages.attribute(0, b"\0a\0b")) + messages.done(-2)


def _rtnetlink_seeds() -> Iterator[bytes]:
    message, attribute = test_rtnetlink.message, test_rtnetlink.attribute
    v4 = message(2, attribute(1, test_rtnetlink.V4), attribute(2, test_rtnetlink.V4))
    v6 = message(10, attribute(1, test_rtnetlink.V6), flags=0x80, prefix=64)
    yield v4 + v6 + test_rtnetlink.DONE
    yield v4 + message(10, flags=1) + message(28, attribute(8, b"x"))


def tcp_info(data: bytes) -> None:
    """Give a struct tcp_info of any length, and a record of inform_sockets."""
    decode_tcp_info(data)
    size = bpf.INFORMATION.size
    decode_information(bpf.INFORMATION.iter_unpack(data[: len(data) // size * size]))


def _whole(data: bytes, size: int) -> bytes:
    return data[: len(data) // size * size]


def records(data: bytes) -> None:
    """Fold records of sockets, with the first byte's options, and move all sums."""
    first, data = (data or b"\0")[0], _whole(data[1:], bpf.RECORD.size)
    owners = RecordOwners("/nowhere", 1000.0, bpf.Processes(_opens_nothing, LONG), LONG)
    fold = RecordFold(
        NETNS,
        _PORTS,
        owners,
        own_only=bool(first & 1),
        active_within=(0, 10, 60, 600)[first >> 1 & 3],
    )
    fold.add([data])
    snapshot = Snapshot(0, Visibility("bpf"), _PORTS, HostCounters())
    fold.move_unix(snapshot)
    fold.move_listeners(snapshot, _device)
    fold.move(snapshot, _device)


def _opens_nothing(program: str) -> int:
    raise SourceUnavailableError(program)


def _device(_netns: int, index: int) -> str:
    return f"if{index}" if index else ""


def _record_seeds() -> Iterator[bytes]:
    of_host = iterators.records(HOST, lambda _: 5)[bpf.COUNT_SOCKETS]
    size = bpf.RECORD.size
    for first in range(8):
        for at in range(0, len(of_host), 4 * size):
            yield bytes([first]) + of_host[at : at + 4 * size]
    unix = test_unix_fold.listener(3, b"/run/x.sock") + test_unix_fold.unix(name=3)
    unix += test_unix_fold.listener(4, b"\0" + b"a" * 100) + test_unix_fold.unix(flags=1, name=4)
    yield b"\0" + unix
    pack = folded.pack
    shared = [pack(pid=pid, flags=bpf.SHARED, inode=9) for pid in (1, 2)]
    dropped = [pack(kind=bpf.KIND_LISTENER, flags=flag, inode=4) for flag in (0, bpf.DROPS)]
    yield b"\2" + b"".join([*shared, *dropped])


@contextmanager
def _small_reads() -> Iterator[None]:
    """Have the iterators read some KB at a time: to make a buffer of a MB is most of an attempt."""
    before = bpf._KERNEL_BUFFER, bpf._PIECES
    bpf._KERNEL_BUFFER, bpf._PIECES = 2048, 2
    try:
        yield
    finally:
        bpf._KERNEL_BUFFER, bpf._PIECES = before


def _opened(data: bytes) -> int:
    """Return a descriptor from which *data* can be read once."""
    fd = os.memfd_create("fuzz")
    os.write(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def minisocks(data: bytes) -> None:
    """Fold records of sockets without a file, and move the sums."""
    fold = MinisockFold(0xFFFF)
    try:
        with _small_reads():
            fold.read(_opened(data), LONG)
    finally:
        test_minisocks.moved(fold)


def _minisock_seeds() -> Iterator[bytes]:
    record = test_minisocks.record
    for kind in (1, 2, 3):
        yield b"".join(
            record(kind, flags=flags, local_port=port, remote_port=150, address=b"\xc0\0\2\5")
            for flags in range(4)
            for port in (80, 150, 7)
        )


def clients(data: bytes) -> None:
    """Count clients by records of connections."""
    snapshot = snapshot_of(listeners=[tcp_listener(1, 80), tcp_listener(1, 443, bytes(16))])
    for own_only in (False, True):
        found = RecordClients(snapshot, NETNS, _device, own_only=own_only)
        with _small_reads():
            found.read(_opened(data), LONG)
        for each in found.sums.by_end.values():
            assert each.distinct >= 0
            each.top()


def _client_seeds() -> Iterator[bytes]:
    yield iterators.records(HOST, lambda _: 5)[bpf.COUNT_CLIENTS][: 40 * bpf.CLIENT.size]
    yield b"".join(
        bpf.CLIENT.pack(netns, 0, 0, port, kind, flags, 9, b"\xc0\0\2\5")
        for netns in (NETNS, 8)
        for port in (80, 443)
        for kind in range(1, 5)
        for flags in (0, bpf.IPV6, bpf.SHARED)
    )


_COUNTERS = 14  # of struct sums, with the time of the last change
_SUMS = struct.Struct(f"={_COUNTERS}Q")


def read_totals(data: bytes) -> None:
    """Read totals of processes, listeners and upstreams, all of them and those of one endpoint."""
    names = (bpf.TOTAL_PROCESSES, totals.TOTAL_LISTENERS, totals.TOTAL_UPSTREAMS)
    sizes = (totals._PROCESS.size, totals._SERVER.size, totals._SERVER.size)
    for name, size, content in zip(names, sizes, pieces(data, len(names))):
        figures = bytes(size - _SUMS.size) + _SUMS.pack(*range(_COUNTERS))
        written(f"{name}-v{bpf.ABI}", _whole(content, size) + figures)
    with _small_reads():
        for endpoints in (None, {(b"\xc0\0\2\5", 443)}):
            reader = totals.TotalsReader(folder(), NETNS, _device, LONG, None, endpoints, endpoints)
            reader.read()


def _totals_seeds() -> Iterator[bytes]:
    sums = _SUMS.pack(*range(_COUNTERS))[:-16], 77
    of_server = *sums, 5
    process = totals._PROCESS.pack(3, 5, NETNS, 1000, 0, 0, b"nginx", *sums)
    servers = [
        totals._SERVER.pack(2, NETNS, 0, b"\xc0\0\2\5", 443, family, 3, *of_server)
        for family in (2, 10)
    ]
    yield b"\xff".join((process, b"".join(servers), servers[0]))
    yield b"\xff".join((process * 2, totals._SERVER.pack(2, 8, 1, b"", 443, 9, 3, *of_server)))


def owners(data: bytes) -> None:
    """Read the owners of sockets, and the names of what processes execute."""
    split = pieces(data, 2)
    contents = {bpf.SOCKET_OWNERS: split[0], bpf.DESCRIBE_PROCESSES: split[1]}
    written("uptime", b"100.00 90.00\n")
    with _small_reads():
        described = bpf.Processes(lambda program: _opened(contents[program]), LONG)
        described.executable(10, 5)
        described.count_fds(10, 5)
        read_owners(lambda program: _opened(contents[program]), folder(), LONG)


def _owner_seeds() -> Iterator[bytes]:
    found = iterators.records(HOST, lambda _: 5)
    owner, process = found[bpf.SOCKET_OWNERS], found[bpf.DESCRIBE_PROCESSES]
    yield owner[: 20 * bpf.OWNER.size] + b"\xff" + process[: 4 * bpf.PROCESS.size]
    yield bpf.OWNER.pack(9, 10, 5, b"a name that's cut".ljust(16)[:15]) + b"\xff"


_REFUSED = (ParseError, SourceUnavailableError)

TARGETS = {
    "inet_diag": Target(inet_diag, _inet_diag_seeds, _REFUSED),
    "unix_diag": Target(
        lambda data: _use(decode_unix(memoryview(data))), _unix_diag_seeds, _REFUSED
    ),
    "rtnetlink": Target(lambda data: list(decode_addresses(data)), _rtnetlink_seeds, _REFUSED),
    "tcp_info": Target(tcp_info, lambda: [bytes(range(232)), bytes(bpf.INFORMATION.size)], ()),
    "bpf_records": Target(records, _record_seeds, PARSES),
    "bpf_minisocks": Target(minisocks, _minisock_seeds, PARSES),
    "bpf_clients": Target(clients, _client_seeds, PARSES),
    "bpf_totals": Target(read_totals, _totals_seeds, PARSES),
    "bpf_owners": Target(owners, _owner_seeds, _REFUSED),
}
