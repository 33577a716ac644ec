"""What an expression consists of, and how it is rewritten. Pure.

Each class says its *kind*, so that equal fields of different ones are not equal.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple


class Constant(NamedTuple):
    """All sockets, or none."""

    value: bool
    kind: str = "constant"


class And(NamedTuple):
    """All parts hold."""

    parts: "tuple[Node, ...]"
    kind: str = "and"


class Or(NamedTuple):
    """One part holds at least."""

    parts: "tuple[Node, ...]"
    kind: str = "or"


class Not(NamedTuple):
    """The part doesn't hold."""

    part: "Node"
    kind: str = "not"


class States(NamedTuple):
    """The socket's state is one of a mask of the kernel's numbers."""

    mask: int
    kind: str = "state"


class Port(NamedTuple):
    """A port equals a number (`=`), or is one of those from or up to it (`>=`, `<=`)."""

    local: bool
    operator: str
    number: int
    kind: str = "port"


class Host(NamedTuple):
    """An address has the first *prefix* bits of another one; a port, unless None, is equal.

    As inet_diag_bc_run() does it: an IPv4 address also fits the IPv6 one that maps it.
    """

    local: bool
    address: bytes  # 4 or 16 bytes in network order
    prefix: int
    port: int | None = None
    kind: str = "host"


class Named(NamedTuple):
    """Something that has to be looked up: `dev`, `cgroup`, `user` or `netns` and its name.

    text[at:end] of the expression is the name.
    """

    what: str
    name: str
    at: int
    end: int
    kind: str = "named"


class Device(NamedTuple):
    """The socket is bound to the device with this index."""

    ifindex: int
    kind: str = "dev"


class Mark(NamedTuple):
    """The bits of the socket's mark (SO_MARK) that are in *mask* are *value*."""

    value: int
    mask: int
    kind: str = "fwmark"


class Cgroup(NamedTuple):
    """The socket was made in the cgroup with this id."""

    number: int
    kind: str = "cgroup"


class User(NamedTuple):
    """The socket is this user's; one without an inode is nobody's."""

    uid: int
    kind: str = "user"


class ProcessName(NamedTuple):
    """One of the socket's processes has this name, as it is shown or as it is."""

    name: str
    kind: str = "process"


class Pid(NamedTuple):
    """One of the socket's processes has this pid."""

    pid: int
    kind: str = "pid"


Leaf = States | Port | Host | Named | Device | Mark | Cgroup | User | ProcessName | Pid
Node = Constant | And | Or | Not | Leaf

TRUE, FALSE = Constant(True), Constant(False)

Replace = Callable[[Leaf, bool], Node]
"""Returns what takes the place of a leaf; told whether it counts as it is, or negated."""


def leaves(node: Node) -> Iterator[Leaf]:
    """Yield all conditions of an expression."""
    if isinstance(node, And | Or):
        for part in node.parts:
            yield from leaves(part)
    elif isinstance(node, Not):
        yield from leaves(node.part)
    elif not isinstance(node, Constant):
        yield node


def kinds(node: Node) -> frozenset[str]:
    """Return the kinds of conditions: `state`, `dev`, `process` and so on."""
    return frozenset(leaf.what if isinstance(leaf, Named) else leaf.kind for leaf in leaves(node))


def keep(leaf: Leaf, _wanted: bool) -> Node:
    """Replace nothing."""
    return leaf


def rewrite(node: Node, replace: Replace = keep, *, wanted: bool = True) -> Node:
    """Return *node* (unless *wanted*: its negation) with negations at its leaves only.

    Leaves are replaced; constants that come of it are gone unless nothing else is left.
    """
    if isinstance(node, Constant):
        return Constant(node.value == wanted)
    if isinstance(node, Not):
        return rewrite(node.part, replace, wanted=not wanted)
    if isinstance(node, And | Or):
        parts = (rewrite(part, replace, wanted=wanted) for part in node.parts)
        return conjunction(parts) if isinstance(node, And) == wanted else disjunction(parts)
    new = replace(node, wanted)
    if isinstance(new, Constant | And | Or | Not):
        return rewrite(new, wanted=wanted)
    return new if wanted else Not(new)


def conjunction(parts: Iterable[Node]) -> Node:
    """Return the simplest expression that holds where all *parts* do."""
    found: dict[Node, None] = {}
    for part in parts:
        if part == FALSE:
            return FALSE
        if part != TRUE:
            found.update(dict.fromkeys(part.parts if isinstance(part, And) else (part,)))
    return And(tuple(found)) if len(found) > 1 else next(iter(found), TRUE)


def disjunction(parts: Iterable[Node]) -> Node:
    """Return the simplest expression that holds where one of *parts* does."""
    found: dict[Node, None] = {}
    for part in parts:
        if part == TRUE:
            return TRUE
        if part != FALSE:
            found.update(dict.fromkeys(part.parts if isinstance(part, Or) else (part,)))
    return Or(tuple(found)) if len(found) > 1 else next(iter(found), FALSE)
