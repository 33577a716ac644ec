"""How the programs that count are loaded: again, without them, and where a kernel refuses them."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import traffic_zoo
from children import run_as
from counted import (
    assert_comes_to,
    fail,
    folder_for_pins,
    loaded,
    look,
    read,
    read_all,
    without_exchange,
)
from traffic_zoo import Expected
from zoo import wait_for

from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.readers.bpf import loader, records, totals
from zabbix_sockets.readers.bpf.pins import load, unload

NOBODY = 65534
WITHOUT_TOTALS = (*records.PROGRAMS, records.COUNT_MINISOCKS)
REFUSALS = "Operation not permitted", "Permission denied"


@pytest.mark.usefixtures("pins")
@pytest.mark.parametrize("have", [loaded, without_exchange])
def test_a_kernel_without_mptcp(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, have: Callable[[], AbstractContextManager[str]]
) -> None:
    """Its types have no MPTCP socket; the programs are loaded all the same."""
    types = Path(loader.KERNEL_TYPES).read_bytes()
    name, other = b"\0mptcp_sock\0", b"\0mptcp_none\0"
    if name not in types:
        pytest.skip("this kernel itself has no MPTCP: other tests show it")
    changed_types = tmp_path / "vmlinux"
    changed_types.write_bytes(types.replace(name, other))
    monkeypatch.setattr(loader, "KERNEL_TYPES", str(changed_types))
    if have == loaded:
        if tuple(map(int, os.uname().release.split(".")[:2])) < (5, 12):
            pytest.skip("no atomic exchange: this kernel takes the other object alone")
        monkeypatch.setattr(totals, "WITHOUT_EXCHANGE", "none")  # which nothing falls back to
    with have() as folder:
        assert records.are_totals_pinned(folder)
        before, expected = read(folder), Expected()
        traffic_zoo.short_lived(expected)
        look(folder)
        assert_comes_to(folder, before, expected)


def test_refused_for_its_exchange(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where the usual programs are refused the others are loaded, and nothing is said."""
    usual, broken = loader.object_path, tmp_path / "broken.o"
    broken.write_bytes(b"no object")
    monkeypatch.setattr(
        loader, "object_path", lambda name: str(broken) if name == "totals" else usual(name)
    )
    with loaded() as folder:
        assert records.are_totals_pinned(folder)
        before, expected = read(folder), Expected()
        traffic_zoo.short_lived(expected)
        assert_comes_to(folder, before, expected)


def test_load_again_begins_anew_without_a_gap() -> None:
    """While it is loaded again, each connection is counted by the former totals or by the new."""
    with loaded() as folder:
        first, expected = read(folder), Expected()
        traffic_zoo.short_lived(expected)
        assert_comes_to(folder, first, expected)
        since = read_all(folder).since
        threading.Event().wait(1.1)
        load(folder, with_totals=True, warn=fail)
        assert read_all(folder).since > since
        again = Expected()
        traffic_zoo.short_lived(again)
        assert_comes_to(folder, ({}, {}, {}), again)


def test_load_again_while_connections_come() -> None:
    """The new totals have each connection that was opened after the load, and none before it."""
    stop, opened = threading.Event(), 0
    server, name = traffic_zoo.listener()

    def connect() -> None:
        nonlocal opened
        while not stop.is_set():
            client = socket.create_connection(server.getsockname())
            opened += 1
            server.accept()[0].close()
            client.close()

    with loaded() as folder:
        thread = threading.Thread(target=connect)
        thread.start()
        try:
            wait_for(lambda: opened > 100, "")
            before = opened
            load(folder, with_totals=True, warn=fail)
            after = opened
            wait_for(lambda: opened > after + 100, "")
        finally:
            stop.set()
            thread.join()
        look(folder)  # which tells the upstreams
        for found in read(folder)[0][Expected().comm], read(folder)[2][Expected().comm, name]:
            for counter in "attempts", "opened":
                assert opened - after - 1 <= found[counter] <= opened - before + 1
    server.close()


def test_load_without_totals_takes_them_away() -> None:
    """The programs that count end with their pins, and the iterators stay."""
    with loaded() as folder:
        assert records.are_totals_pinned(folder)
        load(folder)
        assert not records.are_totals_pinned(folder)
        assert sorted(os.listdir(folder)) == sorted(
            [*{"maps.debug", "progs.debug"} & set(os.listdir(folder))]
            + [f"{program}-v{records.ABI}" for program in WITHOUT_TOTALS]
        )


@pytest.mark.parametrize("has_another_reason", [False, True])
def test_a_kernel_without_these_programs_keeps_the_iterators(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, has_another_reason: bool
) -> None:
    """What the kernel refuses is told, of either object, and the iterators are pinned as ever."""
    told: list[str] = []
    usual, broken = loader.object_path, tmp_path / "broken.o"
    broken.write_bytes(b"no object")
    paths_of = {name: str(broken) for name in ("totals", totals.WITHOUT_EXCHANGE)}
    if has_another_reason:
        paths_of[totals.WITHOUT_EXCHANGE] = usual("minisocks")
    monkeypatch.setattr(loader, "object_path", lambda name: paths_of.get(name) or usual(name))
    folder = folder_for_pins()
    try:
        paths = load(folder, with_totals=True, warn=told.append)
        assert paths == [records.pin_path(folder, program) for program in WITHOUT_TOTALS]
        look(folder)
    finally:
        unload(folder)
        os.rmdir(folder)
    (reason,) = told
    assert reason.startswith("without totals: can't open the BPF object")
    another = "; and those without atomic exchange: can't find "
    assert (another in reason) == has_another_reason
    assert reason.count("is not a proper ELF object") == 1  # which libbpf says of each by itself


def test_a_first_pass_that_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """All is pinned, that is told, and the totals begin with the next pass."""
    told: list[str] = []
    monkeypatch.setattr("zabbix_sockets.readers.bpf.pins._FIRST_PASS", 0.0)
    folder = folder_for_pins()
    try:
        load(folder, with_totals=True, warn=told.append)
        assert records.are_totals_pinned(folder)
        look(folder)
        expected = Expected()
        traffic_zoo.short_lived(expected)
        assert_comes_to(folder, ({}, {}, {}), expected)
    finally:
        unload(folder)
        os.rmdir(folder)
    (reason,) = told
    assert "totals begin with the next one" in reason


def test_two_capabilities_load() -> None:
    """CAP_BPF and CAP_PERFMON are enough; without either of them the kernel refuses."""
    both = "CAP_BPF", "CAP_PERFMON"

    def attempt() -> object:
        try:
            with loader.LoadedPrograms(()) as programs:
                programs.load_totals()
        except SocketsError as error:
            return str(error)
        return "loaded"

    assert attempt() == "loaded"
    assert run_as(NOBODY, attempt, capabilities=both) == "loaded"
    for held in both:
        refused = run_as(NOBODY, attempt, capabilities=(held,))
        assert str(refused).endswith(REFUSALS)
