"""A program that is started for a while: it ends with us, and nothing is left of it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.sending.launch import run

_STAYS = "echo $$; sleep 1000 & echo $!; wait"
_CALLER = """
import sys
from zabbix_sockets.sending.launch import run
run(["sh", "-c", sys.argv[1]], b"", None, 1000)
"""


def is_alive(pid: int) -> bool:
    """Whether a process is there, and more than what its parent has not yet waited for."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] not in ("Z", "X")


def test_what_it_said() -> None:
    """Both of its outputs, its status; its input is what it was given, and its folder."""
    completion = run(["sh", "-c", "cat; pwd; echo wrong >&2; exit 7"], b"given\n", "/", 30)
    assert completion == (7, "given\n/\nwrong\n", False)


def test_long_input_that_nobody_reads() -> None:
    """It is no reason to wait."""
    assert run(["true"], b"x" * 10_000_000, None, 30) == (0, "", False)


def test_nothing_is_left() -> None:
    """Neither a process of its group nor a child that nobody waits for."""
    completion = run(["cut", "-d ", "-f5", "/proc/self/stat"], b"", None, 30)
    group = int(completion.output)
    assert group != os.getpgrp()
    deadline = time.monotonic() + 30
    while has_group(group):
        assert time.monotonic() < deadline
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def has_group(group: int) -> bool:
    """Whether a process is in a process group."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_late() -> None:
    """It ends with all that it started; what it had said is heard."""
    completion = run(["sh", "-c", _STAYS], b"", None, 0.5)
    assert completion.timed_out
    pids = [int(line) for line in completion.output.split()]
    assert len(pids) == 2
    deadline = time.monotonic() + 30
    while any(map(is_alive, pids)):
        assert time.monotonic() < deadline


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_ends_with_its_caller(tmp_path: Path, number: signal.Signals) -> None:
    """However its caller ends, so do it and what it has started."""
    pids = tmp_path / "pids"
    script = _STAYS.replace("wait", f"mv {pids}.new {pids}; wait")
    script = f"exec >{pids}.new; {script}"
    command = [sys.executable, "-c", _CALLER, script]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as caller:
        try:
            deadline = time.monotonic() + 30
            while not pids.exists():
                assert time.monotonic() < deadline
                time.sleep(0.01)
            started = [int(line) for line in pids.read_text().split()]
            assert len(started) == 2
            assert all(map(is_alive, started))
            caller.send_signal(number)
            caller.wait(30)
        finally:
            caller.kill()
    while any(map(is_alive, started)):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_no_folder(tmp_path: Path) -> None:
    """It is an error with its reason."""
    with pytest.raises(SocketsError, match="true can't be started: No such file"):
        run(["true"], b"", str(tmp_path / "nowhere"), 1)
