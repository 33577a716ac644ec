"""Filters: the kernel, ss(8) and the evaluation here choose the same sockets."""

import os
import socket
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import netns
import pytest
import rounds
import ss
import zoo
from cgroups import find_root, made
from children import Child, run_as
from expressions import Expressions, Values, states_of

from zabbix_sockets import Query, collect, iter_sockets
from zabbix_sockets.collector.filtered import selection
from zabbix_sockets.filters.kernel import Dump
from zabbix_sockets.model.errors import ParseError, SocketsError, SourceUnavailableError
from zabbix_sockets.model.owners import Owners
from zabbix_sockets.readers import netlink

SEEDS = range(8)
SO_MARK = 36
SOURCES = ("sock_diag", "bpf", "procfs")
WORDS = {"established": "ESTAB", "closed": "UNCONN", "listening": "LISTEN"}
End = tuple[str, int]
Key = tuple[str, str, End, End, int, str]


def crowd() -> None:
    """Hold a few hundred sockets of all kinds, some with marks, some bound to devices."""
    zoo.everything()
    dual = zoo.listener("::")
    dual.setsockopt(socket.IPPROTO_TCP, zoo.TCP_DEFER_ACCEPT, 60)
    for address in ("127.0.0.1", "::1"):  # SYN_RECV
        zoo.connect(dual, address)
    for at, address in enumerate(("127.0.0.1", "127.0.1.1", "::1", "0.0.0.0", "::", zoo.MAPPED)):
        server = zoo.listener(address, 5000 + at, 64)
        for number in range(12):
            to = {"0.0.0.0": f"127.0.3.{number + 1}", "::": ("127.0.4.4", "::1")[number % 2]}
            zoo.pair(server, to.get(address, ""))
        zoo.udp_bound(address, 6000 + at)
        for _ in range(4):
            zoo.udp_pair({"0.0.0.0": "127.0.0.9", "::": "::1"}.get(address, address))
    for number in range(8):
        marked = zoo.udp_bound("127.0.0.1", 7000 + number, ("lo", "veth0", "veth1", "")[number % 4])
        marked.setsockopt(socket.SOL_SOCKET, SO_MARK, number % 5)
    server = zoo.listener("127.0.5.1", 5100)
    server.setsockopt(socket.SOL_SOCKET, SO_MARK, 2)
    for number in range(20):
        client = zoo.hold(socket.socket())
        client.setsockopt(socket.SOL_SOCKET, SO_MARK, number % 4)
        if number % 3 == 0:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
        client.connect(server.getsockname())
        accepted = server.accept()[0]
        (accepted.close if number % 5 == 0 else lambda kept=accepted: zoo.hold(kept))()
        if number % 4 == 0:
            client.close()
    server = zoo.listener("::1", 5101)
    for _ in range(6):  # TIME_WAIT
        client, accepted = zoo.pair(server)
        client.close()
        accepted.close()


@pytest.fixture
def refusals(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return what the kernel refuses from now on."""
    found: list[int] = []

    def refused(number: int) -> SourceUnavailableError:
        found.append(number)
        return SourceUnavailableError(f"refused: {number}")

    monkeypatch.setattr(netlink, "_refusal", refused)
    return found


def decided_here(expression: str) -> list[Key]:
    """Return the sockets that fit, of all that the kernel has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selection, "dump_for", lambda _node, states: Dump(states, b"", exact=False))
        return matching_sockets(expression)


def matching_sockets(expression: str, source: str = "sock_diag") -> list[Key]:
    """Return the sockets that fit, as a source has them."""
    query = Query(source, 30, netns="own", filter=expression)
    return sorted(key(ss.as_ss(each)) for each in iter_sockets(query))


def key(found: ss.SsSocket) -> Key:
    """Return what tells a socket from others."""
    return found.protocol, found.state, found.local, found.remote, found.inode, found.device


def matching_by_ss(expression: str) -> list[Key]:
    """Return the sockets that ss shows."""
    command = ["ss", "-tuaneHO", *expression.split()]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    states = states_of(expression)
    lines = answer.stdout.splitlines()
    if len(states) == 1:  # it doesn't show the only state
        word = WORDS.get(*states, *states).upper()
        lines = [line.replace(" ", f" {word} ", 1) for line in lines]
    lines = [line for line in lines if line.split()[:2] != ["tcp", "UNCONN"]]
    return sorted(key(ss.parse(line)) for line in lines)


def agreed(*choices: Callable[[], list[Any]]) -> list[list[Any]]:
    """Return what each chooses, of a moment in which nothing changed if there is one."""
    for _ in range(3):
        found = [choose() for choose in choices]
        if all(each == found[0] for each in found):
            break
    return found


def values(*, facts: bool = True) -> Values:
    """Return ports and addresses of the sockets that there are."""
    keys = matching_sockets("")
    ends = {end for each in keys for end in (each[2], each[3])}
    assert len(keys) > 250
    ports = sorted({port for _, port in ends})
    addresses = sorted({address for address, _ in ends})
    devices = ("lo", "veth0", "veth1") if facts else ()
    return Values(ports, addresses, devices, range(5) if facts else ())


@pytest.fixture
def group() -> Iterator[str]:
    """Return the path of a cgroup in which sockets were made; empty without cgroup v2."""
    root = find_root()
    if not root:
        yield ""
        return

    def work() -> object:
        (folder / "cgroup.procs").write_text(str(os.getpid()), "utf-8")
        server = zoo.listener(port=7100)
        return [zoo.pair(server), zoo.udp_bound("::1", 7101)]

    with made(folder := root / f"zabbix-sockets-filter-{os.getpid()}"), Child(work, b"grouped"):
        yield str(folder)


@pytest.mark.rounds
@pytest.mark.parametrize("seed", SEEDS)
def test_agrees_with_ss(
    seed: int, refusals: list[int], group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random expressions choose what ss shows, decided by the kernel and decided here."""
    crowd()
    monkeypatch.setattr("zabbix_sockets.collector.single.walk", lambda *_: Owners())
    there = values()._replace(cgroups=(group, str(find_root())) if group else ())
    numbers = range(seed * 10_000, seed * 10_000 + rounds.EXPRESSIONS)
    expressions = {each: Expressions(each, there, for_ss=True).whole() for each in numbers}
    kept = 0
    for number, expression in expressions.items():
        choices = (
            partial(each, expression) for each in (matching_by_ss, matching_sockets, decided_here)
        )
        shown, kernel, here = agreed(*choices)
        assert kernel == shown, f"seed {number}: {expression}"
        assert here == shown, f"decided here, seed {number}: {expression}"
        kept += bool(shown)
    assert not refusals
    assert kept > rounds.EXPRESSIONS / 4


@pytest.mark.rounds
def test_sources_agree(pins: str, refusals: list[int]) -> None:
    """Conditions of all kinds, states anywhere: each source chooses the same sockets."""
    crowd()
    others = (
        *("process python3", f"pid {os.getpid()}", "user root", "user 4711", "netns own"),
        *("netns nowhere", "process '' ", "not netns own", f"not pid {os.getpid()}"),
    )
    there = values(facts=False)._replace(others=others)
    for expression in (Expressions(number, there).any() for number in range(rounds.EXPRESSIONS)):
        choices = [partial(matching_without_device, expression, each, pins) for each in SOURCES]
        choices.append(partial(decided_here_without_device, expression))
        kernel, iterators, procfs, here = agreed(*choices)
        assert kernel == iterators == procfs == here, expression
    assert not refusals


def decided_here_without_device(expression: str) -> list[Key]:
    """Return the sockets that fit, of all that the kernel has, as procfs can have them."""
    return sorted((*each[:-1], "") for each in decided_here(expression))


def matching_without_device(expression: str, source: str, pins: str = "") -> list[Key]:
    """Return the sockets that fit, as procfs can have them."""
    query = Query(source, 30, pins=pins, netns="own", filter=expression)
    return sorted(key(ss.as_ss(each, backlog=False, device=False)) for each in iter_sockets(query))


@pytest.mark.parametrize("source", SOURCES)
def test_owners(source: str, pins: str) -> None:
    """Sockets by their processes' names and numbers, shared ones by each of them."""
    server = zoo.listener(port=7001)
    with Child(lambda: (server, zoo.listener(port=7003)), b"a b") as child:
        zoo.udp_bound(port=7002)
        ports = partial(matching_ports, source=source, pins=pins)
        assert ports("process 'a b'") == {7001, 7003}
        assert ports(f"pid {child.pid}") == {7001, 7003}
        assert ports(f"pid {os.getpid()}") == {7001, 7002}
        assert ports(f"pid {os.getpid()} and not process 'a b'") == {7002}
        assert ports("process 'a b' or sport 7002") == {7001, 7002, 7003}
        assert ports("process a") == set()
        assert ports("not process 'a b' state listen") == set()


@pytest.mark.parametrize("source", SOURCES)
def test_users(source: str, pins: str) -> None:
    """Sockets by their users' names and numbers; those without an inode are nobody's."""
    zoo.time_wait()
    zoo.listener(port=7001)

    def work() -> object:
        os.setresuid(65534, 65534, 65534)
        return zoo.listener(port=7003)

    with Child(work):
        ports = partial(matching_ports, source=source, pins=pins)
        assert ports("user nobody") == ports("user 65534") == {7003}
        assert 7001 in ports("user root")
        assert ports("user root state time-wait") == set()
        assert ports("user != root sport 7000") == set()
        assert ports("user != root state time-wait")


@pytest.mark.parametrize("source", SOURCES)
def test_namespaces(source: str, pins: str) -> None:
    """Sockets by the name of their network namespace, from wherever all are read."""
    name = f"filter{os.getpid()}"
    zoo.listener(port=7001)

    def work() -> object:
        netns.enter(netns.path_of(name))
        return zoo.listener(port=7004)

    with netns.named(name), Child(work):
        ends = partial(
            matching_endpoints, source=source, pins=pins
        )  # other programs' may come, too
        there, here = f"{name} (net:[{os.stat(netns.path_of(name)).st_ino}])", ""
        assert ends(f"netns {name}") == {(there, 7004)}
        assert ends(f"netns {name} or sport 7001") >= {(there, 7004), (here, 7001)}
        assert there not in {place for place, _ in ends(f"not netns {name}")}
        assert ends("netns own sport 7001") == {(here, 7001)}
        assert ends("dev lo and netns own", source="sock_diag") == set()
        snapshot = collect(Query(source, 30, pins=pins, filter=f"netns {name}"))
        assert [each.port for each in snapshot.listeners] == [7004]


def matching_endpoints(expression: str, **options: str) -> set[tuple[str, int]]:
    """Return namespaces and local ports of the sockets that fit, of all namespaces."""
    query = Query(options["source"], 30, pins=options["pins"], filter=expression)
    return {(each.netns, each.local_port) for each in iter_sockets(query)}


def matching_ports(expression: str, **options: str) -> set[int]:
    """Return the local ports of the sockets that fit."""
    query = Query(options["source"], 30, pins=options["pins"], netns="own", filter=expression)
    return {each.local_port for each in iter_sockets(query)}


@pytest.mark.parametrize("condition", ["dev lo", "fwmark 1", "cgroup /"])
def test_procfs_says_what_it_cannot_know(condition: str) -> None:
    """Rather an error than sockets that may be others."""
    if condition.startswith("cgroup") and not find_root():
        pytest.skip("no cgroup v2")
    zoo.listener()
    kind, _ = condition.split()
    with pytest.raises(SocketsError, match=f"procfs.*{kind} can't be decided"):
        matching_sockets(condition, "procfs")
    assert matching_sockets(f"{condition} and not state all", "procfs") == []


@pytest.mark.parametrize("expression", ["fwmark 1", "sport 1 or not fwmark = 1/3"])
def test_marks_take_a_capability(expression: str) -> None:
    """Without CAP_NET_ADMIN there is an error that names it, not an empty answer."""
    marked = zoo.listener()
    marked.setsockopt(socket.SOL_SOCKET, SO_MARK, 1)
    assert matching_sockets("fwmark 1")
    assert matching_sockets("process '' or fwmark 1")

    def ask() -> str:
        try:
            return f"answered {matching_sockets(expression)}"
        except SocketsError as error:
            return str(error)

    assert "CAP_NET_ADMIN" in str(run_as(65534, ask))


def test_unseen_owners_are_an_error() -> None:
    """Who may not see the processes learns so, but for sockets that are decided without."""

    def ask(expression: str) -> str:
        try:
            return str([each[2] for each in matching_sockets(expression)])
        except SocketsError as error:
            return str(error)

    def asked(expression: str) -> str:
        return str(run_as(65534, partial(ask, expression)))

    with Child(lambda: (zoo.listener(port=7001), zoo.listener(port=7002))):
        for expression in ("process x", "not process x", "pid 1 or sport 7002"):
            assert "processes can't be seen" in asked(expression)
        assert asked("pid 1 and sport 7009") == "[]"
        assert asked("pid 1 or sport > 7000") == asked("sport > 7000") != "[]"


def test_snapshot_is_of_what_fits(pins: str) -> None:
    """Counted is what fits; directions are as if all had been read."""
    server = zoo.listener(port=7001)
    zoo.pair(server)
    client, _ = zoo.pair(server)
    for source in SOURCES:
        query = Query(source, 30, pins=pins, netns="own", filter="state established")
        snapshot = collect(query)
        assert snapshot.visibility.source == source
        assert not snapshot.listeners
        sums = Counter[str]()
        for each, count in snapshot.connections.items():
            sums[each.direction] += count
        assert sums == {"inbound": 2, "outbound": 2}
        holders = {each.owner for each in snapshot.connections}
        pids = {snapshot.processes[at].pid for each in holders for at in snapshot.owners[each]}
        assert pids == {os.getpid()}
        one = collect(query._replace(filter=f"sport {zoo.port_of(client)}"))
        assert list(one.connections.values()) == [1]
        assert {each.direction for each in one.connections} == {"outbound"}


def test_owners_by_cgroup(group: str) -> None:
    """Who may not walk has the units of what fits all the same."""
    if not group:
        pytest.skip("no cgroup v2")

    def ask(expression: str) -> list[object]:
        needs = frozenset(("unit",))
        snapshot = collect(Query("sock_diag", 30, netns="own", needs=needs, filter=expression))
        counted = len(snapshot.listeners) + sum(snapshot.connections.values())
        return [snapshot.visibility.ownership, counted, len(snapshot.owners)]

    assert run_as(65534, partial(ask, "sport 7100")) == ["cgroups", 2, 1]
    assert run_as(65534, partial(ask, "pid 1 or sport 7100")) == ["descriptors", 2, 0]


def test_failing_iterator_is_replaced(pins: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The owners are from /proc then, and the answer says so."""

    def fail(*_: object) -> Owners:
        raise ParseError("BPF iterator", b"")

    monkeypatch.setattr("zabbix_sockets.collector.iterator.record_owners._owners", fail)
    server = zoo.listener()
    snapshot = collect(Query(None, 30, pins=pins, netns="own", filter="state listen"))
    assert snapshot.visibility.source == "sock_diag"
    assert "iterator failed" in snapshot.visibility.reason
    (found,) = snapshot.listeners
    assert found.port == zoo.port_of(server)
    holders = [snapshot.processes[at].pid for at in snapshot.owners[found.owner]]
    assert holders == [os.getpid()]
