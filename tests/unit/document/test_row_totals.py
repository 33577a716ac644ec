"""Totals in rows, by the same grouping as everything else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from zabbix_sockets.document.admission import Admission, AdmissionTable, Ask, CallMoment
from zabbix_sockets.document.document import NO_LIMITS, Document, Limits, build_document
from zabbix_sockets.document.processes import ProcessRow
from zabbix_sockets.document.row import MOST_MADE, RankedRow
from zabbix_sockets.document.upstreams import UpstreamRow
from zabbix_sockets.grouping.grouping import GROUPINGS, Grouping
from zabbix_sockets.model.snapshot import (
    FIRST_OWNER,
    ROOT_CGROUP,
    SYSTEM_UNIT,
    Counted,
    Namespace,
    Process,
    Snapshot,
    Standing,
)
from zabbix_sockets.model.totals import MOST_KEYS, RECENT, ProcessCounters, ServerCounters, Totals
from zabbix_sockets.model.wire import OWN_NETNS

from ..snapshots import outbound, packed, snapshot_of, tcp_listener  # noqa: TID252  # a test folder is no package

LOCAL = bytes((127, 0, 0, 1))
NOW = 10 * RECENT


def counters(changed: int = NOW, **counts: int) -> tuple[int, int]:
    """Return counters that are 0 but for *counts*, and when they changed."""
    return packed(**counts), changed


def counted(process: Process, figures: tuple[int, int], netns: int = OWN_NETNS) -> Snapshot:
    """Return a Snapshot of one listening process, and what was counted of *process*."""
    snapshot = snapshot_of([Process(7, "web")], [tcp_listener(FIRST_OWNER, 80)])
    totals = [ProcessCounters(b"client", False, 0, 1, netns, *figures)]
    upstreams = [ServerCounters(0, netns, LOCAL, 80, "", *figures)]
    snapshot.totals = Totals(*(1_600_000_000, NOW, 1, 2, 3), totals, [], upstreams)
    snapshot.counted = [Counted(process)]
    return snapshot


def test_a_row_for_what_is_gone() -> None:
    """What has no socket any more has a row, which discovery is not offered, while it changes."""
    figures = counters(
        attempts=3, opened=2, failed=1, handshake_ns=2_500_999, lifetime_ns=7_000_000_999_999
    )
    document = build_document(counted(Process(0, "client"), figures))
    client, web = document.processes
    assert (client.id, client.settled, client.sockets, client.instances) == ("client", 0, 0, 0)
    assert client.totals
    assert (client.totals.failed, client.totals.handshake_us, client.totals.lifetime_ms) == (
        *(1, 2500, 7_000_000),
    )
    assert web.totals
    assert web.totals.attempts == 0
    (upstream,) = document.upstreams
    assert (upstream.id, upstream.established) == ("client>tcp/127.0.0.1:80", 0)
    assert upstream.totals
    assert upstream.totals.opened == 2
    assert document.collector.totals
    assert document.collector.totals.content() == {
        "since": 1_600_000_000, "keys": 1, "overflow": 2, "missed": 3,
    }  # fmt: skip


def test_a_listener_that_is_not_counted() -> None:
    """Of it nothing is known; of one that is counted it is known that nothing came."""
    snapshot = counted(Process(0, "client"), counters(attempts=3))
    assert build_document(snapshot).listeners[0].totals is None
    assert snapshot.totals
    listener = ServerCounters(0, OWN_NETNS, bytes(4), 80, "", *counters())
    snapshot.totals = snapshot.totals._replace(listeners=[listener])
    (row,) = build_document(snapshot).listeners
    assert row.totals
    assert row.totals.accepted == 0


def test_no_room_for_a_key() -> None:
    """Where all keys are taken, what has none may have come to something."""
    snapshot = counted(Process(0, "client"), counters(attempts=3))
    assert snapshot.totals
    snapshot.totals = snapshot.totals._replace(keys=MOST_KEYS)
    client, web = build_document(snapshot).processes
    assert client.totals
    assert web.totals is None


def of_python(*groups: Process, by: Grouping = GROUPINGS["process"], **fields: Any) -> Document:
    """Return the document of processes called python3, each with a connection.

    The kernel has counted three attempts of processes of that name, which have these *fields*.
    """
    snapshot = counted(Process(0, "python3", **fields), counters(attempts=3))
    ends = {outbound(FIRST_OWNER + at, 80, LOCAL): 1 for at in range(len(groups))}
    of_groups = snapshot_of(groups, connections=ends)
    of_groups.totals = snapshot.totals
    of_groups.counted = [Counted(snapshot.counted[0].process, range(len(groups)))]
    return build_document(of_groups, grouping=by)


def attempts(document: Document) -> dict[str, int | None]:
    """Return the attempts of each row, by its id; None: it has no totals."""
    rows: list[ProcessRow | UpstreamRow] = [*document.processes, *document.upstreams]
    return {row.id: row.totals.attempts if row.totals else None for row in rows}


BY_COMMAND = GROUPINGS["process"]._replace(
    names_of=lambda each: [one.command or one.name for one in each], is_plain=False
)


def test_groups_by_the_command_line() -> None:
    """They have no totals, and the row of the name that the kernel knows has them all."""
    cart, shop = (Process(7, "python3", command=name) for name in ("cart", "shop"))
    of_name = {"python3": 3, "python3>tcp/127.0.0.1:80": 3}
    of_shop = {"shop": None, "shop>tcp/127.0.0.1:80": None}
    assert attempts(of_python(shop, by=BY_COMMAND)) == of_name | of_shop
    assert attempts(of_python(shop, Process(8, "python3"), by=BY_COMMAND)) == of_name | of_shop
    found = attempts(of_python(cart, shop, by=BY_COMMAND))
    assert [found.pop(each) for each in of_name] == [3, 3]
    assert len(found) == 4
    assert set(found.values()) == {None}


def test_groups_by_the_user() -> None:
    """The kernel counts each user's apart: another one's processes say nothing of these."""
    by_user = GROUPINGS["process"]._replace(
        names_of=lambda each: [f"{one.name}-{one.uid}" for one in each], is_plain=False
    )
    pools = [Process(7 + at, "python3", uid=1000 + at) for at in range(2)]
    found = attempts(of_python(*pools, by=by_user, uid=1001))
    assert (found["python3-1000"], found["python3-1001"]) == (0, 3)
    hidden = Process(7, "python3")
    found = attempts(of_python(hidden, by=GROUPINGS["user"], uid=1001, user="shop"))
    assert (found["(unknown)"], found["shop"]) == (None, 3)


def test_several_groups_of_which_nothing_is_known() -> None:
    """Each has processes that the kernel counts to another name, some of them of a known user."""
    members = [
        Process(7, "python3", uid=1000, command="cart"),
        Process(8, "java", uid=1001, command="shop"),
        Process(9, "node", command="till"),
    ]
    snapshot = snapshot_of(members, [tcp_listener(FIRST_OWNER + at, 80 + at) for at in range(3)])
    figures = counters(attempts=3)
    totals = [
        ProcessCounters(each.name.encode(), False, each.uid or 0, 1, OWN_NETNS, *figures)
        for each in members
    ]
    snapshot.totals = Totals(*(1_600_000_000, NOW, 3, 0, 0), totals, [], [])
    snapshot.counted = [Counted(each._replace(command=""), [at]) for at, each in enumerate(members)]
    found = attempts(build_document(snapshot, grouping=BY_COMMAND))
    assert {name: found[name] for name in ("cart", "shop", "till")} == {
        "cart": None, "shop": None, "till": None,
    }  # fmt: skip


def test_one_whose_user_is_not_known_may_be_any_ones() -> None:
    """Where the kernel counts those of several users, it may be counted to another group."""
    by_trust = GROUPINGS["process"]._replace(
        names_of=lambda each: ["users" if one.uid else "ours" for one in each], is_plain=False
    )
    hidden = Process(7, "python3")
    snapshot = snapshot_of([hidden], [tcp_listener(FIRST_OWNER, 80)])
    users = 0, 1000
    figures = counters(attempts=3)
    totals = [ProcessCounters(b"python3", False, uid, 1, OWN_NETNS, *figures) for uid in users]
    snapshot.totals = Totals(*(1_600_000_000, NOW, 2, 0, 0), totals, [], [])
    holders = [0]
    snapshot.counted = [Counted(hidden._replace(uid=uid), holders) for uid in users]
    assert attempts(build_document(snapshot, grouping=by_trust)) == {"ours": None, "users": 3}
    del snapshot.counted[1], totals[1]
    assert attempts(build_document(snapshot, grouping=by_trust)) == {"ours": 3}


def test_udp_has_no_totals() -> None:
    """Not even of 0, in a row of a process whose TCP connections are counted."""
    snapshot = counted(Process(0, "web"), counters(attempts=3))
    ends = (outbound(FIRST_OWNER, port, protocol=name) for port, name in ((53, "udp"), (54, "tcp")))
    snapshot.connections = dict.fromkeys(ends, 1)
    found = {row.port: row.totals for row in build_document(snapshot).upstreams}
    assert found[53] is None
    assert found[54]
    assert found[54].attempts == 0


def test_groups_by_the_unit_without_cgroups() -> None:
    """Where all are in the root cgroup nothing that is counted has a unit: no row says 0."""
    web = Process(7, "python3", unit="web.service", cgroup=ROOT_CGROUP)
    by_unit = GROUPINGS["unit"]
    found = attempts(of_python(web, by=by_unit, unit="(no unit)", cgroup=ROOT_CGROUP))
    assert found == {"web.service": None, "web.service>tcp/127.0.0.1:80": None}
    web = web._replace(cgroup=99)
    found = attempts(of_python(web, by=by_unit, unit="web.service", cgroup=99))
    assert found == {"web.service": 3, "web.service>tcp/127.0.0.1:80": 3}


def test_labels_of_what_is_gone() -> None:
    """A row of totals alone says whose it is as any other does, also in another namespace."""
    snapshot = counted(Process(0, "client", container="shop"), counters(attempts=3), netns=9)
    assert snapshot.totals
    (upstream,) = snapshot.totals.upstreams
    snapshot.totals = snapshot.totals._replace(upstreams=[upstream._replace(device="eth0")])
    snapshot.namespaces = {9: Namespace("shop/web")}
    document = build_document(snapshot)
    client, _ = document.processes
    assert (client.name, client.netns, client.settled) == ("client", "shop/web", 0)
    (row,) = document.upstreams
    assert row.id == "client>tcp/127.0.0.1%eth0:80@shop/web"
    assert (row.process, row.protocol, row.address, row.port, row.netns) == (
        *("client", "tcp", "127.0.0.1", 80, "shop/web"),
    )


def test_no_row_for_what_changes_no_more() -> None:
    """Ten minutes later it is in no list, and the rows that are there keep theirs."""
    old = counters(changed=NOW - RECENT, attempts=3)
    document = build_document(counted(Process(0, "client"), old))
    assert ([row.id for row in document.processes], document.upstreams) == (["web"], [])
    same = build_document(counted(Process(0, "web"), old))
    assert same.processes[0].totals
    assert same.processes[0].totals.attempts == 3


def test_all_keys_of_a_row_count() -> None:
    """Also those that changed long ago, or the sum would fall when one of them gets old."""
    old, new = counters(changed=NOW - RECENT, attempts=3), counters(attempts=2)
    snapshot = counted(Process(0, "client"), old)
    snapshot.counted *= 2
    totals = [ProcessCounters(b"client", False, uid, 1, OWN_NETNS, *new) for uid in (0, 1000)]
    ends = ((0, 80, old), (1, 80, new), (0, 81, old))
    upstreams = [
        ServerCounters(process, OWN_NETNS, LOCAL, port, "", *figures)
        for process, port, figures in ends
    ]
    ports = (80, 81)
    listeners = [ServerCounters(0, OWN_NETNS, bytes(4), port, "", *old) for port in ports]
    snapshot.totals = Totals(*(1_600_000_000, NOW, 1, 2, 3), totals, listeners, upstreams)
    document = build_document(snapshot)
    (row,) = document.upstreams
    (listener,) = document.listeners
    assert row.totals
    assert (row.port, row.totals.attempts) == (80, 5)
    assert listener.totals


def test_namespaces_that_are_gone() -> None:
    """What listened there counts in no row, such as that of others without a name."""
    snapshot = counted(Process(0, "client"), counters(attempts=3))
    snapshot.listeners = [tcp_listener(FIRST_OWNER, 80)._replace(netns=9)]
    snapshot.namespaces = {9: Namespace("", "net:[9]")}
    assert snapshot.totals
    here, gone = (
        ServerCounters(0, netns, bytes(4), 80, "", *counters(accepted=count))
        for netns, count in ((9, 2), (10, 5))
    )
    snapshot.totals = snapshot.totals._replace(listeners=[here, gone])
    (row,) = build_document(snapshot).listeners
    assert (row.netns, row.totals and row.totals.accepted) == ("(unnamed)", 2)


def test_namespaces_of_one_label() -> None:
    """What was counted in each of them is in one row; that of a process is of the lowest one."""
    snapshot = counted(Process(0, "client"), counters(attempts=3))
    numbers = 9, 10
    snapshot.listeners = [tcp_listener(FIRST_OWNER, 80)._replace(netns=each) for each in numbers]
    snapshot.namespaces = dict.fromkeys(numbers, Namespace("", "net:[9]"))
    assert snapshot.totals
    figures = counters(accepted=3)
    snapshot.totals = snapshot.totals._replace(
        listeners=[ServerCounters(0, each, bytes(4), 80, "", *figures) for each in numbers]
    )
    (row,) = build_document(snapshot).listeners
    assert (row.netns, row.totals and row.totals.accepted) == ("(unnamed)", 6)
    snapshot.namespaces = {9: Namespace("first"), 10: Namespace("second")}
    snapshot.counted *= 2
    snapshot.totals = snapshot.totals._replace(
        processes=[
            ProcessCounters(b"client", False, uid, 1, netns, *figures)
            for uid, netns in ((0, 10), (1000, 9))
        ],
        upstreams=[],
    )
    found = {row.id: row.netns for row in build_document(snapshot).processes}
    assert found["client"] == "first"


def of_many(numbers: dict[str, int], uids: dict[str, int] | None = None) -> Snapshot:
    """Return what was counted of processes, each of which has had so many upstreams."""
    figures = counters(attempts=3)
    snapshot = counted(Process(0, "client"), figures)
    snapshot.counted = [Counted(Process(0, name)) for name in numbers]
    assert snapshot.totals
    snapshot.totals = snapshot.totals._replace(
        processes=[
            ProcessCounters(name.encode(), False, (uids or {}).get(name, 0), 1, OWN_NETNS, *figures)
            for name in numbers
        ],
        upstreams=[
            ServerCounters(at, OWN_NETNS, LOCAL, port, "", *figures)
            for at, number in enumerate(numbers.values())
            for port in range(1, 1 + number)
        ],
    )
    return snapshot


def upstreams_of(snapshot: Snapshot, limits: Limits) -> Counter[str]:
    """Return how many rows of upstreams each process has."""
    return Counter(row.process for row in build_document(snapshot, limits).upstreams)


ROOM = Limits(upstreams=100, max_bytes=1 << 30)


def test_thousands_of_upstreams() -> None:
    """Those that there is room for are the same ones each time, and as if there were no bounds."""
    snapshot = of_many({"crawler": MOST_MADE + 500})
    assert upstreams_of(snapshot, NO_LIMITS) == {"crawler": MOST_MADE + 500}
    bounded, many = (
        build_document(snapshot, limits).upstreams
        for limits in (ROOM, ROOM._replace(upstreams=MOST_MADE - 1))
    )
    assert (len(bounded), len(many)) == (ROOM.upstreams, MOST_MADE - 1)
    assert snapshot.totals
    snapshot.totals.upstreams.reverse()
    assert [row.content() for row in build_document(snapshot, ROOM).upstreams] == [
        row.content() for row in bounded
    ]


def test_turns() -> None:
    """One process with thousands of upstreams takes no row of another one's few."""
    numbers = {"a-crawler": 800, "shop": 5, "z-crawler": 800, "zoo": 9}
    assert upstreams_of(of_many(numbers), ROOM) == {
        "a-crawler": 43, "shop": 5, "z-crawler": 43, "zoo": 9,
    }  # fmt: skip
    users = {f"user {number}": 1000 + number for number in range(200)}
    numbers = dict.fromkeys(users, 2) | {"shop": 60}
    found = upstreams_of(of_many(numbers, users), ROOM)
    assert (found["shop"], found.total()) == (60, ROOM.upstreams)
    assert set(found.values()) == {60, 1}


def test_turns_beside_what_is_open() -> None:
    """Rows with sockets take places of the last turn, and of equal turns of the last ids."""
    for numbers, room, expected in (
        ({"a": 3, "b": 1}, 3, {"a>tcp/127.0.0.1:1", "b>tcp/127.0.0.1:1"}),
        ({"z": 1, "a": 1}, 2, {"a>tcp/127.0.0.1:1"}),
    ):
        snapshot = of_many(numbers)
        snapshot.connections = {outbound(FIRST_OWNER, 443): 1}
        found = build_document(snapshot, Limits(upstreams=room)).upstreams
        assert {row.id for row in found if not row.established} == expected
        assert len(found) == room


class SeenAdmission(AdmissionTable):
    """A table of admission that keeps the holders of the upstreams which ask for it."""

    holders: list[set[int]]

    def admit(self, name: str, rows: Sequence[RankedRow[Any]], ask: Ask) -> list[Any]:
        """Admit rows as ever."""
        if name == "upstreams":
            self.holders = [set(each.members) for each in rows]
        return super().admit(name, rows, ask)


def test_whose_an_idle_upstream_is() -> None:
    """Of the processes of its group that hold sockets; of none where none does."""
    for name, members in (("web", {0}), ("client", set())):
        table = SeenAdmission(None, CallMoment(1_700_000_000, 1000, b"b" * 16))
        admission = Admission(table, lambda _: Standing(SYSTEM_UNIT, ""), lambda _data: "")
        build_document(counted(Process(0, name), counters(attempts=3)), admission=admission)
        assert table.holders == [members]


def test_a_cgroup_that_is_gone() -> None:
    """Where the unit's name went with it, nothing is said, not even of unknown ones."""
    snapshot = counted(Process(0, "client", cgroup=99), counters(attempts=3))
    snapshot.processes = [Process(7, "web", unit="web.service")]
    document = build_document(snapshot, grouping=GROUPINGS["unit"])
    assert [row.id for row in document.processes] == ["web.service"]
    assert not document.upstreams


def test_bounds() -> None:
    """A list that leaves out rows of what has no socket is complete; what has one is counted."""
    snapshot = counted(Process(0, "client"), counters(attempts=3))
    document = build_document(snapshot, Limits(processes=1, upstreams=0))
    assert [row.id for row in document.processes] == ["web"]
    assert (document.upstreams, document.complete) == ([], 1)
    assert set(document.collector.truncated.values()) == {0}
    document = build_document(snapshot, Limits(processes=0, upstreams=0))
    assert document.collector.truncated == {"processes": 1, "listeners": 0, "upstreams": 0}
    assert not document.complete


def test_what_is_open_comes_first() -> None:
    """A row for what root's processes did takes no place of a user's that is open."""
    snapshot = counted(Process(0, "client"), counters(attempts=3))
    snapshot.listeners = []
    snapshot.connections = {outbound(FIRST_OWNER, 443): 1}
    snapshot.uids = {FIRST_OWNER: 1000}
    document = build_document(snapshot, Limits(processes=1))
    assert [row.id for row in document.processes] == ["web"]
    assert document.collector.truncated["processes"] == 0


def test_admitted_rows_stay_without_a_socket() -> None:
    """A row keeps its number and its place while its totals change; no such process is admitted.

    Upstreams are, whether or not a connection is open at the moment.
    """
    kept: list[bytes | None] = [None]

    def keep(data: bytes) -> str:
        kept[0] = data
        return ""

    def of(snapshot: Snapshot) -> Document:
        table = AdmissionTable(kept[0], CallMoment(1_700_000_000, 1000, b"b" * 16))
        admission = Admission(table, lambda _members: Standing(SYSTEM_UNIT, ""), keep)
        return build_document(snapshot, Limits(processes=1, upstreams=1), admission=admission)

    lasting = Process(7, "client", 3600.0)
    (client,) = of(snapshot_of([lasting], [tcp_listener(FIRST_OWNER, 90)])).processes
    assert client.admitted == 1
    document = of(counted(Process(0, "client"), counters(attempts=3)))
    rows = {row.id: (row.admitted, row.settled) for row in document.processes}
    assert rows == {"client": (1, 0), "web": (2, 1)}
    (upstream,) = document.upstreams
    assert (upstream.admitted, upstream.established) == (1, 0)
    document = of(counted(Process(0, "passing"), counters(attempts=3)))
    assert [row.id for row in document.processes] == ["web"]
    assert [row.id for row in document.upstreams] == ["passing>tcp/127.0.0.1:80"]


def test_an_admitted_upstream_has_a_row() -> None:
    """However many others have one turn before it."""
    table = AdmissionTable(None, CallMoment(1_700_000_000, 1000, b"b" * 16))
    admission = Admission(table, lambda _members: Standing(SYSTEM_UNIT, ""), lambda _data: "")
    build_document(of_many({"z": 1}), ROOM, admission=admission)
    snapshot = of_many({f"a {number:04}": 1 for number in range(ROOM.upstreams)} | {"z": 1})
    assert "z" not in upstreams_of(snapshot, ROOM)
    document = build_document(snapshot, ROOM, admission=admission)
    assert [row.admitted for row in document.upstreams if row.process == "z"] == [1]
