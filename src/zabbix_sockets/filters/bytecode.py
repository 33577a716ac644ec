"""inet_diag's bytecode: the conditions that the kernel decides itself. Pure.

Source: include/uapi/linux/inet_diag.h and, for what is valid, inet_diag_bc_audit() of
net/ipv4/inet_diag.c. An operation that holds goes on `yes` bytes further, else `no` bytes; to
end behind the last one accepts a socket, 4 bytes further rejects it. A jump must lead to an
operation that is also reached by `yes` alone, so here `yes` always leads to the next one.
"""

import struct
from itertools import count

from zabbix_sockets.filters.terms import (
    And,
    Cgroup,
    Constant,
    Device,
    Host,
    Leaf,
    Mark,
    Node,
    Not,
    Or,
    Port,
)
from zabbix_sockets.model.addresses import family_of

INET_DIAG_BC_JMP = 1
INET_DIAG_BC_S_GE, INET_DIAG_BC_S_LE, INET_DIAG_BC_D_GE, INET_DIAG_BC_D_LE = 2, 3, 4, 5
INET_DIAG_BC_S_COND, INET_DIAG_BC_D_COND = 7, 8
INET_DIAG_BC_DEV_COND, INET_DIAG_BC_MARK_COND = 9, 10
INET_DIAG_BC_S_EQ, INET_DIAG_BC_D_EQ = 11, 12
INET_DIAG_BC_CGROUP_COND = 13

OP = struct.Struct("=BBH")  # struct inet_diag_bc_op: code, yes, no
HOSTCOND = struct.Struct("=BB2xi")  # struct inet_diag_hostcond: family, prefix_len, port
MARKCOND = struct.Struct("=II")  # struct inet_diag_markcond: mark, mask
IFINDEX = struct.Struct("=I")
CGROUP_ID = struct.Struct("=Q")
REJECTED = 4
"""Bytes behind the end at which a socket is rejected."""

MAX_BYTES = 8192
"""Longer programs are not made, though `no` could jump 65,531 bytes: the kernel checks each
jump from the start of the program, and compares one after the other for each socket. What is
as long is soon evaluated here."""

_PORT_CODES = {
    (True, "="): INET_DIAG_BC_S_EQ,
    (True, ">="): INET_DIAG_BC_S_GE,
    (True, "<="): INET_DIAG_BC_S_LE,
    (False, "="): INET_DIAG_BC_D_EQ,
    (False, ">="): INET_DIAG_BC_D_GE,
    (False, "<="): INET_DIAG_BC_D_LE,
}

KERNEL_KINDS = frozenset(("port", "host", "dev", "fwmark", "cgroup"))
"""Conditions that have an operation."""


def assemble(node: Node) -> bytes | None:
    """Return the program of an expression; None if it would be too long.

    *node* has negations at its leaves only, which are of KERNEL_KINDS, and is no constant.
    """
    program = _Program()
    program.add(node, _ACCEPT, _REJECT, _ACCEPT)
    return program.encoded()


_ACCEPT, _REJECT = 0, 1


class _Program:
    """Operations whose jumps lead to labels until all are there."""

    def __init__(self) -> None:
        self._operations: list[tuple[int, bytes, int]] = []  # code, what follows it, label of `no`
        self._size = 0
        self._places: dict[int, int] = {}  # of labels
        self._labels = count(_REJECT + 1)

    def add(self, node: Node, true: int, false: int, following: int) -> None:
        """Add *node*, which goes on at a label for either outcome.

        *following* is the label of what will come right behind it.
        """
        if isinstance(node, And | Or):
            *first, last = node.parts
            for part in first:
                behind = next(self._labels)
                if isinstance(node, And):
                    self.add(part, behind, false, behind)
                else:
                    self.add(part, true, behind, behind)
                self._places[behind] = self._size
            self.add(last, true, false, following)
            return
        if isinstance(node, Not):
            node, true, false = node.part, false, true
        assert not isinstance(node, Constant | And | Or | Not)
        code, rest = _operation(node)
        self._append(code, rest, false)
        if true != following:
            self._append(INET_DIAG_BC_JMP, b"", true)

    def _append(self, code: int, rest: bytes, no: int) -> None:
        self._operations.append((code, rest, no))
        self._size += OP.size + len(rest)

    def encoded(self) -> bytes | None:
        """Return the bytes, if they are not too many."""
        if self._size > MAX_BYTES:
            return None
        places = {**self._places, _ACCEPT: self._size, _REJECT: self._size + REJECTED}
        data = bytearray()
        for code, rest, no in self._operations:
            yes = OP.size + len(rest)
            data += OP.pack(code, yes, places[no] - len(data)) + rest
        return bytes(data)


def _operation(leaf: Leaf) -> tuple[int, bytes]:
    """Return the code of a condition, and what comes behind the operation."""
    match leaf:
        case Port(local, operator, number):
            return _PORT_CODES[local, operator], OP.pack(0, 0, number)
        case Host(local, address, prefix, port):
            condition = HOSTCOND.pack(family_of(address), prefix, -1 if port is None else port)
            code = INET_DIAG_BC_S_COND if local else INET_DIAG_BC_D_COND
            return code, condition + address
        case Device(ifindex):
            return INET_DIAG_BC_DEV_COND, IFINDEX.pack(ifindex)
        case Mark(value, mask):
            return INET_DIAG_BC_MARK_COND, MARKCOND.pack(value, mask)
        case Cgroup(number):
            return INET_DIAG_BC_CGROUP_COND, CGROUP_ID.pack(number)
    raise TypeError(f"the kernel has no operation for {leaf!r}")
