"""Dump requests for an expression: what of it the kernel decides, and whether all. Pure."""

from _socket import AF_INET

from zabbix_sockets.filters.bytecode import KERNEL_KINDS, assemble
from zabbix_sockets.filters.terms import (
    FALSE,
    TRUE,
    Constant,
    HostCondition,
    Leaf,
    Node,
    StatesCondition,
    disjunction,
    rewrite,
)
from zabbix_sockets.model.addresses import IPV4_LENGTH
from zabbix_sockets.model.light_typing import NamedTuple

_STATES = 32
_NEW_SYN_RECV = 12  # TCP_NEW_SYN_RECV: the kernel shows such sockets as SYN_RECV, and dumps them so


class Dump(NamedTuple):
    """A request for a dump of the sockets that match an expression.

    Attributes:
        states: the mask of their states; 0 if no socket matches.
        program: the bytecode by which the kernel chooses among these; empty for all of them.
        exact: no socket comes that doesn't match; else each has to be tested here.
    """

    states: int
    program: bytes
    exact: bool


def in_state(node: Node, state: int) -> Node:
    """Return the expression for sockets in the state of that number, without StatesCondition in it.

    Negations are at its leaves only.
    """

    def replace(leaf: Leaf, _positive: bool) -> Node:
        return Constant(bool(leaf.mask >> state & 1)) if isinstance(leaf, StatesCondition) else leaf

    return rewrite(node, replace)


def in_table(node: Node, family: int) -> Node:
    """Return the expression for sockets of *family*: for AF_INET without IPv6 addresses in it.

    Negations are at its leaves only.
    """

    def replace(leaf: Leaf, _positive: bool) -> Node:
        foreign = isinstance(leaf, HostCondition) and len(leaf.address) != IPV4_LENGTH
        return FALSE if foreign and family == AF_INET else leaf

    return rewrite(node, replace)


def weakened(node: Node, kinds: frozenset[str]) -> Node:
    """Return an expression without conditions of *kinds*, which holds at least where *node* does.

    It holds wherever *node* would for some outcome of each of these conditions.
    """

    def replace(leaf: Leaf, positive: bool) -> Node:
        return Constant(positive) if leaf.kind in kinds else leaf

    return rewrite(node, replace)


def by_state(node: Node, states: int) -> dict[Node, int]:
    """Return the expressions for sockets in each of *states* (a mask), as in_state() gives them.

    Each has the mask of the states for which it is; states in which no socket matches are left out.
    """
    nodes: dict[Node, int] = {}
    for state in range(_STATES):
        if states >> state & 1 and state != _NEW_SYN_RECV:
            inner = in_state(node, state)
            if inner != FALSE:
                nodes[inner] = nodes.get(inner, 0) | 1 << state
    return nodes


def dump_for(node: Node, states: int) -> Dump:
    """Return the request for all sockets in *states* (a mask) that match, and few others.

    *node* has no Named conditions. Where the expression for one state differs from that for
    another, the kernel is given their disjunction.
    """
    nodes = by_state(node, states)
    mask = sum(nodes.values())
    if not mask:
        return Dump(0, b"", exact=True)
    by_kernel = {each: rewrite(each, _for_kernel) for each in nodes}
    exact = len(nodes) == 1 and all(each == kept for each, kept in by_kernel.items())
    together = disjunction(by_kernel.values())
    if together == TRUE:
        return Dump(mask, b"", exact)
    program = assemble(together)
    if program is None:
        return Dump(mask, b"", exact=False)
    return Dump(mask, program, exact)


def _for_kernel(leaf: Leaf, positive: bool) -> Node:
    return leaf if leaf.kind in KERNEL_KINDS else Constant(positive)
