"""Terms of an expression, and its rewriting. Pure.

Each condition says its *kind*, so that equal fields of different ones are not equal.
"""

from __future__ import annotations

from _collections_abc import Callable, Iterable, Iterator

from zabbix_sockets.model.light_typing import NamedTuple, Union


class Constant(NamedTuple):
    """Matches all sockets, or none."""

    value: bool
    kind: str = "constant"


class _Compound:
    """An expression of others; those of the same class and equal parts are equal.

    It is no named tuple: unions of tuples that contain each other take a type checker seconds.
    """

    __slots__ = ("parts",)

    def __init__(self, parts: tuple[Node, ...]) -> None:
        self.parts = parts

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and self.parts == other.parts

    def __hash__(self) -> int:
        return hash((type(self), self.parts))

    def __repr__(self) -> str:
        return f"{type(self).__name__}{self.parts}"


class And(_Compound):
    """Matches a socket if all parts do."""

    __slots__ = ()


class Or(_Compound):
    """Matches a socket if one part does at least."""

    __slots__ = ()


class Not(_Compound):
    """Matches a socket if the part doesn't."""

    __slots__ = ()

    def __init__(self, part: Node) -> None:
        super().__init__((part,))

    @property
    def part(self) -> Node:
        """What is negated."""
        return self.parts[0]


class StatesCondition(NamedTuple):
    """The socket's state is one of a mask of the kernel's numbers."""

    mask: int
    kind: str = "state"


class PortCondition(NamedTuple):
    """A port equals a number (`=`), or is one of those from or up to it (`>=`, `<=`)."""

    local: bool
    operator: str
    number: int
    kind: str = "port"


class HostCondition(NamedTuple):
    """An address has the first *prefix* bits of another one; a port, unless None, is equal.

    As inet_diag_bc_run() does it: an IPv4 address also fits the IPv6 one that maps it.
    """

    local: bool
    address: bytes  # 4 or 16 bytes in network order
    prefix: int
    port: int | None = None
    kind: str = "host"


class NameCondition(NamedTuple):
    """Something that has to be looked up: `dev`, `cgroup`, `user` or `netns` and its name.

    text[at:end] of the expression is the name.
    """

    what: str
    name: str
    at: int
    end: int
    kind: str = "named"


class DeviceCondition(NamedTuple):
    """The socket is bound to the device with this index."""

    ifindex: int
    kind: str = "dev"


class MarkCondition(NamedTuple):
    """The bits of the socket's mark (SO_MARK) that are in *mask* are *value*."""

    value: int
    mask: int
    kind: str = "fwmark"


class CgroupCondition(NamedTuple):
    """The socket was made in the cgroup with this id."""

    number: int
    kind: str = "cgroup"


class UserCondition(NamedTuple):
    """The socket is this user's; one without an inode is nobody's."""

    uid: int
    kind: str = "user"


class ProcessCondition(NamedTuple):
    """One of the socket's processes has this name, as it is shown or as it is."""

    name: str
    kind: str = "process"


class PidCondition(NamedTuple):
    """One of the socket's processes has this pid."""

    pid: int
    kind: str = "pid"


Leaf = Union[
    StatesCondition,
    PortCondition,
    HostCondition,
    NameCondition,
    DeviceCondition,
    MarkCondition,
    CgroupCondition,
    UserCondition,
    ProcessCondition,
    PidCondition,
]
"""A condition."""
Node = Union[Constant, And, Or, Not, Leaf]
"""An expression, or a part of one."""

TRUE, FALSE = Constant(True), Constant(False)
"""The expressions that match all sockets, and none."""

Replace = Callable[[Leaf, bool], Node]
"""Returns the node to take the place of a leaf; the second argument is False if that is negated."""


def leaves(node: Node) -> Iterator[Leaf]:
    """Yield the conditions of an expression, from left to right."""
    if isinstance(node, (And, Or, Not)):
        for part in node.parts:
            yield from leaves(part)
    elif not isinstance(node, Constant):
        yield node


def kinds(node: Node) -> frozenset[str]:
    """Return the kinds of an expression's conditions: `state`, `dev`, `process` and so on."""
    return frozenset(
        leaf.what if isinstance(leaf, NameCondition) else leaf.kind for leaf in leaves(node)
    )


def keep(leaf: Leaf, _positive: bool) -> Node:
    """Return *leaf*: the Replace that changes nothing."""
    return leaf


def rewrite(node: Node, replace: Replace = keep, *, positive: bool = True) -> Node:
    """Return *node*, or its negation unless *positive*, with negations at its leaves only.

    Each leaf gives way to what *replace* returns; there is no Constant in the result unless it is
    one itself.
    """
    if isinstance(node, Constant):
        return Constant(node.value == positive)
    if isinstance(node, Not):
        return rewrite(node.part, replace, positive=not positive)
    if isinstance(node, (And, Or)):
        parts = (rewrite(part, replace, positive=positive) for part in node.parts)
        return conjunction(parts) if isinstance(node, And) == positive else disjunction(parts)
    new = replace(node, positive)
    if isinstance(new, (Constant, And, Or, Not)):
        return rewrite(new, positive=positive)
    return new if positive else Not(new)


def conjunction(parts: Iterable[Node]) -> Node:
    """Return the simplest expression that holds where all *parts* do."""
    return _compound(And, parts, neutral=TRUE, deciding=FALSE)


def disjunction(parts: Iterable[Node]) -> Node:
    """Return the simplest expression that holds where one of *parts* does."""
    return _compound(Or, parts, neutral=FALSE, deciding=TRUE)


def _compound(
    kind: type[And | Or], parts: Iterable[Node], *, neutral: Constant, deciding: Constant
) -> Node:
    """Return the simplest expression of that *kind* of *parts*, without equal ones.

    *neutral* ones change nothing, and one that is *deciding* is all that counts.
    """
    found: dict[Node, None] = {}
    for part in parts:
        if part == deciding:
            return deciding
        if part != neutral:
            found.update(dict.fromkeys(part.parts if isinstance(part, kind) else (part,)))
    return kind(tuple(found)) if len(found) > 1 else next(iter(found), neutral)
