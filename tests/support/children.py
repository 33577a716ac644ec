"""Processes that a test starts for its sockets, and ends by their pids."""

from __future__ import annotations

import ctypes
import json
import os
import signal
from collections.abc import Callable, Iterable
from types import TracebackType

PR_SET_NAME = 15

_libc = ctypes.CDLL(None, use_errno=True)


def set_comm(name: bytes) -> None:
    """Give the calling thread a name, as a process would (prctl(2))."""
    if _libc.prctl(PR_SET_NAME, name, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


class Child:
    """A forked process that runs *work*, tells that it is ready, and waits to be ended."""

    def __init__(self, work: Callable[[], object], name: bytes = b"") -> None:
        ready, write = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            self._run(work, name, ready, write)
        os.close(write)
        with os.fdopen(ready, "rb") as pipe:
            said = pipe.read(1)
        if said != b"r":
            self.end()
            raise RuntimeError("the child failed before it was ready; its error is on stderr")

    @staticmethod
    def _run(work: Callable[[], object], name: bytes, ready: int, write: int) -> None:
        """Never return: the child is no test."""
        try:
            os.close(ready)
            if name:
                set_comm(name)
            kept = work()
            os.write(write, b"r")
            os.close(write)
            while kept is not Child:  # keeps what it opened
                signal.pause()
        except BaseException as error:  # noqa: BLE001  # a child must not run on as pytest
            os.write(2, f"child: {error!r}\n".encode())
        finally:
            os._exit(1)

    def end(self) -> None:
        """Kill the process and wait for its end; a second time does nothing."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = 0

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()


CAPABILITIES = {
    "CAP_DAC_READ_SEARCH": 2,
    "CAP_SYS_PTRACE": 19,
    "CAP_SYS_ADMIN": 21,
    "CAP_PERFMON": 38,
    "CAP_BPF": 39,
}


def drop_to(uid: int, gid: int, capabilities: Iterable[str] = ()) -> None:
    """Become another user with these capabilities alone (capset(2), version 3)."""
    os.setgroups([])
    _libc.prctl(8, 1, 0, 0, 0)  # PR_SET_KEEPCAPS
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    mask = sum(1 << CAPABILITIES[name] for name in capabilities)
    low, high = mask & 0xFFFFFFFF, mask >> 32
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    sets = (ctypes.c_uint32 * 6)(low, low, 0, high, high, 0)  # effective, permitted, inheritable
    if _libc.capset(header, sets):
        raise OSError(ctypes.get_errno(), "capset")


def run_as(
    uid: int,
    work: Callable[[], object],
    gid: int | None = None,
    capabilities: Iterable[str] = (),
) -> object:
    """Return what *work* returns in a forked process of that user, by default without privilege.

    What *work* imports must be imported already: the interpreter's own folder may be closed to
    that user.
    """

    def dropped() -> object:
        drop_to(uid, uid if gid is None else gid, capabilities)
        return work()

    return run_forked(dropped)


def run_forked(work: Callable[[], object]) -> object:
    """Return what *work* returns in a forked process, through JSON."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        status = 1
        try:
            os.close(read)
            os.write(write, json.dumps(work()).encode())
            status = 0
        except BaseException as error:  # noqa: BLE001  # a child must not run on as pytest
            os.write(2, f"child: {error!r}\n".encode())
        finally:
            os._exit(status)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(pid, 0)
    assert status == 0, "the child failed; its error is on stderr"
    return json.loads(answer)
