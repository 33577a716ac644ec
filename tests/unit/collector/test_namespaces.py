"""Which network namespaces there are and what they are called, from a /proc made of files."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zabbix_sockets.collector.call_context import CallContext
from zabbix_sockets.collector.namespaces import (
    FoundNamespace,
    describe,
    describe_idle,
    device_names,
    find,
    find_or_warn,
    in_fair_order,
    is_own,
    namespaces_of,
    select,
)
from zabbix_sockets.collector.places import Places
from zabbix_sockets.collector.sources import Plan
from zabbix_sockets.collector.table_readers import TableReaders
from zabbix_sockets.collector.visits import ways_into
from zabbix_sockets.model import gaps
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import DeadlineError, SocketsError
from zabbix_sockets.model.gaps import Gap
from zabbix_sockets.model.placement import Container
from zabbix_sockets.model.snapshot import Namespace, Visibility
from zabbix_sockets.readers.proc.mounts import Mounts
from zabbix_sockets.readers.proc.net_tables import ProcTables

from ..proctree import ProcTree, key_of, number_of  # noqa: TID252  # a test folder is no package

TIME = Deadline(1e6)
ID = "3f4e1c0b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f00f"
DOCKER = f"/system.slice/docker-{ID}.scope"
GENERATED = "3b1f7a52-9c4e-4d1c-8a55-0f6e3c2b1a90"

Joins = Callable[..., Path]


@pytest.fixture
def proc(tmp_path: Path) -> ProcTree:
    """A /proc whose process 1 is in the caller's own namespace."""
    proc = ProcTree(tmp_path)
    proc.join(1, proc.own)
    return proc


@pytest.fixture
def with_processes(proc: ProcTree) -> Joins:
    """Return what adds a namespace with processes, by pid and cgroup, the oldest first."""

    def add(name: str, cgroups: dict[int, str], *secret: int) -> Path:
        netns = proc.add_netns(name)
        for at, (pid, cgroup) in enumerate(cgroups.items()):
            folder = proc.add(pid, b"nginx", age=3600.0 - at)
            (folder / "cgroup").write_text(f"0::{cgroup}\n")
            proc.join(pid, netns, secret=pid in secret)
        return netns

    return add


def places_of(proc: ProcTree, deadline: Deadline = TIME) -> Places:
    """Return where processes belong, as a call finds out."""
    return CallContext(str(proc), deadline).once(Places)


def found_in(proc: ProcTree) -> dict[int, FoundNamespace]:
    """Return what is found, by numbers; pids in order."""
    found, _ = find(Mounts(str(proc), TIME), TIME)
    assert len({each.number for each in found}) == len(found)
    return {each.number: each for each in found}


def test_own_is_not_found(proc: ProcTree) -> None:
    """The caller's namespace is none of the others, also if it is mounted."""
    proc.mount_netns(proc.own, "/run/netns/own")
    assert found_in(proc) == {}


def test_processes_of_a_namespace(proc: ProcTree, with_processes: Joins) -> None:
    """Each namespace is found once, with all its processes; hidden ones are passed over."""
    web = with_processes("web", {30: "/", 31: "/", 32: "/"})
    db = with_processes("db", {40: "/"})
    proc.add(50, b"hidden")
    found = found_in(proc)
    assert found.keys() == {number_of(web), number_of(db)}
    assert sorted(found[number_of(web)].pids) == [30, 31, 32]
    assert found[number_of(db)] == FoundNamespace(number_of(db), (40,))


def test_secret_number(proc: ProcTree, with_processes: Joins) -> None:
    """Without privilege a namespace has the number of its files; one process's word is enough."""
    web = with_processes("web", {30: "/", 31: "/"}, 30, 31)
    db = with_processes("db", {40: "/", 41: "/"}, 40)
    found = found_in(proc)
    assert found.keys() == {key_of(web), number_of(db)}
    assert not found[key_of(web)].known
    assert found[number_of(db)].known
    assert found[number_of(db)].pids == (41, 40)


def test_mounted(proc: ProcTree, with_processes: Joins) -> None:
    """Namespaces that are mounted are found without processes, and once with some."""
    web, empty = with_processes("web", {30: "/"}), proc.add_netns("empty")
    proc.mount_netns(web, "/run/netns/web")
    proc.mount_netns(empty, "/run/netns/empty")
    assert list(found_in(proc).values()) == [
        FoundNamespace(number_of(web), (30,), "/run/netns/web"),
        FoundNamespace(number_of(empty), (), "/run/netns/empty"),
    ]


def test_mounted_with_a_secret_number(proc: ProcTree, with_processes: Joins) -> None:
    """A namespace whose number is secret does not count twice; whether all are found is open."""
    web, empty = with_processes("web", {30: "/"}, 30), proc.add_netns("empty")
    assert find(Mounts(str(proc), TIME), TIME)[1]
    proc.mount_netns(web, "/run/netns/web")
    assert len(found_in(proc)) == 1
    assert not find(Mounts(str(proc), TIME), TIME)[1]
    proc.mount_netns(empty, "/run/netns/empty")
    assert len(found_in(proc)) == 2
    assert not find(Mounts(str(proc), TIME), TIME)[1]


def test_hidden_processes(proc: ProcTree, with_processes: Joins) -> None:
    """Where processes are hidden there may be more namespaces than are found."""
    with_processes("web", {30: "/"})
    assert find(Mounts(str(proc), TIME), TIME)[1]
    shutil.rmtree(proc.root / "1")
    assert not find(Mounts(str(proc), TIME), TIME)[1]


def test_main_thread_has_exited(proc: ProcTree) -> None:
    """A process is in the namespace of the threads that it still has."""
    web = proc.add_netns("web")
    folder = proc.add(30, b"nginx")
    (folder / "task/31").mkdir()
    (proc.root / "31").mkdir()
    shutil.rmtree(proc.root / "31")
    (proc.root / "thread-31").mkdir()
    proc.join("thread-31", web)
    (proc.root / "31").symlink_to(proc.root / "thread-31")
    assert found_in(proc)[number_of(web)].pids == (31,)


def test_own_by_other_names(proc: ProcTree) -> None:
    """The caller's namespace goes by its number and by where it is mounted, too."""
    number = number_of(proc.own)
    proc.mount_netns(proc.own, "/run/netns/mine")
    for wanted in (str(number), f"net:[{number}]", "mine"):
        assert is_own(Mounts(str(proc), TIME), wanted)
    for wanted in ("", "web", "1"):
        assert not is_own(Mounts(str(proc), TIME), wanted)


def test_gone(proc: ProcTree) -> None:
    """A namespace is gone with its last process, unless it is mounted."""
    assert not FoundNamespace(5, (98, 1)).is_gone(str(proc))
    assert FoundNamespace(5, (98, 99)).is_gone(str(proc))
    assert not FoundNamespace(5, (), "/run/netns/web").is_gone(str(proc))


def test_no_time(proc: ProcTree) -> None:
    """Past the deadline it is not known which there are."""
    with pytest.raises(DeadlineError):
        find(Mounts(str(proc), TIME), Deadline(0))


def test_held(proc: ProcTree) -> None:
    """What holds sockets of a namespace need not be in it; where it is mounted is known too."""
    web = proc.add_netns("web")
    proc.mount_netns(web, "/run/netns/web")
    number = number_of(web)
    assert namespaces_of(Mounts(str(proc), TIME), {number: [30, 31], 5: [32]}) == {
        number: FoundNamespace(number, (30, 31), "/run/netns/web"),
        5: FoundNamespace(5, (32,)),
    }


def test_no_time_to_look_for_any(proc: ProcTree) -> None:
    """What may be missing is noted, and who asked for one by name learns that."""
    plan = Plan(Visibility("bpf"), TableReaders(ProcTables()))
    assert find_or_warn(Mounts(str(proc), TIME), Deadline(0), plan) == ([], False)
    assert plan.visibility.gaps == [Gap(gaps.NAMESPACES)]
    assert len(plan.visibility.warnings) == 1
    assert select({}, "web", complete=False) == frozenset()


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/run/netns/web", "web"),
        ("/var/run/netns/web", "web"),
        ('/run/netns/a"b', "a%22b"),
        (f"/run/netns/cni-{GENERATED}", ""),
        ("/run/docker/netns/1a2b3c4d5e6f", ""),
        ("/run/netns/deep/web", ""),
        ("/elsewhere/web", ""),
        ("", ""),
    ],
)
def test_name_of_a_mount(proc: ProcTree, path: str, name: str) -> None:
    """Only a name that a person gave with `ip netns add` is one; it is made safe."""
    assert describe(places_of(proc), FoundNamespace(5, (), path)) == Namespace(name, "net:[5]")


@pytest.mark.parametrize(
    ("cgroups", "name"),
    [
        ({30: "/system.slice/nginx.service"}, "nginx.service"),
        ({31: "/system.slice/a.service", 30: "/system.slice/b.service"}, "a.service"),
        ({31: "/user.slice/user-1000.slice/session-3.scope", 30: "/system.slice/b.service"}, ""),
        ({31: "/lxc.payload.web", 30: "/lxc.payload.db"}, "web"),
        ({30: "/system.slice/a.service", 31: "/system.slice/a.service/sub"}, "a.service"),
        ({30: "/user.slice/user-1000.slice/session-3.scope"}, ""),
        ({30: "/"}, ""),
        ({30: "/lxc.payload.web/init.scope"}, "web"),
        ({30: "/lxc.payload.web", 31: "/system.slice/helper.service"}, "web"),
    ],
)
def test_name_by_processes(
    proc: ProcTree, with_processes: Joins, cgroups: dict[int, str], name: str
) -> None:
    """Who was there first gives the name, a container or a service; who joins later none."""
    number = number_of(with_processes("web", cgroups))
    assert describe(places_of(proc), found_in(proc)[number]).name == name


def test_name_of_a_mount_comes_first(proc: ProcTree, with_processes: Joins) -> None:
    """What a person called the namespace outweighs who is in it."""
    web = with_processes("web", {30: "/system.slice/nginx.service"})
    proc.mount_netns(web, "/run/netns/front")
    ((found,), _) = find(Mounts(str(proc), TIME), TIME)
    assert describe(places_of(proc), found).name == "front"


def test_names_of_idle_namespaces(proc: ProcTree, tmp_path: Path) -> None:
    """Those of the mount, or of the cgroups that are left: of a container first."""
    numbers = {}
    for path in ("a.service", "lxc.payload.web", "user.slice/user-1000.slice/session-3.scope"):
        (tmp_path / "cgroup" / path).mkdir(parents=True)
        numbers[path] = (tmp_path / "cgroup" / path).stat().st_ino
    unit, container, session = numbers.values()
    proc.mount_netns(proc.add_netns("front"), "/run/netns/front")
    ((front,), _) = find(Mounts(str(proc), TIME), TIME)
    with (proc.root / "self/mountinfo").open("a") as file:
        file.write(f"31 21 0:26 / {tmp_path / 'cgroup'} rw,nosuid - cgroup2 cgroup2 rw\n")
    found = describe_idle(
        places_of(proc),
        {
            front.number: {unit},
            1: {unit, container},
            2: {unit, 1 << 60},
            3: {1 << 60},
            4: {session},
            5: set(),
            6: {session, unit},
        },
    )
    names = {number: each.name for number, each in found.items()}
    assert names == {front.number: "front", 1: "web", 2: "a.service", 6: "a.service"}
    assert found[2].detail == "net:[2]"
    shutil.rmtree(proc.root / "1")  # as with hidepid
    assert set(describe_idle(places_of(proc), {front.number: {unit}, 1: {container}})) == {
        front.number
    }


def test_processes_that_are_gone(proc: ProcTree, with_processes: Joins) -> None:
    """A process that has ended says nothing of the name; the next one is asked."""
    with_processes("web", {40: "/system.slice/a.service"})
    assert describe(places_of(proc), FoundNamespace(5, (97, 98, 99, 40))).name == "a.service"
    assert describe(places_of(proc), FoundNamespace(5, (99,))).name == ""


def test_container_for_people(
    proc: ProcTree, with_processes: Joins, monkeypatch: pytest.MonkeyPatch
) -> None:
    """People read the container's short id and the number too; without one a process."""
    names = {Container("docker", ID): "shop/{cart}"}
    monkeypatch.setattr(
        "zabbix_sockets.readers.containers.runtimes.ContainerNames.of",
        lambda _, each: names.get(each, ""),
    )
    number = number_of(with_processes("web", {30: DOCKER}))
    ((found,), _) = find(Mounts(str(proc), TIME), TIME)
    shown = describe(places_of(proc), found)
    assert shown == Namespace(
        "shop/%7Bcart%7D", f"{ID[:12]} net:[{number}]", container="shop/%7Bcart%7D", pid=30
    )
    assert shown.shown == f"shop/%7Bcart%7D ({ID[:12]} net:[{number}])"
    secret = describe(places_of(proc), FoundNamespace(7, (30,), known=False))
    assert secret.detail == f"{ID[:12]} pid 30"
    names.clear()
    unnamed = describe(places_of(proc), found)
    assert (unnamed.name, unnamed.shown) == ("", f"{ID[:12]} net:[{number}]")
    assert unnamed.container == ID[:12]


NAMESPACES = {
    11: Namespace("web", "net:[11]"),
    12: Namespace("", "3f4e1c0b5a69 net:[12]"),
    13: Namespace("web", "pid 77"),
    14: Namespace("db", "net:[14]"),
}


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        ("web", {11, 13}),
        ("db", {14}),
        ("12", {12}),
        ("net:[12]", {12}),
        ("3f4e1c0b5a69", {12}),
        ("3f4e1c0b5a69 net:[12]", {12}),
        ("pid 77", {13}),
        ("(unnamed)", {12}),
    ],
)
def test_selection(wanted: str, numbers: set[int]) -> None:
    """A namespace is chosen by its name, its number, a container's short id, as it is shown."""
    assert select(NAMESPACES, wanted) == numbers


@pytest.mark.parametrize("wanted", ["we", "WEB", "1", "3f4e", "own", "net"])
def test_no_such_namespace(wanted: str) -> None:
    """A name that none has is an error that names those with a name, once each."""
    with pytest.raises(SocketsError, match="no network namespace") as caught:
        select(NAMESPACES, wanted)
    assert repr(wanted) in str(caught.value)
    assert caught.value.hint == "with a name there are: db, web"
    with pytest.raises(SocketsError) as caught:
        select({12: NAMESPACES[12]}, wanted)
    assert caught.value.hint == ""


NUMBERS = st.sets(st.integers(1, (1 << 32) - 1), min_size=1, max_size=40)


@given(NUMBERS, st.integers(0, 1 << 40))
def test_order_is_a_permutation(numbers: set[int], seed: int) -> None:
    """No namespace is lost or repeated, and equal seeds give equal orders."""
    found = [FoundNamespace(number, ()) for number in numbers]
    order = in_fair_order(found, seed)
    assert len(order) == len(found)
    assert set(order) == set(found)
    assert in_fair_order(reversed(found), seed) == order


@given(st.integers(4_026_531_900, 4_026_533_000), st.integers(2, 12), st.integers(1 << 30, 1 << 31))
def test_each_comes_first_for_some_seed(first: int, count: int, now: int) -> None:
    """Within minutes of calls each of some namespaces was the first, and each was the last."""
    found = [FoundNamespace(first + 138 * at, ()) for at in range(count)]
    orders = [in_fair_order(found, now + 60 * minute) for minute in range(600)]
    assert {order[0] for order in orders} == set(found)
    assert {order[-1] for order in orders} == set(found)


def test_nobody_waits_long() -> None:
    """With time for a fifth of them, each namespace is read within ten calls of a minute each."""
    found = [FoundNamespace(4_026_532_000 + 3 * at, ()) for at in range(200)]
    unread = dict.fromkeys(found, 0)
    for minute in range(500):
        for each in in_fair_order(found, 1_790_000_000 + 60 * minute)[:40]:
            unread[each] = -1
        unread = {each: count + 1 for each, count in unread.items()}
        assert minute < 10 or max(unread.values()) <= 10


def test_ways() -> None:
    """Where it is mounted comes first, then some of its processes."""
    assert list(ways_into(FoundNamespace(5, (), "/run/netns/web"))) == [None]
    assert list(ways_into(FoundNamespace(5, (30, 31), "/run/netns/web"))) == [None, 30, 31]
    assert list(ways_into(FoundNamespace(5, (30,)))) == [30]
    assert list(ways_into(FoundNamespace(5, ()))) == []
    many = list(ways_into(FoundNamespace(5, tuple(range(100)))))
    assert many == list(range(len(many)))
    assert 1 < len(many) < 10


def test_device_names(proc: ProcTree, with_processes: Joins) -> None:
    """Devices of the own namespace are the kernel's to name, others' those of a process."""
    web = with_processes("web", {30: "/"})
    (web / "net/igmp").write_text("titles\n1\tlo: 1 V3\n7\teth0 : 1 V3\n")
    names = device_names(
        places_of(proc), {5: FoundNamespace(5, (30,)), 6: FoundNamespace(6, (), "/run/netns/x")}
    )
    assert [names(netns, 0) for netns in (0, 5, 6, 9)] == [""] * 4
    assert (names(0, 1), names(5, 1), names(5, 7), names(5, 8)) == ("lo", "lo", "eth0", "if8")
    assert (names(6, 7), names(9, 7)) == ("if7", "if7")
