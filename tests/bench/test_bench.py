"""The bench measures what it says: the load is as large as asked for, and the bounds see it all."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.bench.candidates import BEFORE, NOBODY, Candidate
from tests.bench.measure import Launcher, compile_programs
from tests.bench.results import Pairs, pairs
from tests.bench.rounds import measure
from tests.bench.scenarios import Stage

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
    """The inodes of the sockets that a process holds; another program may just begin in it."""
    targets = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            targets.append(os.readlink(entry))
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
        held = set().union(*map(_socket_inodes, pids))
        ends = [row[1] for row in _rows(ESTABLISHED) if row[9] in held]
    assert len(ends) == SOCKETS
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    assert not [row for row in _rows(TIME_WAIT) if row[1] in ends]


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


def _bench(output: Path, *options: str) -> dict[str, Any]:
    """What the bench says of one level, measured once."""
    command = [sys.executable, str(HERE / "run.py"), "--repeat", "1", *options]
    subprocess.run([*command, "--output", str(output)], check=True, capture_output=True)
    (level,) = json.loads((output / "bench.json").read_text())["levels"]
    figures: dict[str, Any] = level["figures"]
    return figures


@pytest.fixture
def launcher(tmp_path: Path) -> Launcher:
    """Starts commands for as long as a minute."""
    _need(shutil.which("cc"), "no C compiler: tests/requirements.sh installs gcc and libc6-dev")
    return Launcher(compile_programs(tmp_path)["launch"], tmp_path, 60)


def test_iterator_bounds_count_the_load(tmp_path: Path) -> None:
    """The bench itself checks that they visit and write as much as the load has."""
    _need(os.geteuid() == 0, "only root can load BPF programs")
    _need(Path("/sys/kernel/btf/vmlinux").exists(), "this kernel has no BTF")
    _need(shutil.which("clang"), "no clang: tests/requirements.sh installs it")
    _need(Path("/usr/include/bpf/libbpf.h").exists(), "no libbpf-dev")
    names = ["iterator_nothing", "iterator_records"]
    load = ("--levels", str(SOCKETS), "--processes", str(PROCESSES))
    figures = _bench(tmp_path, *load, "--only", ",".join(names))
    assert [figures[name]["status"] for name in names] == ["ok", "ok"]


@pytest.mark.short_form
def test_version_before_has_pins_and_an_agent_of_its_own(tmp_path: Path) -> None:
    """Another interpreter's calls are measured beside the product's, and compared with them."""
    _need(os.geteuid() == 0, "only root can load BPF programs")
    _need(Path("/sys/kernel/btf/vmlinux").exists(), "this kernel has no BTF")
    before = tmp_path / "before"
    log = tmp_path / "log"
    before.write_text(f'#!/bin/sh\necho "$*" >>{log}\nexec {sys.executable} "$@"\n')
    before.chmod(0o755)
    figures = _bench(tmp_path, "--levels", "0", "--only", "bpf,procfs", "--against", str(before))
    for name in ("bpf", "procfs"):
        assert [figures[each]["status"] for each in (name, f"{name}{BEFORE}")] == ["ok", "ok"]
        assert figures[name]["wall_x_before"]["ratio"] > 0
        assert figures[name]["cpu_x_before"]["ratio"] > 0
    called = re.findall(r"(?:-m zabbix_sockets|main\(\)) (.+)", log.read_text())
    assert [line.split()[0] for line in called] == ["load", "get", "get", "unload"]
    pins = {line.split("--pins ")[1].split()[0] for line in called if "--pins" in line}
    assert {Path(folder).name for folder in pins} == {"bpf_before"}


def test_version_before_takes_turns_with_the_product(launcher: Launcher) -> None:
    """The two are neighbours in each round, and each is the first of them in every second one."""
    log = launcher.directory / "log"
    names = ("other", "a", f"a{BEFORE}", "b", f"b{BEFORE}")
    known = [Candidate(name, ("sh", "-c", f"echo {name} >>{log}")) for name in names]
    figures = measure(known, Stage("", None), 3, launcher, lambda *_: None)
    straight, crossed = list(names), ["other", f"a{BEFORE}", "a", f"b{BEFORE}", "b"]
    assert log.read_text().split() == straight + crossed + straight
    assert {(each.status, len(each.cpus_s)) for each in figures.values()} == {("ok", 3)}


def test_pairs_are_compared_round_by_round() -> None:
    """A round in which both were slow says what one in which both were fast says."""
    assert pairs((2.0, 40.0, 6.0), (1.0, 10.0, 2.0)) == Pairs(3.0, 2.5, 3.5)
    assert pairs((2.0,), (1.0,)) == Pairs(2.0, 2.0, 2.0)
    assert pairs((), (1.0,)) is None


def test_user_of_a_candidate_has_no_privilege(launcher: Launcher) -> None:
    """An agent's call runs as another user, in no group of root's, with no capability."""
    _need(os.geteuid() == 0, "only root can become another user")
    command = ("grep", "-E", "^(Uid|Gid|Groups|CapPrm|CapEff|CapInh|CapAmb):", "/proc/self/status")
    outcome = launcher.run(command, keep_output=True, uid=NOBODY)
    said = {line.split()[0]: line.split()[1:] for line in outcome.output.splitlines()}
    assert said.pop("Uid:") == said.pop("Gid:") == [str(NOBODY)] * 4
    assert said.pop("Groups:") == []
    assert said == {key: ["0" * 16] for key in ("CapInh:", "CapPrm:", "CapEff:", "CapAmb:")}


@pytest.mark.short_form
def test_agent_is_measured_on_an_idle_host_alone(tmp_path: Path) -> None:
    """As the user that the agent is, or not at all: where that may not start the interpreter."""
    idle = _bench(tmp_path, "--levels", "0", "--only", "agent")["agent"]
    if idle["status"] != "ok":
        assert idle["status"] == "missing"
        assert idle["note"].startswith(f"user {NOBODY} may not start ")
    load = ("--levels", str(SOCKETS), "--processes", str(PROCESSES))
    assert "agent" not in _bench(tmp_path, *load, "--only", "agent")
