"""What groupings look at: units, containers, users, command lines."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from json_documents import JsonDocument, json_document

from zabbix_sockets.collector import process_facts
from zabbix_sockets.collector.call_context import CallContext
from zabbix_sockets.document import count as counting
from zabbix_sockets.document.document import NO_LIMITS
from zabbix_sockets.grouping.grouping import GROUPINGS
from zabbix_sockets.grouping.rules import MAX_MATCHED
from zabbix_sockets.model import gaps
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.model.gaps import Gap
from zabbix_sockets.model.snapshot import FIRST_OWNER, Process, Query, Snapshot
from zabbix_sockets.readers.containers.runtimes import ContainerNames
from zabbix_sockets.readers.proc.passwd import PasswdEntry, read_users

from ..proctree import ProcTree  # noqa: TID252  # a test folder is no installed package
from ..snapshots import snapshot_of  # noqa: TID252  # likewise
from .fakes import Looks

ID = "3f4e1c0b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f00f"
NGINX, DOCKER = "system.slice/nginx.service", f"system.slice/docker-{ID}.scope"
CGROUP2 = "31 21 0:26 / {} rw,nosuid - cgroup2 cgroup2 rw\n"
PASSWD = (
    "root:x:0:0:root:/root:/bin/bash\n"
    "toor:x:0:0::/root:/bin/sh\n"
    "we{b}:x:1000:1000::/home/web:/bin/sh\n"
    "broken:x:many:1::/:/bin/sh\n"
    "+::::::\n"
    "short\n"
    "\n"
)
PLACES = frozenset(("unit", "container"))
TIME = Deadline(1e6)


@pytest.fixture
def proc(tmp_path: Path) -> ProcTree:
    """A host with cgroups."""
    proc = ProcTree(tmp_path / "proc")
    (proc.root / "self").mkdir()
    (proc.root / "self/mountinfo").write_text(CGROUP2.format(tmp_path / "cgroup"))
    for path in (NGINX, DOCKER, "lxc.payload.web"):
        (tmp_path / "cgroup" / path).mkdir(parents=True)
    return proc


@pytest.fixture
def number(tmp_path: Path) -> Callable[[str], int]:
    """Return what tells a cgroup's number."""
    return lambda path: (tmp_path / "cgroup" / path).stat().st_ino


def completed(proc: ProcTree, needs: frozenset[str], *members: Process) -> list[Process]:
    """Return the processes with what is needed of them."""
    snapshot = snapshot_of(members)
    process_facts.fill_in(
        snapshot, Query(proc=str(proc), needs=needs), CallContext(str(proc), TIME)
    )
    return snapshot.processes


def add(proc: ProcTree, pid: int, cgroup: str) -> None:
    """Add a process in a cgroup."""
    (proc.add(pid, b"nginx") / "cgroup").write_text(f"0::/{cgroup}\n")


def places(proc: ProcTree, *members: Process) -> list[tuple[str, str]]:
    """Return the units and containers of processes."""
    return [(each.unit, each.container) for each in completed(proc, PLACES, *members)]


def test_by_number(proc: ProcTree, number: Callable[[str], int]) -> None:
    """A source that tells the cgroup spares a look at the process, and needs none."""
    by_number = [Process(pid, "", cgroup=number(NGINX)) for pid in (0, 99)]
    assert places(proc, *by_number) == [("nginx.service", "(host)")] * 2
    lxc = Process(0, "", cgroup=number("lxc.payload.web"))
    assert places(proc, lxc) == [("(no unit)", "web")]


def test_by_process(proc: ProcTree) -> None:
    """Without a number the process's file tells; the root's number is as good as none."""
    add(proc, 20, NGINX)
    for cgroup in (0, 1):
        assert places(proc, Process(20, "a", cgroup=cgroup)) == [("nginx.service", "(host)")]


def test_cgroup_that_is_gone(proc: ProcTree) -> None:
    """A number that the tree has not is asked of the process; without one nothing is known."""
    add(proc, 20, NGINX)
    gone = (1 << 60) + 1
    assert places(proc, Process(20, "a", cgroup=gone)) == [("nginx.service", "(host)")]
    assert places(proc, Process(0, "", cgroup=gone)) == [("", "")]


def test_process_that_is_gone(proc: ProcTree) -> None:
    """Of a process that has ended nothing is known, which is not that it has no unit."""
    assert places(proc, Process(99, "a")) == [("", "")]


def test_root_cgroup(proc: ProcTree) -> None:
    """What is in no unit is said to be in none, such as the kernel's sockets."""
    add(proc, 20, "")
    assert places(proc, Process(20, "a"), Process(0, "", cgroup=1)) == [("(no unit)", "(host)")] * 2


def test_host_without_cgroup2(tmp_path: Path) -> None:
    """Numbers say nothing where the tree is not mounted; the files still do."""
    proc = ProcTree(tmp_path)
    add(proc, 20, NGINX)
    assert places(proc, Process(20, "a", cgroup=77)) == [("nginx.service", "(host)")]


@pytest.mark.parametrize(
    ("name", "shown"), [("shop/db", "shop/db"), ("", "(unnamed)"), ("(x", "%28x")]
)
def test_container(
    proc: ProcTree,
    number: Callable[[str], int],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    shown: str,
) -> None:
    """A container's name is safe, and asked for once however many processes are in it."""
    asked: list[list[str]] = []

    def first(_: ContainerNames, places: Iterator[str]) -> str:
        asked.append(list(places))
        return name

    monkeypatch.setattr(ContainerNames, "_first", first)
    add(proc, 20, DOCKER)
    members = [Process(pid, "a", cgroup=number(DOCKER)) for pid in (20, 21)]
    found = completed(proc, PLACES, *members, Process(20, "a"))
    assert {each.container for each in found} == {shown}
    assert asked == [[""]]  # once, at one place


def test_users(proc: ProcTree, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A user has its first name in the passwd file, made safe, or its number."""
    passwd = tmp_path / "passwd"
    passwd.write_text(PASSWD)
    reads: list[str] = []

    def counted() -> Iterator[PasswdEntry]:
        reads.append("")
        return read_users(str(passwd))

    monkeypatch.setattr(process_facts, "read_users", counted)
    uids = {"21": 1000, "22": 4_000_000_000}
    stat = os.stat

    def stat_as(path: str) -> os.stat_result:
        pid = path.rpartition("/")[2]
        if pid not in uids:
            raise FileNotFoundError(path)
        return os.stat_result((*stat(str(proc))[:4], uids[pid], *stat(str(proc))[5:]))

    monkeypatch.setattr("zabbix_sockets.collector.process_facts.os.stat", stat_as)
    members = [Process(pid, "a") for pid in (21, 22, 23, 0)]
    found = completed(proc, frozenset(("user",)), *members)
    assert [(each.uid, each.user) for each in found] == [
        *((1000, "we%7Bb%7D"), (4_000_000_000, "uid 4000000000"), (None, ""), (None, "")),
    ]
    assert len(reads) == 1


@pytest.mark.parametrize(
    ("cmdline", "command"),
    [
        (b"/usr/bin/java\0-jar\0app.jar\0", "/usr/bin/java -jar app.jar"),
        (b"php-fpm: pool www" + bytes(20), "php-fpm: pool www"),
        (b"a\0\0b\0", "a  b"),
        (b"\xff\n\0", "\udcff\n"),
        (b"", ""),
    ],
)
def test_command(proc: ProcTree, cmdline: bytes, command: str) -> None:
    """Arguments are joined by spaces, as they are: rules look at them, nobody prints them."""
    (proc.add(20, b"java") / "cmdline").write_bytes(cmdline)
    found = completed(proc, frozenset(("command",)), Process(20, "java"), Process(99, "gone"))
    assert [each.command for each in found] == [command, ""]


def test_only_what_is_needed(proc: ProcTree) -> None:
    """What the grouping does not look at is not read."""
    add(proc, 20, NGINX)
    process = Process(20, "nginx")
    assert completed(proc, frozenset(), process) == [process]
    (found,) = completed(proc, frozenset(("command",)), process)
    assert found == process._replace(command="/usr/sbin/nginx")
    (found,) = completed(proc, frozenset(("uid",)), process)
    assert found.uid == os.stat(proc.root / "20").st_uid
    assert (found.unit, found.container, found.command) == ("", "", "")


@pytest.mark.parametrize("hidden", [True, False])
@pytest.mark.parametrize(
    ("needs", "kinds"),
    [
        ({"unit"}, {gaps.CGROUPS}),
        ({"container"}, {gaps.CGROUPS}),
        ({"user", "uid"}, {gaps.HIDDEN_USERS}),
        ({"uid", "command", "user"}, {gaps.HIDDEN_USERS, gaps.HIDDEN_COMMANDS}),
        ({"uid"}, set()),
    ],
    ids=",".join,
)
def test_hidden_or_ended(proc: ProcTree, needs: set[str], kinds: set[str], *, hidden: bool) -> None:
    """What /proc hides of a process is kinds; of one that has ended nothing is."""
    add(proc, 20, NGINX)
    if hidden:
        (proc.root / "1").rename(proc.root / "init")
    snapshot = snapshot_of([Process(20, "a"), Process(99, "b")])
    query = Query(proc=str(proc), needs=frozenset(needs))
    process_facts.fill_in(snapshot, query, CallContext(str(proc), TIME))
    assert {gap.kind for gap in snapshot.visibility.gaps} == (kinds if hidden else set())


def test_only_holders(proc: ProcTree) -> None:
    """Processes that hold no socket of these tables are not asked."""
    add(proc, 20, NGINX)
    add(proc, 21, NGINX)
    snapshot = snapshot_of([Process(20, "a"), Process(21, "b")])
    del snapshot.owners[FIRST_OWNER]
    process_facts.fill_in(
        snapshot, Query(proc=str(proc), needs=PLACES), CallContext(str(proc), TIME)
    )
    assert [each.unit for each in snapshot.processes] == ["", "nginx.service"]


def rows_of(document: JsonDocument) -> list[JsonDocument]:
    """Return the rows of processes."""
    rows = document["processes"]
    assert isinstance(rows, list)
    return rows


def hostile(proc: ProcTree, count: int) -> Snapshot:
    """Return a Snapshot of many processes with long command lines."""
    members = []
    for pid in range(1000, 1000 + count):
        (proc.add(pid, b"java") / "cmdline").write_bytes(b"a" * 50_000)
        members.append(Process(pid, "java"))
    return snapshot_of(members)


def test_more_processes_than_time(proc: ProcTree) -> None:
    """Past the deadline the rest stays unknown, and no list is complete."""
    snapshot = hostile(proc, 60)
    query = Query(proc=str(proc), needs=frozenset(("command", "user")))
    process_facts.fill_in(snapshot, query, CallContext(str(proc), Looks(25)))
    assert [bool(each.command) for each in snapshot.processes] == [True] * 25 + [False] * 35
    assert [bool(each.user) for each in snapshot.processes] == [True] * 25 + [False] * 35
    assert snapshot.visibility.gaps == [Gap(gaps.PLACES)]
    document = json_document(snapshot, NO_LIMITS, GROUPINGS["user"])
    assert document["lists"] == {"processes": 0, "listeners": 0, "upstreams": 0}
    assert "(unknown)" in [row["id"] for row in rows_of(document)]
    assert "timed out: not every unit" in str(document["collector"])
    with pytest.raises(SocketsError, match="timed out"):
        counting.count(snapshot, "root", "", "", GROUPINGS["user"])


def test_in_time(proc: ProcTree) -> None:
    """With time for all, nothing is said to be missing."""
    snapshot = hostile(proc, 3)
    process_facts.fill_in(
        snapshot, Query(proc=str(proc), needs=PLACES), CallContext(str(proc), TIME)
    )
    assert snapshot.visibility.gaps == []


def test_a_command_is_read_as_far_as_rules_look(proc: ProcTree) -> None:
    """Of arguments of megabytes the beginning is read: all that a rule can look at."""
    (proc.add(20, b"java") / "cmdline").write_bytes("\U0001f600".encode() * 500_000)
    (found,) = completed(proc, frozenset(("command",)), Process(20, "java"))
    assert len(found.command) == MAX_MATCHED


def test_commands_of_one_user(proc: ProcTree, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's command lines have a bound together, in which equal ones count once."""
    monkeypatch.setattr(process_facts, "_USER_COMMANDS", 5000)
    uids = dict.fromkeys(range(20, 40), 1000) | dict.fromkeys(range(40, 50), 1001)
    for pid in uids:
        text = b"fork" * 500 if pid == 20 or pid >= 40 else b"%d" % pid * 1000
        (proc.add(pid, b"java") / "cmdline").write_bytes(text)
    members = [Process(pid, "java", uid=uid) for pid, uid in uids.items()]
    snapshot = snapshot_of(members)
    query = Query(proc=str(proc), needs=frozenset(("command",)))
    process_facts.fill_in(snapshot, query, CallContext(str(proc), TIME))
    has = [bool(each.command) for each in snapshot.processes]
    assert has == [True] * 3 + [False] * 17 + [True] * 10
    assert len({id(each.command) for each in snapshot.processes[20:]}) == 1
    assert snapshot.visibility.gaps == [Gap(gaps.UNREAD_COMMANDS, how_many=17)]
