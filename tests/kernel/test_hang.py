"""A call that hangs in the kernel, where no signal but SIGKILL gets through.

A FUSE file system whose server never answers its first request: whoever looks below its mount
point waits in state D. It stands for a dead NFS server and a failing disk.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import zoo

MS_REC, MS_PRIVATE, CLONE_NEWNS = 0x4000, 1 << 18, 0x20000
_libc = ctypes.CDLL(None, use_errno=True)
TIMEOUT = 1.0
LATEST = 1.2
"""Seconds after which a call is ended that may take TIMEOUT."""
TRIES = 20
"""Calls of which one has to hang: on a busy machine the time may be over before it looks."""


def mount(source: bytes, target: bytes, kind: bytes | None, flags: int, options: bytes) -> None:
    """Mount something (mount(2))."""
    if _libc.mount(source, target, kind, flags, options):
        raise OSError(ctypes.get_errno(), "mount")


@pytest.fixture
def hung(tmp_path: Path) -> Iterator[Path]:
    """A folder in which every look hangs, in a mount namespace of this test's own."""
    if not os.path.exists("/dev/fuse"):
        pytest.skip("no /dev/fuse")
    own = os.open("/proc/self/ns/mnt", os.O_RDONLY)
    server = os.open("/dev/fuse", os.O_RDWR)
    assert not _libc.unshare(CLONE_NEWNS)
    try:
        mount(b"none", b"/", None, MS_REC | MS_PRIVATE, b"")
        options = f"fd={server},rootmode=40000,user_id=0,group_id=0".encode()
        mount(b"never", os.fsencode(tmp_path), b"fuse", 0, options)
        yield tmp_path
    finally:
        os.close(server)  # whoever hangs gets ENOTCONN
        assert not _libc.setns(own, CLONE_NEWNS), os.strerror(ctypes.get_errno())
        os.close(own)


def stuck_children() -> list[int]:
    """Return the processes of ours that are in state D."""
    found = []
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if b"hangs.toml" in command and stat.rpartition(")")[2].split()[0] == "D":
            found.append(int(pid))
    return found


@pytest.mark.parametrize("verb", [["get"], ["count", "x"], ["show", "processes"]], ids=str)
def test_hang_in_the_kernel(hung: Path, verb: list[str]) -> None:
    """The call ends in time, with one line; its streams are closed, and its lock is free."""
    command = [sys.executable, "-I", "-m", "zabbix_sockets", *verb, "--timeout", str(TIMEOUT)]
    is_stuck = False
    started, returncode, out, err = 0.0, None, b"", b""
    for _ in range(TRIES):
        started = time.monotonic()
        with subprocess.Popen(
            [*command, "--config", str(hung / "hangs.toml")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            zoo.wait_for(
                lambda: bool(stuck_children()) or process.poll() is not None,
                "the child to hang, or the call to end",
                60,
            )
            is_stuck = bool(stuck_children())
            out, err = process.communicate(timeout=60)  # until the end of both streams
            returncode = process.returncode
        if is_stuck:
            break
    assert is_stuck, (out, err)
    assert returncode == 1
    message = f"timed out after {LATEST:g} s: something hung"
    if verb[0] == "show":
        assert (out, err) == (b"", f"zabbix-sockets: {message}\n".encode())
    else:
        assert (json.loads(out), err) == ({"error": message}, b"")
    assert time.monotonic() - started >= LATEST
    again = subprocess.run([*command[:-1], "60"], capture_output=True, check=False)
    assert (again.returncode, bool(again.stdout)) == (0, True)
