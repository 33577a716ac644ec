"""The bench measures what it says: the load is as large as asked for, and the bounds see it all."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
SOCKETS = 200
PROCESSES = 4
ESTABLISHED = " 01 "
TIME_WAIT = " 06 "
OF_EVERYTHING = ("netlink_receive", "fd_readlink", "procnet_read")

pytestmark = pytest.mark.kernel


def _need(condition: object, reason: str) -> None:
    if not condition:
        (pytest.fail if os.environ.get("REQUIRE_KERNEL") == "1" else pytest.skip)(reason)


@contextmanager
def _load(*options: str) -> Iterator[int]:
    """Hold a load; gives the pid of its parent."""
    counts = ("--sockets", str(SOCKETS), "--processes", str(PROCESSES), "--seconds", "60")
    command = [sys.executable, str(HERE / "load.py"), *counts, *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            assert process.stdout.readline() == "ready\n"
            yield process.pid
        finally:
            process.terminate()


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _socket_inodes(pid: int) -> set[str]:
    """The inodes of the sockets that a process holds."""
    targets = (os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir())
    return {target[8:-1] for target in targets if target.startswith("socket:")}


def _rows(state: str) -> list[list[str]]:
    """The fields of /proc/net/tcp, of one state."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return [line.split() for line in lines if state in line[:40]]


def _first_number(command: list[str]) -> int:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout.split(maxsplit=1)[0])


@pytest.fixture(scope="module")
def bounds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The C programs, compiled."""
    compiler = shutil.which("cc")
    _need(compiler, "no C compiler: tests/requirements.sh installs gcc and libc6-dev")
    programs = {}
    for source in set((HERE / "bounds").glob("*.c")) - set((HERE / "bounds").glob("*.bpf.c")):
        programs[source.stem] = str(tmp_path_factory.mktemp("bounds") / source.stem)
        command = [str(compiler), "-O2", "-Wall", "-Werror", "-o", programs[source.stem]]
        subprocess.run([*command, str(source)], check=True)
    return programs


def test_load_opens_as_many_sockets_as_asked_for() -> None:
    """All connected sockets are shared out evenly, each with an owner; listeners are extra."""
    with _load() as parent:
        owned = [_socket_inodes(pid) for pid in _children(parent)]
        established = {row[9] for row in _rows(ESTABLISHED)}
    assert len(owned) == PROCESSES
    assert [len(inodes & established) for inodes in owned] == [SOCKETS // PROCESSES] * PROCESSES
    assert [len(inodes - established) for inodes in owned] == [1] * PROCESSES


def test_load_with_distinct_upstreams_has_an_address_for_each_connection() -> None:
    """No two sockets have the same remote address, and half of these are listened on."""
    with _load("--distinct-upstreams") as parent:
        inodes = set().union(*map(_socket_inodes, _children(parent)))
        remote = {row[2].split(":")[0] for row in _rows(ESTABLISHED) if row[9] in inodes}
    assert len(remote) == SOCKETS
    assert len([address for address in remote if address.endswith("407F")]) == SOCKETS // 2


def test_shared_load_gives_every_process_every_socket() -> None:
    """The processes inherit one table by fork."""
    with _load("--shared", str(PROCESSES)) as parent:
        (opener,) = _children(parent)
        heirs = [_socket_inodes(pid) for pid in _children(opener)]
        opened = _socket_inodes(opener)
    assert len(opened) == SOCKETS + 1
    assert heirs == [opened] * (PROCESSES - 1)


def test_load_in_namespaces() -> None:
    """Each process has its sockets in a namespace of its own."""
    _need(os.geteuid() == 0, "network namespaces need root")
    with _load("--namespaces") as parent:
        children = _children(parent)
        spaces = {os.readlink(f"/proc/{pid}/ns/net") for pid in (parent, *children)}
        held = [len(_socket_inodes(pid)) for pid in children]
    assert len(spaces) == PROCESSES + 1
    assert held == [SOCKETS // PROCESSES + 1] * PROCESSES


def test_load_leaves_nothing_behind() -> None:
    """Its processes are gone, and so are its connections, without a TIME_WAIT."""
    with _load() as parent:
        pids = _children(parent)
        ports = {row[1] for row in _rows(ESTABLISHED)}
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    assert not [row for row in _rows(TIME_WAIT) if row[1] in ports]


def test_bounds_see_the_whole_load(bounds: dict[str, str]) -> None:
    """Each lower bound does all the work that it stands for."""
    _need(os.access("/proc/1/fd", os.R_OK), "only root can count the descriptors of others")
    with _load() as parent:
        held = sum(len(_socket_inodes(pid)) for pid in _children(parent))
        table = len(Path("/proc/net/tcp").read_bytes())
        counts = {name: _first_number([bounds[name]]) for name in OF_EVERYTHING}
    assert held == SOCKETS + PROCESSES
    assert counts["netlink_receive"] >= held
    assert counts["fd_readlink"] >= held
    assert counts["procnet_read"] >= 150 * held
    assert table >= 150 * held


def test_iterator_bounds_count_the_load(tmp_path: Path) -> None:
    """The bench itself checks that they visit and write as much as the load has."""
    _need(os.geteuid() == 0, "only root can load BPF programs")
    _need(Path("/sys/kernel/btf/vmlinux").exists(), "this kernel has no BTF")
    _need(shutil.which("clang"), "no clang: tests/requirements.sh installs it")
    _need(Path("/usr/include/bpf/libbpf.h").exists(), "no libbpf-dev")
    names = ["iterator_nothing", "iterator_records"]
    options = ["--levels", str(SOCKETS), "--processes", str(PROCESSES), "--repeat", "1"]
    command = [sys.executable, str(HERE / "run.py"), *options, "--only", ",".join(names)]
    subprocess.run([*command, "--output", str(tmp_path)], check=True, capture_output=True)
    (level,) = json.loads((tmp_path / "bench.json").read_text())["levels"]
    assert [level["figures"][name]["status"] for name in names] == ["ok", "ok"]
