"""The document of real sockets."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import ss
import zoo
from children import Child, run_as, set_comm
from described import undescribed
from json_documents import json_document

from zabbix_sockets import Limits, Query, collect
from zabbix_sockets.grouping.grouping import DEFAULT_GROUPING, GROUPINGS
from zabbix_sockets.model.snapshot import LISTS

SOURCES = ("bpf", "sock_diag", "procfs")
NOBODY = 65534

Document = dict[str, Any]


@pytest.fixture(params=SOURCES)
def read(request: pytest.FixtureRequest, pins: str) -> Callable[[], Document]:
    """Return what builds the document from each source."""

    def build() -> Document:
        return json_document(
            collect(Query(source=request.param, netns="own", timeout=30, pins=pins))
        )

    return build


def row_of(document: Document, kind: str, row_id: str) -> Document:
    """Return the one row with that id."""
    (row,) = [row for row in document[kind] if row["id"] == row_id]
    assert isinstance(row, dict)
    return row


def test_host_counts_equal_ss(read: Callable[[], Document]) -> None:
    """Every state's count is the number of ss's lines in that state."""
    zoo.everything()
    lines = ss.read_ss()
    host = read()["host"]
    for protocol in ("tcp", "udp"):
        states = dict.fromkeys(host[protocol], 0)
        for line in lines:
            if line.protocol == protocol:
                states[line.state] += 1
        assert host[protocol] == states
    assert host["tcp"]["time_wait"] == 1


@pytest.mark.parametrize(
    "changes", [{}, {"filter": "not dport = :1"}, {"needs": frozenset(("user",))}]
)
@pytest.mark.parametrize("source", SOURCES)
def test_fields_are_described(source: str, changes: dict[str, Any], pins: str) -> None:
    """What any source tells of all kinds of sockets is as the classes of rows and head say."""
    zoo.everything()
    query = Query(source=source, netns="own", timeout=30, pins=pins, tcp_info=True)
    grouping = GROUPINGS["user" if "needs" in changes else DEFAULT_GROUPING]
    document = json_document(collect(query._replace(**changes)), grouping=grouping)
    assert not undescribed(document)
    assert all(len(document[name]) > 1 for name in LISTS)


def test_direction_of_both_ends(read: Callable[[], Document]) -> None:
    """The end that connected is outbound, the one that accepted inbound, by whatever address."""
    servers = {"127.0.0.1": "127.0.0.1", "::1": "::1", "0.0.0.0": "127.0.0.2", "::": "127.0.0.1"}
    ports = {}
    for address, to in servers.items():
        server = zoo.listener(address)
        zoo.pair(server, to)
        ports[address] = zoo.port_of(server)
    document = read()
    (row,) = [row for row in document["processes"] if row["tcp"]["listen"]]
    assert row["tcp"]["established"] == 8
    assert (row["tcp"]["inbound"], row["tcp"]["outbound"], row["tcp"]["unknown"]) == (4, 4, 0)
    for address, port in ports.items():
        shown = f"[{address}]" if ":" in address else address
        listener = row_of(document, "listeners", f"tcp/{shown}:{port}")
        assert (listener["established"], listener["processes"]) == (1, 1)
    upstream = row_of(document, "upstreams", f"{row['id']}>tcp/127.0.0.1:{ports['::']}")
    assert upstream["established"] == 1
    assert upstream["ephemeral_pct"] == round(100 / document["host"]["ephemeral"]["size"], 2)


def test_unknown_direction_is_no_upstream(read: Callable[[], Document]) -> None:
    """A connection that outlived its listener is not taken for an outbound one.

    The iterator still knows that it was accepted.
    """
    server = zoo.listener(port=7002)
    zoo.pair(server)
    server.close()
    document = read()
    (row,) = [row for row in document["processes"] if row["tcp"]["established"]]
    inbound = int(document["collector"]["source"] == "bpf")
    directions = row["tcp"]["inbound"], row["tcp"]["outbound"], row["tcp"]["unknown"]
    assert directions == (inbound, 1, 1 - inbound)
    ids = [row["id"] for row in document["upstreams"]]
    assert f"{row['id']}>tcp/127.0.0.1:7002" in ids
    assert len([each for each in ids if each != "(absent)"]) == 1


@pytest.mark.parametrize(
    ("waiting", "backlog", "pct"), [(3, 15, 18.8), (4, 3, 100.0), (1, 0, 100.0), (0, 7, 0.0)]
)
def test_accept_queue(read: Callable[[], Document], waiting: int, backlog: int, pct: float) -> None:
    """Connections that wait are the listener's, and belong to no process yet."""
    server, *_ = zoo.unaccepted(waiting, backlog)
    document = read()
    listener = row_of(document, "listeners", f"tcp/127.0.0.1:{zoo.port_of(server)}")
    assert listener["accept_queue"] == waiting
    assert listener["established"] == waiting
    assert document["collector"]["unaccepted"] == waiting
    (process,) = [row for row in document["processes"] if row["tcp"]["listen"]]
    assert process["tcp"]["inbound"] == 0
    assert process["accept_queue"] == waiting
    if document["collector"]["source"] == "procfs":
        assert "backlog" not in listener
        assert "accept_queue_max_pct" not in process
    else:
        assert (listener["backlog"], listener["accept_queue_pct"]) == (backlog, pct)
        assert process["accept_queue_max_pct"] == pct


def test_byte_queues(read: Callable[[], Document]) -> None:
    """Bytes that nobody read, and bytes that nobody acknowledged, are added up."""
    client, accepted = zoo.pair(zoo.listener())
    client.send(b"x" * 1000)
    zoo.wait_for(lambda: len(accepted.recv(2000, 2)) == 1000, "data")  # MSG_PEEK
    (row,) = [row for row in read()["processes"] if row["tcp"]["listen"]]
    assert (row["recv_queue_bytes"], row["send_queue_bytes"]) == (1000, 0)


def test_shared_socket_counts_once_a_group(read: Callable[[], Document]) -> None:
    """Two processes of one name share one listener; a third of another name has it too."""
    server = zoo.listener(port=7003)
    with (
        Child(lambda: server, b"twin"),
        Child(lambda: server, b"twin"),
        Child(lambda: server, b"cousin"),
    ):
        document = read()
    twin = row_of(document, "processes", "twin")
    assert (twin["instances"], twin["sockets"], twin["tcp"]["listen"]) == (2, 1, 1)
    assert row_of(document, "processes", "cousin")["sockets"] == 1
    listener = row_of(document, "listeners", "tcp/127.0.0.1:7003")
    assert (listener["processes"], listener["sockets"]) == (4, 1)
    assert set(listener["process"].split(",")) >= {"twin", "cousin"}


def test_process_whose_main_thread_has_exited(read: Callable[[], Document]) -> None:
    """Its sockets are found through its other threads."""
    listens = "s = socket.create_server(('127.0.0.1', 7004))"
    named = "ctypes.CDLL(None).prctl(15, b'leaderless', 0, 0, 0)"
    with zoo.leaderless(f"{listens}; {named}"):
        row = row_of(read(), "processes", "leaderless")
    assert (row["instances"], row["tcp"]["listen"]) == (1, 1)


def test_many_threads_are_one_process(read: Callable[[], Document]) -> None:
    """Threads share the descriptors of their process, which holds each socket once."""

    def open_and_start() -> object:
        zoo.listener(port=7005)
        for _ in range(50):
            threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
        return None

    with Child(open_and_start, b"threaded"):
        row = row_of(read(), "processes", "threaded")
    assert (row["instances"], row["sockets"]) == (1, 1)


@pytest.mark.parametrize(
    ("comm", "name"),
    [
        (b'a"b\\c', "a%22b%5Cc"),
        (b"a\nb\x1b[31m", "a%0Ab%1B[31m"),
        (b"(absent)", "%28absent)"),
        (b"{$SECRET}", "%7B%24SECRET%7D"),
        (b"\xff\xfe", "%FF%FE"),
        ("naïve-é".encode(), "naïve-é"),
        (b") R 1 1 )x(", ") R 1 1 )x("),
    ],
)
def test_hostile_name(read: Callable[[], Document], comm: bytes, name: str) -> None:
    """A process can't break anything by its name."""
    with Child(lambda: zoo.listener(port=7006), comm):
        document = read()
        row = row_of(document, "processes", name)
        assert row_of(document, "listeners", "tcp/127.0.0.1:7006")["process"] == name
    assert row["tcp"]["listen"] == 1


def test_unprivileged_counts_what_it_may_not_see() -> None:
    """Sockets are all there; owners of others are not, and nothing looks like a measured 0."""
    ours = zoo.listener(port=7007)
    query = Query(netns="own", timeout=30)

    def look() -> object:
        set_comm(b"snooper")
        zoo.release()  # the fork's copies
        zoo.listener(port=7008)
        return json_document(collect(query))

    collect(query)  # whatever is imported late is imported by now
    with Child(lambda: ours, b"hidden"):
        document = run_as(NOBODY, look)
        privileged = json_document(collect(query))
    assert isinstance(document, dict)
    assert document["collector"]["denied_processes"] > 0
    assert document["complete"] == 0
    assert document["lists"] == {"processes": 0, "listeners": 1, "upstreams": 0}
    ids = {row["id"] for row in document["processes"]}
    assert "snooper" in ids
    assert not ids & {"hidden", "(absent)"}
    listener = row_of(document, "listeners", "tcp/127.0.0.1:7007")
    assert (listener["sockets"], listener["process"], listener["processes"]) == (1, "", 0)
    assert document["collector"]["unowned"] == 1
    assert row_of(privileged, "processes", "hidden")["tcp"]["listen"] == 1


def test_deadline_gives_what_is_known() -> None:
    """Past the timeout the document says that it is incomplete, and has no zero row."""
    zoo.everything()
    document = json_document(collect(Query(netns="own", timeout=1e-6)))
    assert document["complete"] == 0
    assert document["lists"] == {"processes": 0, "listeners": 0, "upstreams": 0}
    assert not any(row["id"] == "(absent)" for row in document["listeners"])
    assert "tcp" not in document["host"]


def test_processes_that_die_during_the_walk(read: Callable[[], Document]) -> None:
    """Short-lived processes are skipped, and what stays is whole."""
    zoo.listener(port=7009)
    with Child(lambda: [subprocess.Popen(["sh", "-c", "while :; do true | true; done"])]) as churn:
        try:
            for _ in range(20):
                document = read()
                assert row_of(document, "listeners", "tcp/127.0.0.1:7009")["processes"] == 2
        finally:
            with open(f"/proc/{churn.pid}/task/{churn.pid}/children") as file:
                loop = int(file.read().split()[0])
            os.kill(loop, 9)


def test_bounds_keep_the_sums(read: Callable[[], Document], pins: str) -> None:
    """What the bounds leave out is summed, and the list is not called complete."""
    for _ in range(20):
        zoo.pair(zoo.listener())
    source = read()["collector"]["source"]
    snapshot = collect(Query(source=source, netns="own", timeout=30, pins=pins))
    document: Document = json_document(snapshot, Limits(listeners=5, upstreams=3))
    assert len(document["listeners"]) == 5
    assert document["other"]["listeners"]["sockets"] == 15
    assert document["other"]["upstreams"]["established"] == 17
    assert document["collector"]["truncated"] == {"processes": 0, "listeners": 15, "upstreams": 17}
    assert document["lists"]["listeners"] == 0
    small: Document = json_document(snapshot, Limits(max_bytes=6000))
    assert len(json.dumps(small, separators=(",", ":")).encode()) <= 6000
    kept = sum(row["sockets"] for row in small["listeners"])
    assert kept + small["other"]["listeners"]["sockets"] == 20


@pytest.mark.parametrize("kind", ["processes", "listeners", "upstreams", "sockets"])
def test_empty_table_says_so(kind: str) -> None:
    """Where there is nothing, people see the titles and are told."""
    command = [sys.executable, "-I", "-m", "zabbix_sockets", "show", kind, "--timeout", "30"]
    command += ["--netns", "own"]  # in others the machine may have some
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    assert len(shown.stdout.splitlines()) == 1
    assert f"note: no {kind} to show\n" in shown.stderr


def test_missing_proc_is_one_clear_error() -> None:
    """Without /proc nothing can be said, and that is said."""
    with pytest.raises(Exception, match="/nowhere is not a proc filesystem"):
        collect(Query(proc="/nowhere"))
