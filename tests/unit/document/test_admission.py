"""Which rows are admitted to discovery: a bound that holds whatever is in documents and clocks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zabbix_sockets.document.admission import (
    LIFETIME_DAYS,
    QUOTAS,
    SIZE,
    Admission,
    AdmissionTable,
    Ask,
    CallMoment,
    count_left_out,
)
from zabbix_sockets.document.document import Limits, build_document
from zabbix_sockets.document.listener_row import ListenerRow
from zabbix_sockets.document.processes import ProcessRow
from zabbix_sockets.document.row import RankedRow, rank
from zabbix_sockets.document.upstreams import UpstreamRow
from zabbix_sockets.model.snapshot import LISTS, SYSTEM_UNIT, SYSTEM_USER, USER, Standing

from ..snapshots import outbound, processes, snapshot_of, tcp_listener  # noqa: TID252

HOUR, DAY = 3600, 86_400
START = CallMoment(1_700_000_000, 1000, b"b" * 16)
ROOT = Standing(SYSTEM_UNIT, "")


def process(name: str, *, settled: int = 1, netns: str = "", listens: bool = True) -> Any:
    """Return the row of a process."""
    row = ProcessRow(
        id=name, name=name, settled=settled, netns=netns, sockets=1, tcp={}, udp={},
        recv_queue_bytes=0, send_queue_bytes=0, accept_queue=0,
    )  # fmt: skip
    return RankedRow(rank(0, listens, 1, name), row)


def listener(port: int, *, ephemeral: int = 0) -> Any:
    """Return the row of a listener."""
    row = ListenerRow(
        id=f"tcp/0.0.0.0:{port}", protocol="tcp", address="0.0.0.0", port=port,
        device="", netns="", ephemeral=ephemeral, process="", sockets=1,
    )  # fmt: skip
    return RankedRow(rank(0, listening=True, sockets=1, row_id=row.id), row)


def upstream(number: int) -> Any:
    """Return the row of an upstream."""
    row = UpstreamRow(
        id=f"nginx>tcp/192.0.2.5:{number}", process="nginx", protocol="tcp", address="192.0.2.5",
        port=number, netns="", established=1, syn_sent=0, close_wait=0,
    )  # fmt: skip
    return RankedRow(rank(0, listening=False, sockets=1, row_id=row.id), row)


def everybody(standing: Standing | None = ROOT) -> Ask:
    """Return what says that all rows are of that standing."""
    return lambda _members: standing


ROOTS = everybody()


class Memory:
    """What is kept from call to call, and a clock: that of the host, and the real one."""

    def __init__(self) -> None:
        self.data: bytes | None = None
        self.now = START
        self.refuses = ""
        self.asked: list[Collection[int]] = []

    def units(self, members: Collection[int]) -> str | None:
        """Note that the unit of a row is asked for, and return one."""
        self.asked.append(members)
        return "app.service"

    def keep(self, data: bytes) -> str:
        """Keep the bytes of a table, or say why not."""
        if not self.refuses:
            assert len(data) == SIZE
            self.data = data
        return self.refuses

    def sleep(self, seconds: int, jump: int = 0) -> None:
        """Let time pass, and set the clock by *jump* seconds."""
        now = self.now
        self.now = CallMoment(max(0, now.time + seconds + jump), now.uptime + seconds, now.boot)

    def boot(self) -> None:
        """Boot the host."""
        self.now = CallMoment(self.now.time + 60, 60, bytes(16))

    def call(
        self, rows: Iterable[Any], ask: Ask = ROOTS, kind: str = "processes"
    ) -> dict[str, int]:
        """Make a call, and return the numbers of the rows that are admitted."""
        rows = list(rows)
        Admission(AdmissionTable(self.data, self.now), ask, self.keep, self.units).apply(
            {kind: rows}
        )
        return {each.row.id: each.row.admitted for each in rows if each.row.admitted}


@pytest.fixture
def memory() -> Memory:
    """Nobody was admitted yet."""
    return Memory()


def named(prefix: str, count: int) -> list[Any]:
    """Return that many processes."""
    return [process(f"{prefix} {number}") for number in range(count)]


MAKERS: Mapping[str, Callable[[int], Any]] = {
    "processes": lambda number: process(f"name {number}"),
    "listeners": listener,
    "upstreams": upstream,
}


@pytest.mark.parametrize("kind", LISTS)
def test_quota(memory: Memory, kind: str) -> None:
    """So many are admitted at first, a few more each day, and never more than there are slots."""
    first, daily = QUOTAS[kind].first, QUOTAS[kind].daily
    rows = [MAKERS[kind](number) for number in range(1, 1000)]
    for days in range(LIFETIME_DAYS + 5):
        for _ in range(2):  # more calls admit no more
            numbers = memory.call(rows, kind=kind)
        wanted = min(first + days * daily, QUOTAS[kind].slots)
        assert sorted(numbers.values()) == list(range(1, wanted + 1))
        memory.sleep(DAY)


def test_numbers_stay(memory: Memory) -> None:
    """A row keeps its number as long as it is kept, also while it is absent for days."""
    before = memory.call(named("a", 100))
    for _ in range(LIFETIME_DAYS):
        memory.sleep(DAY)
        memory.call(named("b", 5))
    assert memory.call(named("a", 100)) == before


def test_slots_become_free(memory: Memory) -> None:
    """The number of a row that was not seen for longer than servers keep it is another's."""
    memory.call(named("a", 120))
    for _ in range(LIFETIME_DAYS):
        memory.sleep(DAY)
        memory.call([])
    assert 1 not in memory.call(named("b", 40)).values()
    memory.sleep(DAY)
    memory.call([])
    memory.sleep(DAY)
    assert memory.call(named("c", 1)) == {"c 0": 1}


def test_what_is_left_of_the_first_day_stays(memory: Memory) -> None:
    """A host that gets its services later has as many at first."""
    memory.call(named("a", 20))
    for _ in range(3):
        memory.sleep(DAY)
        memory.call([])
    assert len(memory.call(named("b", 200))) == 100


def test_order(memory: Memory) -> None:
    """Units of the system come first, then what listens, then what lasts; ports picked last."""
    standings = {
        "unit": Standing(SYSTEM_UNIT, "", 1.0),
        "listens": Standing(SYSTEM_USER, "", 1.0),
        "old": Standing(SYSTEM_USER, "", 1e6),
        "young": Standing(SYSTEM_USER, "", 1.0),
        "user's": Standing(USER, "uid 1000", 1e9),
    }
    rows = [process(name, listens=name in ("listens", "user's")) for name in reversed(standings)]
    for each in rows:
        each.members = (each.row.id,)
    numbers = memory.call(rows, lambda members: standings[str(*members)])
    assert sorted(numbers, key=lambda name: numbers[name]) == list(standings)


def test_ephemeral_ports_come_last(memory: Memory) -> None:
    """Ports that the kernel picks take a part alone, and no service's place."""
    picked = [listener(number, ephemeral=1) for number in range(40_000, 41_000)]
    numbers = memory.call([*picked, listener(80)], kind="listeners")
    assert numbers["tcp/0.0.0.0:80"] == 1
    assert len(numbers) == 1 + QUOTAS["listeners"].first // 4
    assert count_left_out(picked) == 0


def test_a_users_names_share_a_part(memory: Memory) -> None:
    """A user gets a quarter, all users and containers together a half, the system the rest."""

    def asked(members: Collection[int]) -> Standing:
        return Standing(USER, f"uid {next(iter(members)) % 3}")

    rows = named("x", 900)
    for number, each in enumerate(rows):
        each.members = (number,)
    first, slots = QUOTAS["processes"].first, QUOTAS["processes"].slots
    assert len(memory.call(rows[::3], asked)) == first // 4
    assert len(memory.call(rows, asked)) == first // 2
    assert len(memory.call(named("service", 60))) == 60
    for _ in range(20):
        memory.sleep(DAY)
        numbers = memory.call(rows, asked)
    assert len(numbers) == slots // 2


def test_a_service_leaves_room_for_others(memory: Memory) -> None:
    """A service that has many names, as a user can have, gets a half."""
    haproxy = everybody(Standing(SYSTEM_UNIT, "uid 130"))
    rows = [upstream(number) for number in range(1, 1000)]
    first = QUOTAS["upstreams"].first
    assert len(memory.call(rows, haproxy, kind="upstreams")) == first // 2
    nginx = everybody(Standing(SYSTEM_UNIT, "uid 33"))
    assert len(memory.call(rows, nginx, kind="upstreams")) == first


def test_another_namespaces_root_is_no_root(memory: Memory) -> None:
    """Rows of other network namespaces share the part of users, whoever's they are."""
    rows = [process(f"x {number}", netns="web") for number in range(500)]
    assert len(memory.call(rows)) == QUOTAS["processes"].first // 2
    assert count_left_out(rows) == 0


def test_not_asked_in_time(memory: Memory) -> None:
    """A row of which nobody knows yet whose it is waits for the next call."""
    assert memory.call(named("a", 3), everybody(None)) == {}
    assert len(memory.call(named("a", 3))) == 3


def test_each_is_asked_for_in_turn(memory: Memory) -> None:
    """With more new rows than are asked for in a call, each has its turn within minutes."""
    rows = named("x", 9_999)
    for number, each in enumerate(rows):
        each.members = (number,)
    last = rows[-1].row.id

    def ask(members: Collection[int]) -> Standing:
        asked.append(next(iter(members)))
        return ROOT if 9_998 in members else Standing(USER, "uid 1000")

    for _ in range(11):
        asked: list[int] = []
        numbers = memory.call(rows, ask)
        assert len(asked) <= 1000
        memory.sleep(60)
    assert last in numbers


def test_only_settled_processes(memory: Memory) -> None:
    """A process that is worth nothing yet takes no slot; one that has one keeps it."""
    assert memory.call([process("a", settled=0)]) == {}
    assert memory.call([process("a")]) == {"a": 1}
    assert memory.call([process("a", settled=0)]) == {"a": 1}
    rows = [process("b", settled=0), process("c")]
    memory.call(rows, everybody(None))
    assert count_left_out(rows) == 1


@pytest.mark.parametrize("jump", [-40 * DAY, 3 * DAY, 4000 * DAY])
def test_clock_that_jumps(memory: Memory, jump: int) -> None:
    """A clock that is set makes no day, frees no slot, and stops none for longer than a day."""
    memory.call(named("a", 120))
    memory.sleep(60, jump)
    assert memory.call(named("b", 100)) == {}
    memory.sleep(60, -jump)
    assert memory.call(named("b", 100)) == {}
    assert len(memory.call(named("a", 120))) == 120
    memory.sleep(DAY + HOUR)
    assert len(memory.call(named("b", 100))) == QUOTAS["processes"].daily


def test_host_that_is_off_at_night(memory: Memory) -> None:
    """Days pass, though no boot lasts for one."""
    memory.call(named("a", 120))
    memory.sleep(8 * HOUR)
    memory.sleep(15 * HOUR + HOUR)
    memory.boot()
    assert len(memory.call(named("b", 100))) == QUOTAS["processes"].daily


@pytest.mark.parametrize(
    "data",
    [b"", b"x", bytes(SIZE), b"x" * SIZE, b"x" * (SIZE + 1)],
    ids=["empty", "short", "zeros", "foreign", "long"],
)
def test_no_table(memory: Memory, data: bytes) -> None:
    """What is no table is as if there were none, and is replaced by one."""
    memory.data = data
    assert memory.call([process("a")]) == {"a": 1}
    assert memory.call([process("b"), process("a")]) == {"a": 1, "b": 2}


def test_other_version(memory: Memory) -> None:
    """A table of another version is none."""
    memory.call([process("a")])
    assert memory.data
    memory.data = memory.data[:7] + b"\2" + memory.data[8:]
    assert memory.call([process("b")]) == {"b": 1}


@given(data=st.data())
def test_damaged_table(data: st.DataObject) -> None:
    """Whatever bytes are in it: every number is one of a slot, and no two rows have one."""
    memory = Memory()
    memory.call(named("a", 130))
    assert memory.data
    damaged = bytearray(memory.data)
    for at in data.draw(st.lists(st.integers(8, SIZE - 1), max_size=50)):
        damaged[at] = data.draw(st.integers(0, 255))
    memory.data = bytes(damaged)
    for _ in range(3):
        memory.sleep(DAY)
        numbers = memory.call(named("a", 500)).values()
        assert len(set(numbers)) == len(numbers)
        assert all(1 <= number <= QUOTAS["processes"].slots for number in numbers)


def test_damaged_day(memory: Memory) -> None:
    """The greatest day that a table can have is followed by one, too."""
    memory.call([process("a")])
    assert memory.data
    memory.data = memory.data[:8] + b"\xff" * 4 + memory.data[12:]
    memory.sleep(DAY)
    assert memory.call([process("a"), process("b")]).keys() >= {"b"}
    memory.sleep(DAY)
    assert memory.call([process("a"), process("b")]).keys() == {"a", "b"}


def test_units_of_new_listeners(memory: Memory) -> None:
    """The unit is told on the day when a listener was admitted; those at first are not asked for.

    Nor are those on ephemeral ports, and processes.
    """
    old, new, picked = listener(22), listener(80), listener(40_000, ephemeral=1)
    memory.call([old], kind="listeners")
    memory.call([process("a")])
    for _ in range(2):
        rows = [old, new, picked]
        memory.call(rows, kind="listeners")
        assert [each.row.unit for each in rows] == [None, "app.service", None]
        assert len(memory.asked) == 1
        memory.asked.clear()
        old, new, picked = listener(22), listener(80), listener(40_000, ephemeral=1)
    memory.sleep(DAY)
    memory.call([new], kind="listeners")
    assert (new.row.admitted, new.row.unit) == (2, None)
    assert not memory.asked


def test_nothing_new_where_it_cannot_be_kept(memory: Memory) -> None:
    """Rows that were admitted stay, no new one is, and the document says why."""
    memory.call([process("a")])
    memory.refuses = "/x: Read-only file system"
    assert memory.call([process("a"), process("b")]) == {"a": 1}
    snapshot = snapshot_of(processes("b"), [tcp_listener(2, 80)])
    admission = Admission(AdmissionTable(memory.data, START), everybody(), memory.keep)
    document = build_document(snapshot, admission=admission)
    assert document.collector.warnings == [f"nothing new is discovered: {memory.refuses}"]
    assert document.collector.not_admitted == 2
    assert [row.admitted for row in document.processes] == [0]


def test_nothing_is_written_without_news(memory: Memory) -> None:
    """An idle host's file is written once a day."""
    rows = named("a", 30)
    memory.call(rows)
    for minutes in (1, 5, 60):
        memory.sleep(60 * minutes)
        table = AdmissionTable(memory.data, memory.now)
        table.see("processes", rows)
        assert not table.changed


_BOTH = st.tuples(st.sampled_from([60, HOUR, 9 * HOUR, DAY, 3 * DAY, 8 * DAY]),
                  st.sampled_from([0, 0, 0, -DAY, DAY, 40 * DAY, -4000 * DAY]))  # fmt: skip
_STEPS = st.lists(
    st.tuples(_BOTH, st.integers(0, 300), st.integers(0, 500), st.sampled_from([0, 1, 2, 3])),
    min_size=1,
    max_size=14,
)


@given(_STEPS)
def test_bound_holds(steps: list[tuple[tuple[int, int], int, int, int]]) -> None:
    """Whatever names, days and clocks: a server never keeps more rows than there are slots.

    And a row that was admitted and is still there is admitted with the same number.
    """
    memory, real = Memory(), 0
    last_offered: dict[str, int] = {}
    before: dict[str, int] = {}
    for number, ((seconds, jump), stay, new, user) in enumerate(steps):
        real += seconds
        memory.sleep(seconds, jump)
        staying = sorted(before)[:stay]
        rows = [*map(process, staying), *named(f"step {number}", new)]
        standing = Standing(USER, f"uid {user}") if user else ROOT
        numbers = memory.call(rows, everybody(standing))
        assert {name: before[name] for name in staying} == {name: numbers[name] for name in staying}
        last_offered |= dict.fromkeys(numbers, real)
        kept_for = LIFETIME_DAYS * DAY + HOUR
        kept = [name for name, at in last_offered.items() if real - at <= kept_for]
        assert len(kept) <= QUOTAS["processes"].slots
        before = numbers


@given(st.integers(0, 300), st.integers(0, 900), st.integers(2500, 60_000))
@settings(max_examples=30, deadline=None)
def test_admitted_rows_are_never_displaced(kept: int, others: int, max_bytes: int) -> None:
    """Admitted rows are in the document, whoever else comes, or those that were admitted first."""
    memory = Memory()
    names = [f"service {number:03}" for number in range(kept)]
    limits = Limits(processes=20, max_bytes=max_bytes)
    while len(numbers := memory.call(map(process, names))) < kept:
        memory.sleep(DAY)
    loud = [f"flood {number}" for number in range(others)]
    everything = [*names, *loud]
    sockets = {outbound(2 + at, 443): 1 if at < kept else 9999 for at in range(len(everything))}
    snapshot = snapshot_of(processes(*everything), (), sockets)
    admission = Admission(
        AdmissionTable(memory.data, memory.now), everybody(Standing(USER, "uid 1")), memory.keep
    )
    rows = {row.id: row for row in build_document(snapshot, limits, admission=admission).processes}
    assert {name: rows[name].admitted for name in names if name in rows} == {
        name: numbers[name] for name in names if name in rows
    }
    left_out = [name for name in names if name not in rows]
    assert not left_out or not rows.keys() - set(names)
    most = max((row.admitted or 0 for row in rows.values()), default=0)
    assert all(numbers[name] > most for name in left_out)
