"""A /proc that hides other users' processes (hidepid): what is not known is never 0."""

import os
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import netns
import pytest
import zoo
from children import Child
from hidden_processes import hiding
from json_documents import json_document

from zabbix_sockets import Query, collect
from zabbix_sockets.document.count import count
from zabbix_sockets.grouping.by_rules import by_rules
from zabbix_sockets.grouping.grouping import GROUPINGS, Grouping
from zabbix_sockets.grouping.rules import make_rule
from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.model.gaps import UNDECIDED
from zabbix_sockets.model.snapshot import LISTS

LONG = b"a-name-of-some-length"

RULES = {
    "command": by_rules([make_rule("shop", {"command": "pytest"})]),
    "user": by_rules([make_rule("web", {"process": "^web$", "user": "^nobody$"})]),
    "process": by_rules([make_rule("www", {"process": "^web$"})]),
}
INCOMPLETE = {"processes": 0, "listeners": 1, "upstreams": 0}
COMPLETE = {"processes": 1, "listeners": 1, "upstreams": 1}


def ask(source: str, pins: str, grouping: Grouping, proc: str) -> object:
    """Return which lists are complete, the ids of processes, the warnings; what count says."""
    query = Query(source, 30, proc, pins, netns="own", needs=grouping.needs)
    snapshot = collect(query)
    document = json_document(snapshot, grouping=grouping)
    rows = document["processes"]
    collector = document["collector"]
    assert isinstance(rows, list)
    assert isinstance(collector, dict)
    try:
        counted: object = count(snapshot, "shop", "tcp", grouping=grouping)
    except SocketsError as error:
        counted = str(error)
    return [document["lists"], [row["id"] for row in rows], collector["warnings"], counted]


def parts_of(answer: object) -> tuple[dict[str, int], set[str], str, object]:
    """Return the answer's parts."""
    assert isinstance(answer, list)
    lists, ids, warnings, counted = answer
    return lists, set(ids), "\n".join(warnings), counted


@pytest.mark.parametrize("hidepid", [1, 2])
@pytest.mark.parametrize(
    ("grouping", "hides"),
    [
        (GROUPINGS["user"], {2: "the user"}),
        (RULES["command"], {1: "the command line", 2: "the command line"}),
        (RULES["user"], {2: "the user"}),
        (RULES["process"], {}),
        (GROUPINGS["process"], {}),
    ],
    ids=["user", "rule on command", "rule on user", "rule on process", "process"],
)
def test_what_decides_a_group_is_hidden(
    pins: str, open_folder: Path, hidepid: int, grouping: Grouping, hides: dict[int, str]
) -> None:
    """The iterator's sockets may be in other groups then: no row that is missing is a 0."""
    with Child(lambda: zoo.pair(zoo.listener(port=7601)), b"web"):
        work = partial(ask, "bpf", pins, grouping)
        lists, ids, warnings, counted = parts_of(hiding(hidepid, open_folder, work))
    if hidepid in hides:
        assert lists == INCOMPLETE
        assert "(absent)" not in ids
        assert f"/proc hides {hides[hidepid]} of some processes" in warnings
        assert re.match("/proc hides .*: the number can't be known", str(counted))
    else:
        assert (lists, warnings, counted) == (COMPLETE, "", 0)
        assert "(absent)" in ids


@pytest.fixture
def long_name(open_folder: Path) -> Iterator[None]:
    """Have a process with a listener on port 7602 whose name the kernel cuts at 15 bytes."""
    server = zoo.listener(port=7602)
    os.set_inheritable(server.fileno(), True)
    link = open_folder / os.fsdecode(LONG)
    link.symlink_to("/bin/sleep")
    pid = os.fork()
    if not pid:
        os.execv(link, [os.fsdecode(LONG), "60"])
    try:
        comm = Path(f"/proc/{pid}/comm")
        zoo.wait_for(lambda: comm.read_bytes() == LONG[:15] + b"\n", "the other program")
        yield
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        link.unlink()


@pytest.mark.usefixtures("long_name")
@pytest.mark.parametrize("hidepid", [1, 2])
@pytest.mark.parametrize("grouping", ["process", "user", "unit"])
def test_how_a_name_goes_on_is_hidden(
    pins: str, open_folder: Path, hidepid: int, grouping: str
) -> None:
    """A process that the kernel knows by 15 bytes alone has another row than without hidepid."""
    work = partial(ask, "bpf", pins, GROUPINGS[grouping])
    lists, ids, warnings, counted = parts_of(hiding(hidepid, open_folder, work))
    assert os.fsdecode(LONG) in parts_of(ask("bpf", pins, GROUPINGS["process"], "/proc"))[1]
    if grouping == "process":
        assert os.fsdecode(LONG) not in ids
        assert lists == INCOMPLETE
        assert "the whole name" in warnings
        assert "the number can't be known" in str(counted)
    else:
        assert "the whole name" not in warnings


@pytest.mark.usefixtures("long_name")
@pytest.mark.parametrize(("condition", "undecided"), [("process = {}", True), ("pid 1", False)])
def test_filter_by_a_name_that_is_hidden(
    pins: str, open_folder: Path, condition: str, undecided: bool
) -> None:
    """Its sockets may fit or not, which is parts_of; also of groups that need no names."""

    def work(proc: str) -> object:
        expression = condition.format(os.fsdecode(LONG))
        snapshot = collect(Query("bpf", 30, proc, pins, netns="own", filter=expression))
        lists = [
            json_document(snapshot, grouping=GROUPINGS[each])["lists"]
            for each in ("process", "unit")
        ]
        return [snapshot.visibility.has_gap(UNDECIDED), *lists, len(snapshot.listeners)]

    assert hiding(2, open_folder, work) == [
        undecided,
        {"processes": 0, "listeners": int(not undecided), "upstreams": 0},
        dict.fromkeys(LISTS, int(not undecided)),
        0,
    ]


@pytest.mark.parametrize("source", ["sock_diag", "procfs"])
@pytest.mark.parametrize("grouping", ["process", "user"])
@pytest.mark.parametrize("hidepid", [1, 2])
def test_without_the_iterator(
    pins: str, open_folder: Path, hidepid: int, source: str, grouping: str
) -> None:
    """The other sources see the caller's own processes alone, and say so."""
    zoo.listener(port=7603)
    work = partial(ask, source, pins, GROUPINGS[grouping])
    lists, ids, warnings, counted = parts_of(hiding(hidepid, open_folder, work))
    assert lists == INCOMPLETE
    assert "(absent)" not in ids
    assert warnings
    assert not isinstance(counted, int)


def test_names_of_namespaces_are_hidden(pins: str, open_folder: Path) -> None:
    """What may be a container's has no name then: no listener that is missing is a 0."""

    def elsewhere() -> object:
        netns.unshare()
        return zoo.listener(port=7604)

    def work(proc: str) -> object:
        document = json_document(collect(Query("bpf", 30, proc, pins, netns="all")))
        collector = document["collector"]
        assert isinstance(collector, dict)
        return [document["lists"], collector["warnings"]]

    with Child(elsewhere, b"elsewhere"):
        answer = hiding(2, open_folder, work)
    assert isinstance(answer, list)
    assert (answer[0]["listeners"], answer[0]["upstreams"]) == (0, 0)
    assert "names some network namespaces have" in "\n".join(answer[1])
