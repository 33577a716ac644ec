"""What of an expression the kernel decides, and whether that is all of it. Pure."""

from _socket import AF_INET
from typing import NamedTuple

from zabbix_sockets.filters.bytecode import KERNEL_KINDS, assemble
from zabbix_sockets.filters.terms import (
    FALSE,
    TRUE,
    Constant,
    Host,
    Leaf,
    Node,
    States,
    disjunction,
    rewrite,
)
from zabbix_sockets.model.addresses import family_of

_STATES = 32
_NEW_SYN_RECV = 12  # the kernel's own word for SYN_RECV, which it tells it as and gives it with


class Dump(NamedTuple):
    """What to ask the kernel for.

    *states* is a mask, 0 if no socket fits; *program* is empty if all in these states may.
    Unless *exact*, sockets come that don't fit: they have to be looked at here.
    """

    states: int
    program: bytes
    exact: bool


def in_state(node: Node, state: int) -> Node:
    """Return what is left of an expression for sockets in a state; negations at leaves only."""

    def replace(leaf: Leaf, _wanted: bool) -> Node:
        return Constant(bool(leaf.mask >> state & 1)) if isinstance(leaf, States) else leaf

    return rewrite(node, replace)


def in_table(node: Node, family: int) -> Node:
    """Return what is left of an expression for sockets of a family; no IPv4 one has IPv6 ends."""

    def replace(leaf: Leaf, _wanted: bool) -> Node:
        foreign = isinstance(leaf, Host) and family_of(leaf.address) != AF_INET
        return FALSE if foreign and family == AF_INET else leaf

    return rewrite(node, replace)


def without(node: Node, kinds: frozenset[str]) -> Node:
    """Return an expression that also holds where conditions of *kinds* may be whatever helps."""

    def replace(leaf: Leaf, wanted: bool) -> Node:
        return Constant(wanted) if leaf.kind in kinds else leaf

    return rewrite(node, replace)


def by_state(node: Node, states: int) -> dict[Node, int]:
    """Return what is left of an expression in *states*, and in which of these (a mask)."""
    left: dict[Node, int] = {}
    for state in range(_STATES):
        if states >> state & 1 and state != _NEW_SYN_RECV:
            rest = in_state(node, state)
            if rest != FALSE:
                left[rest] = left.get(rest, 0) | 1 << state
    return left


def dump_for(node: Node, states: int) -> Dump:
    """Return what to ask for to get all sockets in *states* (a mask) that fit, and few others.

    What is left in one state may differ from what is left in another: then the kernel is
    given that either holds. Names in *node* have been looked up.
    """
    left = by_state(node, states)
    mask = sum(left.values())
    if not mask:
        return Dump(0, b"", exact=True)
    known = {rest: rewrite(rest, _for_kernel) for rest in left}
    exact = len(left) == 1 and all(rest == kept for rest, kept in known.items())
    together = disjunction(known.values())
    if together == TRUE:
        return Dump(mask, b"", exact)
    program = assemble(together)
    if program is None:
        return Dump(mask, b"", exact=False)
    return Dump(mask, program, exact)


def _for_kernel(leaf: Leaf, wanted: bool) -> Node:
    return leaf if leaf.kind in KERNEL_KINDS else Constant(wanted)
