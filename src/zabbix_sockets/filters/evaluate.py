"""An expression, evaluated here on what a source tells of a socket. Pure.

It decides as inet_diag_bc_run() of net/ipv4/inet_diag.c does.
"""

import os
from _socket import AF_INET
from collections.abc import Callable, Container, Iterable, Mapping
from typing import Literal, NamedTuple

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
    Pid,
    Port,
    ProcessName,
    States,
    User,
)
from zabbix_sockets.model.addresses import MAPPED, family_of
from zabbix_sockets.model.names import safe_name
from zabbix_sockets.model.owners import Owners
from zabbix_sockets.model.snapshot import Process
from zabbix_sockets.model.wire import Encoding, Row

Test = Callable[[Row, int, int], bool]
"""Whether a row fits, with the id of its cgroup and its mark."""


class Holders:
    """Which sockets have an owner that fits."""

    def __init__(self, owners: Owners) -> None:
        self._owners = owners

    def having(self, fits: Callable[[Process], bool]) -> Callable[[int], bool]:
        """Return what tells of an inode whether one of its owners fits."""
        owners, known = self._owners, {0: False}
        number_of = owners.by_inode.get

        def holds(inode: int) -> bool:
            number = abs(number_of(inode, 0))  # negated: counted, see fold
            found = known.get(number)
            if found is None:
                members = owners.members(number)
                found = known[number] = any(fits(owners.processes[at]) for at in members)
            return found

        return holds


class Reading(NamedTuple):
    """How rows are to be understood: their table's family and encoding, and their owners."""

    family: int
    encoding: Encoding
    holders: Holders


def compile_test(node: Node, reading: Reading) -> Test:
    """Return the test of an expression whose names have been looked up."""
    match node:
        case Constant(value):
            return lambda _row, _cgroup, _mark: value
        case Not(part):
            inner = compile_test(part, reading)
            return lambda row, cgroup, mark: not inner(row, cgroup, mark)
        case And(parts):
            return _all(_tests_of_all(parts, reading))
        case Or(parts):
            return _any(_tests_of_any(parts, reading))
    return _leaf_test(node, reading)


def _all(tests: list[Test]) -> Test:
    def test(row: Row, cgroup: int, mark: int) -> bool:
        for each in tests:  # noqa: SIM110  # a generator for each socket costs more
            if not each(row, cgroup, mark):
                return False
        return True

    return test


def _any(tests: list[Test]) -> Test:
    def test(row: Row, cgroup: int, mark: int) -> bool:
        for each in tests:  # noqa: SIM110  # a generator for each socket costs more
            if each(row, cgroup, mark):
                return True
        return False

    return test if len(tests) > 1 else tests[0]


def _tests_of_all(parts: Iterable[Node], reading: Reading) -> list[Test]:
    """Return the tests of what must hold together; what must not is asked for at once."""
    tests, negated = [], []
    for part in parts:
        if isinstance(part, Not):
            negated.append(part.part)
        else:
            tests.append(compile_test(part, reading))
    if negated:
        none_of = _any(_tests_of_any(negated, reading))
        tests.append(lambda row, cgroup, mark: not none_of(row, cgroup, mark))
    return tests


def _tests_of_any(parts: Iterable[Node], reading: Reading) -> list[Test]:
    """Return the tests of alternatives; ports and addresses, maybe thousands, are in sets."""
    tests = []
    ports: dict[bool, set[int]] = {}
    starts: dict[bool, dict[int, set[int]]] = {}
    for part in parts:
        if isinstance(part, Port) and part.operator == "=":
            ports.setdefault(part.local, set()).add(reading.encoding.port(part.number))
        elif isinstance(part, Host) and part.port is None:
            found = _start(part, reading.family)
            if found:
                shift, start = found
                starts.setdefault(part.local, {}).setdefault(shift, set()).add(start)
        else:
            tests.append(compile_test(part, reading))
    for local, tokens in ports.items():
        tests.insert(0, _token_test(1 if local else 2, frozenset(tokens)))
    for local, by_shift in starts.items():
        tests.append(_address_test(3 if local else 4, by_shift, reading))
    return tests or [lambda _row, _cgroup, _mark: False]


def _token_test(at: Literal[1, 2], tokens: frozenset[int]) -> Test:
    return lambda row, _cgroup, _mark: row[at] in tokens


def _address_test(
    at: Literal[3, 4], by_shift: Mapping[int, Container[int]], reading: Reading
) -> Test:
    """Return the test of an address, whose start is known by how many bits are behind it."""
    decode = reading.encoding.address
    starts = tuple(by_shift.items())

    def test(row: Row, _cgroup: int, _mark: int) -> bool:
        number = int.from_bytes(decode(row[at]))
        for shift, known in starts:  # noqa: SIM110  # a generator for each socket costs more
            if number >> shift in known:
                return True
        return False

    return test


def _start(host: Host, family: int) -> tuple[int, int] | None:
    """Return how many bits of an address of *family* don't matter, and the others as a number.

    None: no address of that family fits.
    """
    wanted, prefix = host.address, host.prefix
    if family_of(wanted) == AF_INET and family != AF_INET:
        wanted, prefix = MAPPED + wanted, prefix + len(MAPPED) * 8
    elif family_of(wanted) != AF_INET and family == AF_INET:
        return None
    shift = len(wanted) * 8 - prefix
    return shift, int.from_bytes(wanted) >> shift


def _leaf_test(leaf: Leaf, reading: Reading) -> Test:
    """Return the test of a condition that is about the row alone."""
    match leaf:
        case States(mask):
            return lambda row, _cgroup, _mark: bool(mask >> row[0] & 1)
        case Port(local, operator, number):
            return _port_test(1 if local else 2, operator, number, reading.encoding)
        case Host():
            return _host_test(leaf, reading)
        case Device(ifindex):
            return lambda row, _cgroup, _mark: row[5] == ifindex
    return _fact_test(leaf, reading)


def _fact_test(leaf: Leaf, reading: Reading) -> Test:
    """Return the test of a condition that is about what a row is told with, or its owners."""
    match leaf:
        case Mark(value, mask):
            return lambda _row, _cgroup, mark: mark & mask == value
        case Cgroup(number):
            return lambda _row, cgroup, _mark: cgroup == number
        case User(uid):
            return lambda row, _cgroup, _mark: row[8] == uid and row[9] != 0
    return _owner_test(leaf, reading.holders)


def _owner_test(leaf: Leaf, holders: Holders) -> Test:
    match leaf:
        case ProcessName(name):
            names = name, safe_name(os.fsencode(name))
            holds = holders.having(lambda process: process.name in names)
        case Pid(pid):
            holds = holders.having(lambda process: process.pid == pid)
        case _:
            raise TypeError(f"{leaf!r} has not been looked up")
    return lambda row, _cgroup, _mark: holds(row[9])


def _port_test(at: Literal[1, 2], operator: str, number: int, encoding: Encoding) -> Test:
    port = encoding.port
    if operator == "=":
        token = port(number)  # its own inverse
        return lambda row, _cgroup, _mark: row[at] == token
    if operator == ">=":
        return lambda row, _cgroup, _mark: port(row[at]) >= number
    return lambda row, _cgroup, _mark: port(row[at]) <= number


def _host_test(host: Host, reading: Reading) -> Test:
    found = _start(host, reading.family)
    if not found:
        return lambda _row, _cgroup, _mark: False
    shift, start = found
    fits = _address_test(3 if host.local else 4, {shift: (start,)}, reading)
    if host.port is None:
        return fits
    at: Literal[1, 2] = 1 if host.local else 2
    token = reading.encoding.port(host.port)
    return lambda row, cgroup, mark: row[at] == token and fits(row, cgroup, mark)
