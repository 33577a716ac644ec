"""Assembler of inet_diag's bytecode, by which the kernel itself chooses sockets. Pure.

Source: include/uapi/linux/inet_diag.h and, for what is valid, inet_diag_bc_audit() of
net/ipv4/inet_diag.c. An operation that holds goes on `yes` bytes further, else `no` bytes; to
end behind the last one accepts a socket, 4 bytes further rejects it. A jump must lead to an
operation that is also reached by `yes` alone, so here `yes` always leads to the next one.
"""

from __future__ import annotations

import struct
from _socket import AF_INET, AF_INET6
from itertools import count

from zabbix_sockets.filters.terms import (
    And,
    CgroupCondition,
    Constant,
    DeviceCondition,
    HostCondition,
    Leaf,
    MarkCondition,
    Node,
    Not,
    Or,
    PortCondition,
)
from zabbix_sockets.model.addresses import IPV4_LENGTH

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
_CGROUP_OPERAND = struct.Struct("=Q")
REJECTED = 4
"""Bytes behind the end at which a socket is rejected."""

MAX_BYTES = 8192
"""The longest program, though `no` could jump 65,531 bytes: the kernel checks each jump from the
start of the program, and compares one after the other for each socket. The evaluator takes less
time for as many conditions."""

_PORT_CODES = {
    (True, "="): INET_DIAG_BC_S_EQ,
    (True, ">="): INET_DIAG_BC_S_GE,
    (True, "<="): INET_DIAG_BC_S_LE,
    (False, "="): INET_DIAG_BC_D_EQ,
    (False, ">="): INET_DIAG_BC_D_GE,
    (False, "<="): INET_DIAG_BC_D_LE,
}

KERNEL_KINDS = frozenset(("port", "host", "dev", "fwmark", "cgroup"))
"""The kinds of conditions for which there is an operation."""


def assemble(node: Node) -> bytes | None:
    """Return the program that accepts the sockets for which *node* holds; None: over MAX_BYTES.

    *node* has negations at its leaves only; its leaves are of KERNEL_KINDS, and none is Constant.

    Raises:
        TypeError: a leaf is of another kind.
    """
    program = _Program()
    program.add(node, _ACCEPT, _REJECT, _ACCEPT)
    return program.encoded()


_ACCEPT, _REJECT = 0, 1


class _Program:
    """A program in the making: operations whose jumps lead to labels until all are placed."""

    def __init__(self) -> None:
        self._operations: list[tuple[int, bytes, int]] = []  # code, operand, label of `no`
        self._size = 0
        self._places: dict[int, int] = {}  # of labels
        self._labels = count(_REJECT + 1)

    def add(self, node: Node, true: int, false: int, following: int) -> None:
        """Add the operations of *node*, which go on at the label *true* or *false*.

        *following* is the label of the operation that will come right behind them.
        """
        if isinstance(node, (And, Or)):
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
        assert not isinstance(node, (Constant, And, Or, Not))
        code, operand = _operation(node)
        self._append(code, operand, false)
        if true != following:
            self._append(INET_DIAG_BC_JMP, b"", true)

    def _append(self, code: int, operand: bytes, no: int) -> None:
        self._operations.append((code, operand, no))
        self._size += OP.size + len(operand)

    def encoded(self) -> bytes | None:
        """Return the program's bytes; None if they are more than MAX_BYTES."""
        if self._size > MAX_BYTES:
            return None
        places = {**self._places, _ACCEPT: self._size, _REJECT: self._size + REJECTED}
        data = bytearray()
        for code, operand, no in self._operations:
            yes = OP.size + len(operand)
            data += OP.pack(code, yes, places[no] - len(data)) + operand
        return bytes(data)


def _operation(leaf: Leaf) -> tuple[int, bytes]:
    """Return the code of a condition's operation, and the operand that follows it."""
    if isinstance(leaf, PortCondition):
        return _PORT_CODES[leaf.local, leaf.operator], OP.pack(0, 0, leaf.number)
    if isinstance(leaf, HostCondition):
        family = AF_INET if len(leaf.address) == IPV4_LENGTH else AF_INET6
        condition = HOSTCOND.pack(family, leaf.prefix, -1 if leaf.port is None else leaf.port)
        code = INET_DIAG_BC_S_COND if leaf.local else INET_DIAG_BC_D_COND
        return code, condition + leaf.address
    if isinstance(leaf, DeviceCondition):
        return INET_DIAG_BC_DEV_COND, IFINDEX.pack(leaf.ifindex)
    if isinstance(leaf, MarkCondition):
        return INET_DIAG_BC_MARK_COND, MARKCOND.pack(leaf.value, leaf.mask)
    if isinstance(leaf, CgroupCondition):
        return INET_DIAG_BC_CGROUP_COND, _CGROUP_OPERAND.pack(leaf.number)
    raise TypeError(f"the kernel has no operation for {leaf!r}")
