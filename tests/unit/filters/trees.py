"""Random conditions and rows, and what the kernel makes of a program."""

import socket
import struct
from collections.abc import Callable

from hypothesis import strategies as st

from zabbix_sockets.filters import terms
from zabbix_sockets.filters.terms import And, Node, Not, Or
from zabbix_sockets.model.wire import SocketRow

AF_INET, AF_INET6 = int(socket.AF_INET), int(socket.AF_INET6)
MAPPED = bytes(10) + b"\xff\xff"
PORTS = st.sampled_from([0, 1, 22, 23, 443, 32768, 65534, 65535])
V4 = st.sampled_from([bytes(4), b"\x7f\0\0\1", b"\x7f\0\0\2", b"\x0a\1\2\3", b"\xff" * 4])
V6 = st.sampled_from([bytes(16), bytes(15) + b"\1", b"\xfe\x80" + bytes(13) + b"\1"])
V6_ADDRESSES = st.one_of(V6, V4.map(lambda address: MAPPED + address))


@st.composite
def hosts(draw: st.DrawFn) -> terms.HostCondition:
    """Return an address's first bits, with a port or not."""
    address = draw(st.one_of(V4, V6_ADDRESSES))
    prefix = draw(st.one_of(st.integers(0, len(address) * 8), st.just(len(address) * 8)))
    return terms.HostCondition(draw(st.booleans()), address, prefix, draw(st.none() | PORTS))


KERNEL_LEAVES = st.one_of(
    st.builds(terms.PortCondition, st.booleans(), st.sampled_from(["=", ">=", "<="]), PORTS),
    hosts(),
    st.builds(terms.DeviceCondition, st.integers(0, 3)),
    st.builds(terms.MarkCondition, st.integers(0, 3), st.sampled_from([0, 1, 3, 0xFFFFFFFF])),
    st.builds(terms.CgroupCondition, st.sampled_from([0, 1, 77, 1 << 40])),
)
LEAVES = st.one_of(
    KERNEL_LEAVES,
    st.builds(
        terms.StatesCondition, st.sampled_from([1 << 1, 1 << 10, 1 << 7, 0, 0xFFFFFFFF, 0xF0])
    ),
    st.builds(terms.UserCondition, st.sampled_from([0, 1000])),
    st.builds(terms.PidCondition, st.sampled_from([1, 2])),
    st.builds(terms.ProcessCondition, st.sampled_from(["one", "two"])),
)


def trees(leaves: st.SearchStrategy[terms.Leaf]) -> st.SearchStrategy[Node]:
    """Return expressions of these conditions."""
    return st.recursive(
        st.one_of(leaves, st.builds(terms.Constant, st.booleans())),
        lambda inner: st.one_of(
            st.builds(Not, inner),
            st.builds(And, st.lists(inner, min_size=1, max_size=4).map(tuple)),
            st.builds(Or, st.lists(inner, min_size=1, max_size=4).map(tuple)),
        ),
        max_leaves=14,
    )


@st.composite
def rows(draw: st.DrawFn, family: int) -> tuple[SocketRow, int, int]:
    """Return a row as netlink gives it, its cgroup and its mark."""
    addresses = V4 if family == AF_INET else V6_ADDRESSES
    row = (
        draw(st.sampled_from([1, 4, 6, 7, 10])),
        socket.htons(draw(PORTS)),
        socket.htons(draw(PORTS)),
        draw(addresses),
        draw(addresses),
        draw(st.integers(0, 3)),
        0,
        0,
        draw(st.sampled_from([0, 1000])),
        draw(st.integers(0, 4)),
    )
    return row, draw(st.sampled_from([0, 1, 77, 1 << 40])), draw(st.integers(0, 3))


OPERATION = struct.Struct("=BBH")
NOP, JMP, S_GE, S_LE, D_GE, D_LE, AUTO, S_COND, D_COND, DEV, MARK, S_EQ, D_EQ, CGROUP = range(14)
BESIDES = {
    **dict.fromkeys((S_GE, S_LE, D_GE, D_LE, S_EQ, D_EQ), 4),
    DEV: 4,
    MARK: 8,
    CGROUP: 8,
    JMP: 0,
}
HOST_BITS = {0: 0, AF_INET: 32, AF_INET6: 128}


def check(program: bytes) -> None:
    """Assert what inet_diag_bc_audit() asks of a program."""
    size = len(program)
    starts, at = [], 0
    while at < size:
        starts.append(at)
        at += OPERATION.unpack_from(program, at)[1]
    assert at == size
    for at in starts:
        code, yes, no = OPERATION.unpack_from(program, at)
        left = size - at
        if code in (S_COND, D_COND):
            family, prefix = struct.unpack_from("=BB", program, at + 4)
            assert prefix <= HOST_BITS[family]
            least = 12 + HOST_BITS[family] // 8
        else:
            least = 4 + BESIDES[code]
        assert least <= left
        assert (yes | no) % 4 == 0
        assert least <= yes <= left + 4
        assert least <= no <= left + 4
        assert no >= left or at + no in starts


def run(program: bytes, family: int, row: SocketRow, cgroup: int, mark: int) -> bool:
    """Return whether inet_diag_bc_run() would let a socket through."""
    at, size = 0, len(program)
    while at < size:
        code, yes, no = OPERATION.unpack_from(program, at)
        at += yes if holds(program, at, code, (family, row, cgroup, mark)) else no
    return at == size


def holds(program: bytes, at: int, code: int, socket_: tuple[int, SocketRow, int, int]) -> bool:
    """Return the outcome of one operation."""
    family, row, cgroup, mark = socket_
    ports = {True: socket.ntohs(row[1]), False: socket.ntohs(row[2])}
    wanted = OPERATION.unpack_from(program, at + 4)[2] if code != JMP else 0
    if code in (S_COND, D_COND):
        address = row[3] if code == S_COND else row[4]
        assert isinstance(address, bytes)
        return host_holds(program, at + 4, family, ports[code == S_COND], address)
    if code == MARK:
        value, mask = struct.unpack_from("=II", program, at + 4)
        return bool(mark & mask == value)
    outcomes: dict[int, Callable[[], object]] = {
        DEV: lambda: struct.unpack_from("=I", program, at + 4)[0] == row[5],
        CGROUP: lambda: struct.unpack_from("=Q", program, at + 4)[0] == cgroup,
        JMP: lambda: False,
        S_GE: lambda: ports[True] >= wanted,
        S_LE: lambda: ports[True] <= wanted,
        S_EQ: lambda: ports[True] == wanted,
        D_GE: lambda: ports[False] >= wanted,
        D_LE: lambda: ports[False] <= wanted,
        D_EQ: lambda: ports[False] == wanted,
    }
    return bool(outcomes[code]())


def host_holds(program: bytes, at: int, family: int, port: int, address: bytes) -> bool:
    """Return the outcome of S_COND or D_COND for one end."""
    wanted_family, prefix, wanted_port = struct.unpack_from("=BB2xi", program, at)
    if wanted_port not in (-1, port):
        return False
    wanted = program[at + 8 : at + 8 + HOST_BITS[wanted_family] // 8]
    if wanted_family not in (0, family):
        if family != AF_INET6 or address[:12] != MAPPED:
            return False
        address = address[12:]
    bits = "".join(f"{byte:08b}" for byte in address)
    return bits.startswith("".join(f"{byte:08b}" for byte in wanted)[:prefix])
