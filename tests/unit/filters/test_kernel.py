"""What the kernel is asked for: valid programs that let everything through that fits."""

import socket
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zabbix_sockets.filters.bytecode import MAX_BYTES, assemble
from zabbix_sockets.filters.evaluate import OwnerMatcher, RowContext, compile_test
from zabbix_sockets.filters.kernel import dump_for, in_table, weakened
from zabbix_sockets.filters.parser import parse
from zabbix_sockets.filters.terms import (
    And,
    Constant,
    HostCondition,
    Node,
    Not,
    Or,
    PidCondition,
    PortCondition,
    StatesCondition,
    rewrite,
)
from zabbix_sockets.model.owners import Owners
from zabbix_sockets.model.snapshot import Process
from zabbix_sockets.readers.sock_diag.messages import ENCODING

from .trees import AF_INET, AF_INET6, KERNEL_LEAVES, LEAVES, MAPPED, check, rows, run, trees

FAMILIES = st.sampled_from([AF_INET, AF_INET6])
TCP = 0xFFF & ~(1 << 7 | 1)


def reading(family: int) -> RowContext:
    """Return a reading in which inode 1 is one's, 2 two's, and 3 both's."""
    owners = Owners()
    owners.add(Process(1, "one"), [1, 3])
    owners.add(Process(2, "two"), [2, 3])
    return RowContext(family, ENCODING, OwnerMatcher(owners))


@given(st.data(), FAMILIES, trees(KERNEL_LEAVES))
def test_program_decides_as_the_evaluation(data: st.DataObject, family: int, node: Node) -> None:
    """The bytecode, interpreted as the kernel does, and the evaluation agree on each socket."""
    node = in_table(node, family)
    if isinstance(node, Constant):
        return
    program = assemble(node)
    assert program
    check(program)
    test = compile_test(node, reading(family))
    for socket_ in data.draw(st.lists(rows(family), min_size=1, max_size=20)):
        assert run(program, family, *socket_) == test(*socket_)


@given(st.data(), FAMILIES, trees(LEAVES))
def test_dump_lets_all_through_that_fits(data: st.DataObject, family: int, node: Node) -> None:
    """An exact dump holds those that fit, any other one these and maybe more."""
    dump = dump_for(in_table(node, family), TCP)
    assert not dump.states & ~TCP
    if dump.program:
        check(dump.program)
    test = compile_test(node, reading(family))
    for row, cgroup, mark in data.draw(st.lists(rows(family), min_size=1, max_size=20)):
        if TCP >> row[0] & 1:
            comes = bool(dump.states >> row[0] & 1)
            comes = comes and (not dump.program or run(dump.program, family, row, cgroup, mark))
            fits = test(row, cgroup, mark)
            assert comes == fits if dump.exact else comes or not fits


@given(st.data(), FAMILIES, trees(LEAVES))
def test_rewriting_changes_nothing(data: st.DataObject, family: int, node: Node) -> None:
    """Negations at the leaves, without constants, mean the same; so does a double negation."""
    tests = [
        compile_test(each, reading(family))
        for each in (
            node,
            rewrite(node),
            Not(rewrite(node, positive=False)),
            in_table(node, family),
        )
    ]
    wider = compile_test(weakened(node, frozenset(("pid", "process"))), reading(family))
    for socket_ in data.draw(st.lists(rows(family), min_size=1, max_size=20)):
        assert len({test(*socket_) for test in tests}) == 1
        assert wider(*socket_) or not tests[0](*socket_)


def test_long_program_is_left_to_the_evaluation() -> None:
    """Thousands of ports are not for the kernel, which asks one after the other."""
    many: Node = Or(tuple(PortCondition(True, "=", port) for port in range(5000)))
    assert dump_for(many, TCP) == (TCP, b"", False)
    few = dump_for(
        Or(tuple(PortCondition(True, "=", port) for port in range(MAX_BYTES // 13))), TCP
    )
    assert few.exact
    assert 0 < len(few.program) <= MAX_BYTES
    check(few.program)
    test = compile_test(many, reading(AF_INET))
    row = (1, socket.htons(4999), 0, bytes(4), bytes(4), 0, 0, 0, 0, 0)
    assert test(row, 0, 0)
    assert not test((1, socket.htons(5000), *row[2:]), 0, 0)


@pytest.mark.parametrize(
    ("text", "states", "program", "exact"),
    [
        ("state established", 1 << 1, False, True),
        ("state established sport 1", 1 << 1, True, True),
        ("state established and pid 1", 1 << 1, False, False),
        ("(state listen and sport 1) or state established", 1 << 1 | 1 << 10, False, False),
        ("(state listen and sport 1) or (state established and dport 2)", 1026, True, False),
        ("pid 1 and sport 1", TCP, True, False),
        ("pid 1 or sport 1", TCP, False, False),
        ("not (pid 1 or sport 1)", TCP, True, False),
        ("not state all", 0, False, True),
        ("sport 1 and not sport 1", TCP, True, True),
    ],
)
def test_what_the_kernel_is_asked(text: str, states: int, program: bool, exact: bool) -> None:
    """As much as it can decide, by states and by a program."""
    dump = dump_for(rewrite(parse(text).node), TCP)
    assert (dump.states, bool(dump.program), dump.exact) == (states, program, exact)


@pytest.mark.parametrize("family", [AF_INET, AF_INET6])
@pytest.mark.parametrize("negated", [False, True])
def test_thousands_of_conditions(family: int, negated: bool) -> None:
    """Ports and networks are looked up, not compared one after the other."""
    ports = (PortCondition(False, "=", port) for port in range(1, 20_000, 2))
    networks = (
        HostCondition(True, bytes((10, at // 256, at % 256, 0)), 24 + at % 8)
        for at in range(20_000)
    )
    many: Node = Or((*ports, *networks))
    node = Not(many) if negated else many
    test = compile_test(rewrite(in_table(node, family)), reading(family))
    mapped = MAPPED if family == AF_INET6 else b""
    started = process_time()
    for number in range(2000):
        local = mapped + bytes((10, number % 100, number % 256, 0))
        row = (1, 0, socket.htons(20_000), local, mapped + bytes(4), 0, 0, 0, 0, 0)
        fits = number % 100 * 256 + number % 256 < 20_000
        assert test(row, 0, 0) == (fits != negated)
    assert process_time() - started < 2  # one after the other takes a minute


def test_ownerless_sockets_are_nobodys() -> None:
    """A socket without an inode has no process and no user; so `not` holds for it."""
    row = (6, 0, 0, bytes(4), bytes(4), 0, 0, 0, 0, 0)
    for text, fits in (("user 0", False), ("not user 0", True), ("pid 1", False)):
        assert compile_test(parse(text).node, reading(AF_INET))(row, 0, 0) is fits


def test_names_are_raw_or_shown() -> None:
    """A process is found by its name as it is shown, and as it is."""
    owners = Owners()
    owners.add(Process(7, "a%22b"), [1])
    view = RowContext(AF_INET, ENCODING, OwnerMatcher(owners))
    row = (1, 0, 0, bytes(4), bytes(4), 0, 0, 0, 0, 1)
    for name in ("'a\"b'", "a%22b"):
        assert compile_test(parse(f"process {name}").node, view)(row, 0, 0)


def test_equal_fields_are_not_equal_conditions() -> None:
    """What tells conditions apart is their kind, too."""
    parts = (PidCondition(1), PidCondition(2))
    assert len({And(parts), Or(parts)}) == 2
    assert len({StatesCondition(1), PidCondition(1)}) == 2
