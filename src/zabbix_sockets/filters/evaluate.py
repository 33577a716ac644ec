"""Evaluator of an expression on rows of sockets. Pure.

It decides as inet_diag_bc_run() of net/ipv4/inet_diag.c does.
"""

from __future__ import annotations

import os
from _collections_abc import Callable, Container, Iterable, Mapping
from _socket import AF_INET

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
    PidCondition,
    PortCondition,
    ProcessCondition,
    StatesCondition,
    UserCondition,
)
from zabbix_sockets.model.addresses import IPV4_LENGTH, MAPPED_PREFIX
from zabbix_sockets.model.light_typing import Literal, NamedTuple
from zabbix_sockets.model.names import safe_name
from zabbix_sockets.model.owners import Owners
from zabbix_sockets.model.snapshot import Process
from zabbix_sockets.model.wire import Encoding, SocketRow

Test = Callable[[SocketRow, int, int], bool]
"""Whether a socket matches: its row, the id of its cgroup and its mark (0 where not known)."""


class OwnerMatcher:
    """Makes tests of sockets' inode numbers by their owners."""

    def __init__(self, owners: Owners) -> None:
        self._owners = owners

    def matching(self, matches: Callable[[Process], bool]) -> Callable[[int], bool]:
        """Return the test whether one of the owners of the socket with an inode number matches."""
        owners, known = self._owners, {0: False}
        number_of = owners.by_inode.get

        def is_matched(inode: int) -> bool:
            number = abs(number_of(inode, 0))  # a fold negates those it has counted
            found = known.get(number)
            if found is None:
                members = owners.members(number)
                found = known[number] = any(matches(owners.processes[at]) for at in members)
            return found

        return is_matched


class RowContext(NamedTuple):
    """The family and encoding of the rows of a table, and their owners."""

    family: int  # AF_INET or AF_INET6
    encoding: Encoding
    owners: OwnerMatcher


def compile_test(node: Node, context: RowContext) -> Test:
    """Return the test of an expression, without Named conditions, for the rows of *context*.

    Raises:
        TypeError: a condition is Named.
    """
    if isinstance(node, Constant):
        value = node.value
        return lambda _row, _cgroup, _mark: value
    if isinstance(node, Not):
        inner = compile_test(node.part, context)
        return lambda row, cgroup, mark: not inner(row, cgroup, mark)
    if isinstance(node, And):
        return _all(_tests_of_all(node.parts, context))
    if isinstance(node, Or):
        return _any(_tests_of_any(node.parts, context))
    return _leaf_test(node, context)


def _all(tests: list[Test]) -> Test:
    def test(row: SocketRow, cgroup: int, mark: int) -> bool:
        for each in tests:  # noqa: SIM110  # a generator for each socket costs more
            if not each(row, cgroup, mark):
                return False
        return True

    return test


def _any(tests: list[Test]) -> Test:
    def test(row: SocketRow, cgroup: int, mark: int) -> bool:
        for each in tests:  # noqa: SIM110  # a generator for each socket costs more
            if each(row, cgroup, mark):
                return True
        return False

    return test if len(tests) > 1 else tests[0]


def _tests_of_all(parts: Iterable[Node], context: RowContext) -> list[Test]:
    """Return tests that hold together where all *parts* do; one is for all negations among them."""
    tests, negated = [], []
    for part in parts:
        if isinstance(part, Not):
            negated.append(part.part)
        else:
            tests.append(compile_test(part, context))
    if negated:
        none_of = _any(_tests_of_any(negated, context))
        tests.append(lambda row, cgroup, mark: not none_of(row, cgroup, mark))
    return tests


def _tests_of_any(parts: Iterable[Node], context: RowContext) -> list[Test]:
    """Return tests of which one holds where one of *parts* does.

    All equal ports and addresses, of which there may be thousands, are in one test with a set.
    """
    tests = []
    ports: dict[bool, set[int]] = {}
    prefixes: dict[bool, dict[int, set[int]]] = {}
    for part in parts:
        if isinstance(part, PortCondition) and part.operator == "=":
            ports.setdefault(part.local, set()).add(context.encoding.port(part.number))
        elif isinstance(part, HostCondition) and part.port is None:
            found = _prefix(part, context.family)
            if found:
                shift, prefix = found
                prefixes.setdefault(part.local, {}).setdefault(shift, set()).add(prefix)
        else:
            tests.append(compile_test(part, context))
    for local, tokens in ports.items():
        tests.insert(0, _token_test(1 if local else 2, frozenset(tokens)))
    for local, by_shift in prefixes.items():
        tests.append(_address_test(3 if local else 4, by_shift, context))
    return tests or [lambda _row, _cgroup, _mark: False]


def _token_test(at: Literal[1, 2], tokens: frozenset[int]) -> Test:
    return lambda row, _cgroup, _mark: row[at] in tokens


def _address_test(
    at: Literal[3, 4], by_shift: Mapping[int, Container[int]], context: RowContext
) -> Test:
    """Return the test whether the address at row[*at*] begins with one of the prefixes *by_shift*.

    These are numbers, by how many bits of the address are behind them.
    """
    decode = context.encoding.address
    prefixes = tuple(by_shift.items())

    def test(row: SocketRow, _cgroup: int, _mark: int) -> bool:
        number = int.from_bytes(decode(row[at]), "big")
        for shift, known in prefixes:  # noqa: SIM110  # a generator for each socket costs more
            if number >> shift in known:
                return True
        return False

    return test


def _prefix(host: HostCondition, family: int) -> tuple[int, int] | None:
    """Return how many bits of an address of *family* follow the prefix, and the prefix's number.

    None: no address of that family matches.
    """
    address, length = host.address, host.prefix
    if len(address) == IPV4_LENGTH and family != AF_INET:
        address, length = MAPPED_PREFIX + address, length + len(MAPPED_PREFIX) * 8
    elif len(address) != IPV4_LENGTH and family == AF_INET:
        return None
    shift = len(address) * 8 - length
    return shift, int.from_bytes(address, "big") >> shift


def _leaf_test(leaf: Leaf, context: RowContext) -> Test:
    """Return the test of one condition."""
    if isinstance(leaf, StatesCondition):
        mask = leaf.mask
        return lambda row, _cgroup, _mark: bool(mask >> row[0] & 1)
    if isinstance(leaf, PortCondition):
        return _port_test(1 if leaf.local else 2, leaf.operator, leaf.number, context.encoding)
    if isinstance(leaf, HostCondition):
        return _host_test(leaf, context)
    if isinstance(leaf, DeviceCondition):
        ifindex = leaf.ifindex
        return lambda row, _cgroup, _mark: row[5] == ifindex
    return _fact_test(leaf, context)


def _fact_test(leaf: Leaf, context: RowContext) -> Test:
    """Return the test of a condition on the mark, the cgroup, the user or the owners."""
    if isinstance(leaf, MarkCondition):
        value, bits = leaf.value, leaf.mask
        return lambda _row, _cgroup, mark: mark & bits == value
    if isinstance(leaf, CgroupCondition):
        number = leaf.number
        return lambda _row, cgroup, _mark: cgroup == number
    if isinstance(leaf, UserCondition):
        uid = leaf.uid
        return lambda row, _cgroup, _mark: row[8] == uid and row[9] != 0
    return _owner_test(leaf, context.owners)


def _owner_test(leaf: Leaf, owners: OwnerMatcher) -> Test:
    """Return the test of a condition on the owners."""
    if isinstance(leaf, ProcessCondition):
        names = leaf.name, safe_name(os.fsencode(leaf.name))
        is_matched = owners.matching(lambda process: process.name in names)
    elif isinstance(leaf, PidCondition):
        pid = leaf.pid
        is_matched = owners.matching(lambda process: process.pid == pid)
    else:
        raise TypeError(f"{leaf!r} has not been looked up")
    return lambda row, _cgroup, _mark: is_matched(row[9])


def _port_test(at: Literal[1, 2], operator: str, number: int, encoding: Encoding) -> Test:
    port = encoding.port
    if operator == "=":
        token = port(number)  # its own inverse
        return lambda row, _cgroup, _mark: row[at] == token
    if operator == ">=":
        return lambda row, _cgroup, _mark: port(row[at]) >= number
    return lambda row, _cgroup, _mark: port(row[at]) <= number


def _host_test(host: HostCondition, context: RowContext) -> Test:
    found = _prefix(host, context.family)
    if not found:
        return lambda _row, _cgroup, _mark: False
    shift, prefix = found
    is_there = _address_test(3 if host.local else 4, {shift: (prefix,)}, context)
    if host.port is None:
        return is_there
    at: Literal[1, 2] = 1 if host.local else 2
    token = context.encoding.port(host.port)
    return lambda row, cgroup, mark: row[at] == token and is_there(row, cgroup, mark)
