"""Reader of /proc/PID: a process's name, start, command line, descriptor limit, capabilities.

Source: proc(5), fs/proc/array.c. All but `read_fds_limit`'s fast way and the executable is
world-readable, unless /proc is mounted with hidepid.
"""

from __future__ import annotations

import os
import resource
from _collections_abc import Callable
from errno import ENAMETOOLONG

from zabbix_sockets.model import shortage
from zabbix_sockets.model.errors import ParseError
from zabbix_sockets.model.programs import FieldReader, ProgramName, name_by_comm, program_name
from zabbix_sockets.readers.proc.files import read_bytes

PF_KTHREAD = 0x00200000  # include/linux/sched.h
CAP_DAC_READ_SEARCH, CAP_NET_ADMIN = 2, 12  # linux/capability.h
CAP_SYS_PTRACE, CAP_SYS_ADMIN = 19, 21
_UID_DIGITS = 10  # of 2^32
_COMMAND_LINE_READ = 4096  # bytes, for a name

Stat = tuple[bytes, bool, float]
"""Of /proc/PID/stat: comm, not safe to print; whether the process can have descriptors, as no
kernel thread and no zombie can; its start in seconds since boot."""

_TICKS = os.sysconf("SC_CLK_TCK")


def is_gone(error: Exception) -> bool:
    """Whether *error* means that a process has ended since it was seen.

    ENOENT and ESRCH say so, and an empty file or half a one (ParseError), as the kernel shows
    of a task that it is releasing. All else, such as EACCES, or EMFILE and ENOMEM of the
    caller's own, means that a process is there and can't be asked.
    """
    return isinstance(error, (FileNotFoundError, ProcessLookupError, ParseError))


def parse_stat(data: bytes) -> Stat:
    """Return comm, descriptors and start of the bytes of /proc/PID/stat.

    comm may hold spaces and parentheses.

    Raises:
        ParseError: fields are missing, or are no numbers.
    """
    start, end = data.find(b"("), data.rfind(b")")
    fields = data[end + 2 :].split(None, 20)
    try:
        if not 0 < start < end:
            raise ValueError("no comm")
        # A zombie with live threads is a process whose main thread has exited.
        dead = fields[0] in (b"Z", b"X") and int(fields[17]) <= 1
        has_files = not (dead or int(fields[6]) & PF_KTHREAD)
        return data[start + 1 : end], has_files, int(fields[19]) / _TICKS
    except (IndexError, OverflowError, ValueError) as error:
        raise ParseError("/proc/PID/stat", data) from error


def read_parent(proc: str, pid: int) -> tuple[bytes, int]:
    """Return comm and the parent's pid of a process; b"" and 0 if its file can't be read."""
    try:
        data = read_bytes(f"{proc}/{pid}/stat")
        end = data.rfind(b")")
        return data[data.find(b"(") + 1 : end], int(data[end + 2 :].split(None, 2)[1])
    except (OSError, IndexError, ValueError):
        return b"", 0


def read_stat(proc: str, pid: str) -> Stat:
    """Return comm, descriptors and start of the process *pid* below *proc*.

    Raises:
        OSError, ParseError: the process is gone or hidden; is_gone() tells which.
    """
    return parse_stat(read_bytes(f"{proc}/{pid}/stat"))


def read_name(
    proc: str, pid: str, comm: bytes, read_executable: FieldReader = lambda: None
) -> ProgramName:
    """Return the name of the process *pid*, whose main thread's name is *comm*.

    Files below *proc* are read only where comm doesn't tell the name (model.programs). Its
    executable, /proc/PID/exe, takes ptrace-read access; without it *read_executable* is called
    for the file's name.
    """
    told = name_by_comm(comm)
    if told:
        return told

    def executable() -> bytes | None:
        path = _of_a_thread(proc, pid, _read_executable)
        return read_executable() if path is None else path

    return program_name(comm, lambda: _of_a_thread(proc, pid, _read_arguments), executable)


def read_command(proc: str, pid: int, limit: int) -> bytes:
    """Return the command line of the process *pid*: arguments joined by spaces.

    It is made of the first *limit* bytes of /proc/PID/cmdline, and not safe to print; b"" for a
    kernel thread, and for a process that is gone or hidden.
    """
    if _left_out:
        return b""
    try:
        data = read_bytes(f"{proc}/{pid}/cmdline", limit)
    except OSError as error:
        shortage.note(error)
        return b""
    return data.rstrip(b"\0").replace(b"\0", b" ")


def _of_a_thread(proc: str, pid: str, read: Callable[[str], bytes]) -> bytes | None:
    """Return the result of *read* for the folder of a process or, where it is empty, of a thread.

    A main thread that has exited while others run has no arguments and no executable: the
    first of the others has them. None if that may not be read, or the process is gone.
    """
    folder = f"{proc}/{pid}"
    try:
        found = read(folder)
    except PermissionError:
        return None
    except OSError as error:
        shortage.note(error)
        found = None
    if found:
        return found
    try:
        with os.scandir(f"{folder}/task") as threads:
            other = next((each.path for each in threads if each.name != pid), None)
        return read(other) if other else found
    except OSError as error:
        shortage.note(error)
        return found


_left_out: list[str] = []
"""Why no command line is read; empty: each is."""


def stop_reading_command_lines() -> None:
    """Read no command line in this process from now on.

    For a call that has found that one can't be read for good: a user may keep his process's memory
    locked, and whoever reads its command line then waits in the kernel (proc(5)).
    """
    _left_out.append("one can't be read")


def are_command_lines_unread() -> bool:
    """Whether stop_reading_command_lines() was called: then names end where comm does."""
    return bool(_left_out)


def _read_arguments(folder: str) -> bytes:
    """Return the first 4096 bytes of the command line below *folder*, NUL behind each argument."""
    return b"" if _left_out else read_bytes(f"{folder}/cmdline", _COMMAND_LINE_READ)


def _read_executable(folder: str) -> bytes:
    """Return the target of the link `exe` below *folder*; b"" for a path longer than a page."""
    try:
        return os.readlink(os.fsencode(f"{folder}/exe"))
    except OSError as error:
        if error.errno == ENAMETOOLONG:
            return b""
        raise


def is_hidden(proc: str, pid: int) -> bool:
    """Whether the mount option hidepid keeps a process from the caller, rather than that it ended.

    Process 1 lives as long as its pid namespace: where it is to be seen, a process that is not
    there has ended.
    """
    try:
        os.stat(f"{proc}/{pid}/cmdline")
    except PermissionError:
        return True
    except OSError:
        return not os.path.exists(f"{proc}/1")
    return False


def parse_status(status: bytes) -> dict[bytes, bytes]:
    """Return the values of the bytes of /proc/PID/status by their labels, such as b"Uid".

    A value begins with a tab; several numbers have white space between them.
    """
    parts = [line.partition(b":") for line in status.split(b"\n")]
    return {label: value for label, _, value in parts}


def parse_user(status: bytes) -> tuple[int, bool] | None:
    """Return the real uid of the bytes of /proc/PID/status, and whether the process is nested.

    A nested one is in a pid namespace below that of procfs: NSpid has a number for each, from Linux
    4.1 on. The owner of /proc/PID is not asked: a process that forbids its dump has root there.
    None: there is no uid, as the process is gone.
    """
    fields = parse_status(status)
    uids = fields.get(b"Uid", b"").split()
    if not uids or not uids[0].isdigit() or len(uids[0]) > _UID_DIGITS:
        return None
    return int(uids[0]), len(fields.get(b"NSpid", b"").split()) > 1


def read_user(proc: str, pid: int) -> tuple[int, bool] | None:
    """Return the real uid of a process, as parse_user() does; None if it is gone or hidden."""
    try:
        return parse_user(read_bytes(f"{proc}/{pid}/status"))
    except OSError as error:
        shortage.note(error)
        return None


def parse_fds_limit(limits: bytes) -> int | None:
    """Return the soft "Max open files" of the bytes of /proc/PID/limits; None if unlimited.

    Raises:
        ParseError: there is no such line, or no number in it.
    """
    for line in limits.split(b"\n"):
        if line.startswith(b"Max open files"):
            try:
                soft = line.split()[3]
                return None if soft == b"unlimited" else int(soft)
            except (IndexError, ValueError) as error:
                raise ParseError("/proc/PID/limits", line) from error
    raise ParseError("/proc/PID/limits", limits)


def read_fds_limit(proc: str, pid: int) -> int | None:
    """Return the soft limit of a process on open files (RLIMIT_NOFILE).

    None if it is unlimited, or not known: the process is gone or hidden. prlimit(2) takes one
    system call instead of three, but the same uid or CAP_SYS_RESOURCE; for all other processes
    /proc/PID/limits is read.
    """
    try:
        if proc == "/proc":
            soft, _ = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            return None if soft == resource.RLIM_INFINITY else soft
    except (OSError, ValueError):
        pass  # not ours to ask, or gone
    try:
        return parse_fds_limit(read_bytes(f"{proc}/{pid}/limits"))
    except (OSError, ParseError):
        return None  # the file of a task that is being released is empty


def count_fds(proc: str, pid: int) -> int:
    """Return how many descriptors a process has open.

    It is the size of its folder since Linux 6.2; before, that is 0.

    Raises:
        OSError: the process has ended, or hidepid hides it.
    """
    return os.stat(f"{proc}/{pid}/fd").st_size


def read_capabilities(proc: str) -> int:
    """Return the effective capabilities of this thread as a mask; 0 if *proc* doesn't tell them.

    Bit N is the capability N of linux/capability.h.

    Raises:
        OSError: there is no thread-self/status below *proc*.
        ParseError: they are no number there.
    """
    fields = parse_status(read_bytes(f"{proc}/thread-self/status"))
    mask = fields.get(b"CapEff", b"0")
    try:
        return int(mask, 16)
    except ValueError as error:
        raise ParseError("/proc/thread-self/status", mask) from error


def has_capability(proc: str, capability: int) -> bool:
    """Whether this thread has the capability of that number, by its status below *proc*.

    Also where there is no such file: whoever tries what takes the capability learns it then.
    """
    try:
        return bool(read_capabilities(proc) >> capability & 1)
    except (OSError, ParseError):
        return True


def read_uptime(proc: str) -> float:
    """Return the seconds since boot, as *proc*/uptime tells them in the caller's time namespace.

    Raises:
        OSError: *proc* is no proc filesystem.
        ParseError: the file begins with no number.
    """
    data = read_bytes(f"{proc}/uptime")
    try:
        return float(data.split()[0])
    except (IndexError, ValueError) as error:
        raise ParseError("/proc/uptime", data) from error


def read_netns(proc: str) -> int:
    """Return the inode number of the network namespace that this thread is in.

    Raises:
        OSError: *proc* is no proc filesystem.
    """
    return os.stat(f"{proc}/thread-self/ns/net").st_ino
