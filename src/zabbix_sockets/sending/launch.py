"""Launcher of foreign programs, which inherit no capability and end with the caller."""

from __future__ import annotations

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
kills the whole process group, that of a session of its own: the command, and what the command has
forked. PR_SET_PDEATHSIG would reach the first of these only, and has to be set between fork and
exec, which threads forbid.
"""
_LAST_OUTPUT_SECONDS = 5.0
"""After a kill: the time to wait for the rest of the program's output, and for its end."""


class Completion(NamedTuple):
    """The end of a program.

    Attributes:
        status: its exit status; 128 and the signal's number where a signal ended it.
        output: its standard output and standard error, as they came.
        timed_out: it was killed because it did not end in time.
    """

    status: int
    output: str
    timed_out: bool


def find(program: str, hint: str) -> str:
    """Return the absolute path of *program*: a path, or a name that is looked for in $PATH.

    Raises:
        UsageError: there is none, or it may not be executed; *hint* says how to get one.
    """
    found = shutil.which(program)
    if found:
        return os.path.abspath(found)
    if os.path.isfile(program):
        raise UsageError(f"{program}: {os.strerror(errno.EACCES)}")
    raise UsageError(f"there is no {program}", hint)


def run(command: Sequence[str], given: bytes, folder: str | None, timeout: float) -> Completion:
    """Run a command with *given* as its standard input; return its end.

    *command* is a program and its arguments, *folder* its working directory (None: the caller's).
    It has no capability of the caller's, unless root runs it, to whom the kernel gives all of them
    at an execve. It is killed after *timeout* seconds, or when the caller ends.

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
            start_new_session=True,
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


def _await(process: subprocess.Popen[bytes], given: bytes, timeout: float) -> Completion:
    """Return the end of *process*, which is killed after *timeout* seconds."""
    timed_out = False
    try:
        output, _ = process.communicate(given, timeout)
    except subprocess.TimeoutExpired:
        timed_out = True
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        output = _last_output(process)
    return Completion(process.returncode or 0, output.decode("utf-8", "replace"), timed_out)


def _last_output(process: subprocess.Popen[bytes]) -> bytes:
    """Return the output of a killed process group; a process that can't die is not waited for."""
    try:
        output, _ = process.communicate(timeout=_LAST_OUTPUT_SECONDS)
    except subprocess.TimeoutExpired as expired:
        for pipe in (process.stdin, process.stdout):
            if pipe:
                pipe.close()
        return expired.stdout or b""
    return output


def clear_ambient_capabilities() -> None:
    """Clear this thread's ambient capabilities, so that no program it executes inherits any.

    The ambient set is what an execve of a user other than root keeps (capabilities(7)); what this
    process itself may do stays, and stays with its forks. The inheritable set alone gives nothing
    to a program whose file has no capabilities. It is a thread's own: threads begun later have it.

    Raises:
        SocketsError: a sandbox forbids it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    arguments = (_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    if libc.prctl(*map(ctypes.c_ulong, arguments)) == 0:
        return
    error = ctypes.get_errno()
    if error != errno.EINVAL:  # Linux before 4.3 has no such set
        raise SocketsError(f"capabilities can't be given up: {os.strerror(error)}")
