"""Which processes belong to a question, from a /proc made of files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from zabbix_sockets.collector.requesters import requesting_processes

from ..proctree import ProcTree  # noqa: TID252  # a test folder is no package

AGENT, WORKER, CHILD, SHELL, OTHER, SUDO, OWN, LATER = range(20, 28)


@pytest.fixture
def proc(tmp_path: Path) -> ProcTree:
    """A /proc with process 1."""
    return ProcTree(tmp_path)


def start(proc: ProcTree, *processes: tuple[int, bytes, int]) -> None:
    """Add processes by pid, comm and parent."""
    for pid, comm, parent in processes:
        proc.add(pid, comm)
        proc.write_stat(pid, comm, parent=parent)
        (proc.root / str(pid) / "task" / str(pid) / "children").write_text("")
        children = proc.root / str(parent) / "task" / str(parent) / "children"
        if children.exists():
            children.write_text(f"{children.read_text()}{pid} ")


def agent(proc: ProcTree, name: bytes = b"zabbix_agentd") -> None:
    """Let an agent's worker run a pipeline with sudo, and another of its workers something."""
    start(
        proc,
        (AGENT, name, 1),
        (WORKER, name, AGENT),
        (CHILD, b"sh", WORKER),
        (SHELL, b"sh", CHILD),
        (OTHER, b"grep) 1 (x", CHILD),
        (SUDO, b"sudo", SHELL),
        (OWN, b"python3", SUDO),
        (LATER, b"worker", WORKER),
    )


@pytest.mark.parametrize("name", [b"zabbix_agentd", b"zabbix_agent2"])
def test_all_that_the_agent_started_for_it(proc: ProcTree, name: bytes) -> None:
    """The child of the agent's process and all below it; the agent's processes are themselves."""
    agent(proc, name)
    assert requesting_processes(str(proc), OWN) == {CHILD, SHELL, OTHER, SUDO, OWN}


PROGRAM = b"/opt/python3 -m zabbix_sockets"
AT_ONCE, SOON, ELSE, BELOW = range(40, 44)


@pytest.mark.parametrize("name", [b"zabbix_agentd", b"zabbix_agent2"])
def test_other_questions_of_the_agent(proc: ProcTree, name: bytes) -> None:
    """What other processes of it ask at the same time is left out; what else they run is not."""
    agent(proc, name)
    start(
        proc,
        (30, name, AGENT),
        (AT_ONCE, b"sh", 30),
        (BELOW, b"python3", AT_ONCE),
        (SOON, b"sh", AGENT),
        (ELSE, b"mysql", 30),
    )
    (proc.root / str(BELOW) / "cmdline").write_bytes(PROGRAM.replace(b" ", b"\0") + b"\0count\0x\0")
    (proc.root / str(SOON) / "cmdline").write_bytes(b"sh\0-c\0" + PROGRAM + b" get\0")
    (proc.root / str(ELSE) / "cmdline").write_bytes(b"mysql\0")
    own = {CHILD, SHELL, OTHER, SUDO, OWN}
    assert requesting_processes(str(proc), OWN, PROGRAM) == own | {AT_ONCE, BELOW, SOON}


def test_kernel_that_tells_no_children(proc: ProcTree) -> None:
    """Those from the agent down to itself are known all the same."""
    agent(proc)
    for path in proc.root.glob("*/task/*/children"):
        path.unlink()
    assert requesting_processes(str(proc), OWN) == {CHILD, SHELL, SUDO, OWN}


def test_no_agent(proc: ProcTree) -> None:
    """A person's shell is not the question."""
    agent(proc, b"sshd")
    assert requesting_processes(str(proc), OWN) == {OWN}


@pytest.mark.parametrize(("command", "own"), [(b"a\0get\0", {OWN, SUDO}), (b"", {OWN})])
def test_supervisor(proc: ProcTree, command: bytes, own: set[int]) -> None:
    """A parent of the same command line is a copy that waits; kernel threads have none."""
    agent(proc, b"cron")
    for pid in (OWN, SUDO, SHELL):
        (proc.root / str(pid) / "cmdline").write_bytes(command)
    assert requesting_processes(str(proc), OWN) == own


def test_hidden_parents(proc: ProcTree) -> None:
    """Who can't be seen ends the look upwards."""
    start(proc, (OWN, b"python3", 99))
    assert requesting_processes(str(proc), OWN) == {OWN}
    assert requesting_processes(str(proc), 98) == {98}


@pytest.mark.parametrize(("pid", "parent"), [(OWN, OWN), (OWN, AGENT)])
def test_no_end(proc: ProcTree, pid: int, parent: int) -> None:
    """Pids that were reused while they were read lead nowhere for ever."""
    start(proc, (pid, b"a", parent), *([] if parent == pid else [(parent, b"b", pid)]))
    assert requesting_processes(str(proc), OWN) == {OWN}


@pytest.mark.parametrize("stat", [b"", b"1 (a", b"1 (a) S", b"1 (a) S x 1", b"1 (a) S -5 1"])
def test_broken_stat(proc: ProcTree, stat: bytes) -> None:
    """A file that can't be understood ends the look upwards."""
    start(proc, (OWN, b"python3", AGENT), (AGENT, b"sh", 1))
    (proc.root / str(AGENT) / "stat").write_bytes(stat)
    assert requesting_processes(str(proc), OWN) == {OWN}


def test_this_process() -> None:
    """The caller is the one that asks."""
    assert os.getpid() in requesting_processes()
    code = "import os; from zabbix_sockets.collector.requesters import requesting_processes as a;"
    code += "print(a() == {os.getpid()})"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert said.stdout == "True\n"
