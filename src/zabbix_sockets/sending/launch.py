"""A program of somebody else's, started so that it inherits no privilege and outlives nobody."""

import ctypes
import errno
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from zabbix_sockets.model.errors import SocketsError, UsageError

_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4  # <linux/prctl.h>

_GUARDED = (
    "exec 3<&2 2>&1; { read -r _; kill -KILL 0; } <&3 >/dev/null 2>&1 &"
    ' "$@" 3<&-; status=$?; exec 2>/dev/null; kill -KILL $!; wait $!; exit $status'
)
"""A shell that runs the command which its arguments are, and ends with its exit status.

Descriptor 2 is at first the end to read of a pipe that only the caller holds open for writing. A
process waits there for its end, which comes with the caller's own, however that ends, and then
kills the whole process group: the command, and what the command has forked. PR_SET_PDEATHSIG would
reach the first of these only, and has to be set between fork and exec, which threads forbid.
"""
_LAST_WORDS_SECONDS = 5.0
"""After a kill: how long to wait for the end of what the program had said, and for its own."""


class Ended(NamedTuple):
    """How a program ended, and what it said on standard output and standard error."""

    status: int
    """Its exit status; 128 and the number where a signal ended it."""
    said: str
    is_late: bool
    """It was killed because it did not end in time."""


def find(program: str, hint: str) -> str:
    """Return the whole path of a program: a path, or a name to look for in $PATH.

    Raises:
        UsageError: there is none, or it may not be executed; *hint* says how to get one.
    """
    found = shutil.which(program)
    if found:
        return os.path.abspath(found)
    if os.path.isfile(program):
        raise UsageError(f"{program}: {os.strerror(errno.EACCES)}")
    raise UsageError(f"there is no {program}", hint)


def run(command: Sequence[str], given: bytes, folder: str | None, timeout: float) -> Ended:
    """Run *command* in *folder* (None: where we are) with *given* as its standard input.

    It has no capability of ours, unless it is run by root, to whom the kernel gives all of them
    at an execve. It ends after *timeout* seconds, or when we end.

    Raises:
        SocketsError: it can't be started.
    """
    clear_ambient_capabilities()
    to_read, held = os.pipe()
    try:
        process = subprocess.Popen(  # noqa: S603  # what is asked for by the caller, as arguments
            ["/bin/sh", "-c", _GUARDED, "sh", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=to_read,
            cwd=folder,
            process_group=0,
        )
    except OSError as error:  # no process, descriptor or memory left
        os.close(held)
        raise SocketsError(f"{command[0]} can't be started: {error.strerror}") from None
    finally:
        os.close(to_read)
    try:
        return _await(process, given, timeout)
    finally:
        os.close(held)


def _await(process: subprocess.Popen[bytes], given: bytes, timeout: float) -> Ended:
    is_late = False
    try:
        said, _ = process.communicate(given, timeout)
    except subprocess.TimeoutExpired:
        is_late = True
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        said = _last_words(process)
    return Ended(process.returncode or 0, said.decode("utf-8", "replace"), is_late)


def _last_words(process: subprocess.Popen[bytes]) -> bytes:
    """Return what a killed process group said; a process that can't die is not waited for."""
    try:
        said, _ = process.communicate(timeout=_LAST_WORDS_SECONDS)
    except subprocess.TimeoutExpired as expired:
        for pipe in (process.stdin, process.stdout):
            if pipe:
                pipe.close()
        return expired.stdout or b""
    return said


def clear_ambient_capabilities() -> None:
    """Let no program that this thread executes from now on have a capability of ours.

    The ambient set is what an execve of a user other than root keeps (capabilities(7)); what this
    process itself may do stays, and stays with its forks. The inheritable set alone gives nothing
    to a program whose file has no capabilities. It is a thread's own: threads begun later have it.

    Raises:
        SocketsError: something forbids it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    arguments = (_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    if libc.prctl(*map(ctypes.c_ulong, arguments)) == 0:
        return
    error = ctypes.get_errno()
    if error != errno.EINVAL:  # Linux before 4.3 has no such set
        raise SocketsError(f"capabilities can't be given up: {os.strerror(error)}")
