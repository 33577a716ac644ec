"""Unix listeners in the document: rows of `listeners`, and what processes and `count` say."""

from __future__ import annotations

import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zabbix_sockets.document.count import count
from zabbix_sockets.document.document import build_document
from zabbix_sockets.document.json_text import to_json
from zabbix_sockets.model import gaps
from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.model.names import MAX_UNIX_LENGTH, is_autobound, unix_name
from zabbix_sockets.model.snapshot import (
    BY_CGROUPS,
    FIRST_OWNER,
    UNOWNED,
    Process,
    Snapshot,
    UnixListener,
    UnixSockets,
)

from ..snapshots import (  # noqa: TID252  # a test folder is no package
    NAMESPACES,
    OTHER,
    WEB,
    processes,
    snapshot_of,
    tcp_listener,
)

A, B, C = FIRST_OWNER, FIRST_OWNER + 1, FIRST_OWNER + 2
PATH = b"/run/php/php8.2-fpm.sock"
ID = "unix//run/php/php8.2-fpm.sock"


def listener(
    owner: int = A,
    name: bytes = PATH,
    queue: int | None = 4,
    backlog: int | None = 3,
    netns: int = 0,
) -> UnixListener:
    """Return a listener that has accepted two connections."""
    return UnixListener(netns, name, owner, None if queue is None else 2, queue, backlog, 0)


def snapshot(
    *listeners: UnixListener, connected: dict[tuple[int, int], int] | None = None
) -> Snapshot:
    """Return a Snapshot of php-fpm, which listens, nginx with a TCP listener, and cron."""
    made = snapshot_of(processes("php-fpm", "nginx", "cron"), [tcp_listener(B, 80)])
    made.unix = UnixSockets()
    made.unix.listeners = list(listeners)
    made.unix.connected = connected or {}
    made.unix.owners = {owner: made.owners[owner] for owner, _ in made.unix.connected}
    del made.owners[C]  # who holds connected unix sockets alone is no owner of others
    return made


def test_row() -> None:
    """A full queue is one more than the backlog; what waits is among the connections."""
    (row,) = (each for each in build_document(snapshot(listener())).listeners if each.id == ID)
    assert vars(row) == {
        "id": ID,
        "protocol": "unix",
        "address": PATH.decode(),
        "device": "",
        "netns": "",
        "ephemeral": 0,
        "process": "php-fpm",
        "sockets": 1,
        "processes": 1,
        "established": 6,
        "accept_queue": 4,
        "backlog": 3,
        "accept_queue_pct": 100.0,
    }


def test_path_bound_twice() -> None:
    """Two sockets of a name are one row, with the worst of both."""
    made = snapshot(listener(A), listener(B, queue=0, backlog=128))
    (row,) = (each for each in build_document(made).listeners if each.id == ID)
    assert (row.sockets, row.established, row.accept_queue) == (2, 8, 4)
    assert (row.backlog, row.accept_queue_pct, row.process) == (131, 100.0, "nginx,php-fpm")


@pytest.mark.parametrize(
    ("one", "absent"),
    [
        (listener(backlog=None), {"backlog", "accept_queue_pct"}),
        (listener(queue=None), {"backlog", "accept_queue_pct", "accept_queue", "established"}),
    ],
)
def test_unknown_is_absent(one: UnixListener, absent: set[str]) -> None:
    """What a source can't tell is absent, and no 0."""
    (row,) = (each for each in build_document(snapshot(one)).listeners if each.id == ID)
    fields = {"backlog", "accept_queue_pct", "accept_queue", "established"}
    assert fields - vars(row).keys() == absent


def test_nobody_s() -> None:
    """Of a listener whose owner isn't seen there is a row all the same."""
    (row,) = (
        each for each in build_document(snapshot(listener(UNOWNED))).listeners if each.id == ID
    )
    assert (row.process, row.processes) == ("", 0)


def test_other_namespace() -> None:
    """The label of a namespace is behind the name, which has no other "@" but a first one."""
    made = snapshot(listener(name=b"/a@web"), listener(name=b"/a", netns=WEB))
    made.namespaces = NAMESPACES
    ids = {row.id for row in build_document(made).listeners}
    assert {"unix//a%40web", "unix//a@web"} <= ids


def test_container_and_unit() -> None:
    """A row has its namespace's container, and the unit for which systemd holds its name."""
    name, other = b"/run/a.sock", b"/run/b.sock"
    made = snapshot(
        *(listener(owner, each) for owner in (A, B) for each in (name, other)),
        listener(A, name, netns=WEB),
        listener(A, b"/run/c.sock", netns=OTHER),
    )
    made.processes[0] = Process(1, "systemd", 9.0)
    made.socket_units = {("unix", each, 0, ""): "a.socket" for each in (name, b"/run/c.sock")}
    made.namespaces = {**NAMESPACES, WEB: NAMESPACES[WEB]._replace(container="shop")}
    rows = {row.id: vars(row) for row in build_document(made).listeners}
    said = {key: (row.get("container"), row.get("socket_unit")) for key, row in rows.items()}
    del said["tcp/0.0.0.0:80"]
    assert said == {
        "unix//run/a.sock": (None, "a.socket"),
        "unix//run/b.sock": (None, None),
        "unix//run/a.sock@web": ("shop", None),
        "unix//run/c.sock@(unnamed)": (None, None),
    }


def test_order_by_uid() -> None:
    """Rows of the system's users stay where there is no room for all, however few connections."""
    names = [b"/run/%d" % number for number in range(400)]
    made = snapshot(
        *(listener(name=name)._replace(uid=5000 + at) for at, name in enumerate(names)),
        listener(name=b"/run/unknown")._replace(uid=None),
        listener(name=b"/run/system", queue=0)._replace(uid=33),
    )
    kept = {row.id for row in build_document(made).listeners}
    assert {"unix//run/system", "unix//run/0"} <= kept
    assert not {"unix//run/unknown", "unix//run/399"} & kept


def test_processes() -> None:
    """Who listens has a row; unix sockets are no part of the others; who is connected has none."""
    made = snapshot(listener(), connected={(A, 0): 2, (B, 0): 5, (C, 0): 1})
    document = build_document(made)
    rows = {row.id: row for row in document.processes}
    assert sorted(rows) == ["nginx", "php-fpm"]
    assert rows["php-fpm"].unix == {"listen": 1, "connected": 2}
    assert rows["nginx"].unix == {"listen": 0, "connected": 5}
    assert (rows["php-fpm"].sockets, rows["php-fpm"].settled) == (0, 1)
    assert (rows["php-fpm"].accept_queue, rows["php-fpm"].accept_queue_max_pct) == (4, 100.0)
    assert "unix" not in document.absent["processes"]
    assert document.collector.sockets == 1


def test_without_unix_sockets() -> None:
    """With a filter nothing is said of them."""
    made = snapshot()
    made.unix = None
    assert all(row.unix is None for row in build_document(made).processes)


def test_owners_are_cgroups() -> None:
    """The kernel tells no unix socket's cgroup: what groups hold isn't known."""
    made = snapshot(listener())
    made.visibility.ownership = BY_CGROUPS
    assert all(row.unix is None for row in build_document(made).processes)
    with pytest.raises(SocketsError, match="cgroup"):
        count(made, "nginx", "unix")


def test_not_read_to_the_end() -> None:
    """The lists that may lack something are not complete, and say why; upstreams lack nothing."""
    made = snapshot(listener())
    made.visibility.add_gap(gaps.UNIX)
    document = build_document(made)
    assert document.lists == {"processes": 0, "listeners": 0, "upstreams": 1}
    assert document.collector.warnings == ["timed out: not every unix socket was read"]
    assert count(made, "nginx", "tcp") == 1
    with pytest.raises(SocketsError, match="not every unix socket"):
        count(made, "nginx", "unix")


@pytest.mark.parametrize(
    ("question", "number"),
    [
        (("php-fpm", "unix"), 3),
        (("php-fpm", "unix", "listen"), 1),
        (("cron", "unix", "connected"), 1),
        (("cron",), 0),
        (("nobody", "unix"), 0),
    ],
)
def test_count(question: tuple[str, ...], number: int) -> None:
    """Every process's unix sockets can be counted, also of those that have no row."""
    name, protocol, state = (*question, "", "")[:3]
    made = snapshot(listener(), connected={(A, 0): 2, (C, 0): 1})
    assert count(made, name, protocol, state) == number


def test_count_with_filter() -> None:
    """A filter decides of TCP and UDP alone, which is said."""
    made = snapshot()
    made.unix = None
    with pytest.raises(SocketsError, match="filter"):
        count(made, "nginx", "unix")


def test_selected_namespaces() -> None:
    """Unix sockets of other namespaces than those asked for count in nothing."""
    made = snapshot(listener(), listener(B, netns=WEB), connected={(A, 0): 1, (A, WEB): 2})
    made.namespaces, made.selected = NAMESPACES, frozenset((WEB,))
    document = build_document(made)
    assert [row.id for row in document.listeners] == [f"{ID}@web"]
    assert [(row.id, row.unix) for row in document.processes] == [
        ("nginx", {"listen": 1, "connected": 0})
    ]


def test_behind_tcp() -> None:
    """Of the same uid, TCP's rows stay where there is no room for all."""
    made = snapshot(*[listener(name=b"/run/%d" % number) for number in range(400)])
    document = build_document(made)
    assert "tcp/0.0.0.0:80" in {row.id for row in document.listeners}
    assert document.collector.truncated["listeners"] == 101
    assert document.other["listeners"]["accept_queue"] == 4 * 101


NAMES = st.one_of(
    st.binary(min_size=1, max_size=108).filter(lambda name: b"\0" not in name),
    st.binary(max_size=107).map(lambda name: b"\0" + name),
)


@given(NAMES, NAMES)
def test_names_are_safe(one: bytes, other: bytes) -> None:
    """Any bytes are printable, short, without quotes and macros; distinct ones stay distinct."""
    text = unix_name(one)
    assert 1 <= len(text) <= MAX_UNIX_LENGTH
    assert text.isprintable()
    assert not set(text[1:]) & set("\"'`\\${}@")
    assert text.startswith("@") == one.startswith(b"\0")
    assert (text == unix_name(other)) == (one == other)
    row_id = f"unix/{text}".encode()
    assert row_id in to_json(build_document(snapshot(listener(name=one))))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (b"/run/a b", "/run/a b"),
        (b"/run/a\n\xff", "/run/a%0A%FF"),
        (b"\0/tmp/.X11-unix/X0", "@/tmp/.X11-unix/X0"),
        (b"@file", "%40file"),
        (b"\0", "@%"),
        (b"(absent)", "%28absent)"),
        (b"/" + b"x" * 59, "/" + "x" * 59),
    ],
)
def test_names(name: bytes, text: str) -> None:
    """Names as people read them."""
    assert unix_name(name) == text


def test_long_names() -> None:
    """What is longer ends with a digest of all of it."""
    name = os.fsencode("/" + "x" * 60)
    assert re.fullmatch(r"/x+~[0-9a-f]{16}", unix_name(name))


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        (b"\x000001f", True),
        (b"\x00f0000", True),
        (b"\x000001F", False),
        (b"\x00F0001", False),
        (b"\x00000001", False),
        (b"/0001f", False),
    ],
)
def test_autobound(name: bytes, is_one: bool) -> None:
    """Names that the kernel picks are told from those that somebody has chosen."""
    assert is_autobound(name) == is_one
    (row,) = (
        each
        for each in build_document(snapshot(listener(name=name))).listeners
        if each.protocol == "unix"
    )
    assert row.ephemeral == is_one
