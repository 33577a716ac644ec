"""/proc/PID: what a process is called, how old it is, how many descriptors it may open.

Source: proc(5), fs/proc/array.c. All but `read_fds_limit`'s fast way is world-readable,
unless /proc is mounted with hidepid.
"""

import os
import resource

from zabbix_sockets.errors import ParseError
from zabbix_sockets.names import safe_name

COMM_MAX = 15  # TASK_COMM_LEN less the closing NUL
PF_KTHREAD = 0x00200000  # include/linux/sched.h
CAP_DAC_READ_SEARCH, CAP_NET_ADMIN = 2, 12  # linux/capability.h
CAP_SYS_PTRACE, CAP_SYS_ADMIN = 19, 21
_ARGUMENTS_TRIED = 3  # "#!/usr/bin/python3 -u" makes comm from the third

Stat = tuple[bytes, bool, float]
"""comm, whether it can have descriptors (no kernel thread, no zombie), start in seconds
since boot."""

_TICKS = os.sysconf("SC_CLK_TCK")


def read_bytes(path: str, dir_fd: int | None = None) -> bytes:
    """Return a small /proc file whole; OSError as open(2) and read(2) give it."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=dir_fd)
    try:
        data = os.read(fd, 65536)
    finally:
        os.close(fd)
    return data


def parse_stat(data: bytes) -> Stat:
    """Return what is used of /proc/PID/stat; comm may hold spaces and parentheses."""
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


def read_stat(proc: str, pid: str) -> Stat:
    """Read /proc/PID/stat; OSError when the process is gone or hidden."""
    return parse_stat(read_bytes(f"{proc}/{pid}/stat"))


def complete_comm(comm: bytes, cmdline: bytes) -> bytes:
    """Return the whole name of a process whose *comm* the kernel cut at 15 bytes.

    It is the base name of one of the first arguments, if that begins with comm; a title
    such as "longer-than-comm: worker" counts up to its colon or space.
    """
    if len(comm) < COMM_MAX:
        return comm
    for argument in cmdline.split(b"\0", _ARGUMENTS_TRIED)[:_ARGUMENTS_TRIED]:
        name = argument.rsplit(b"/", 1)[-1]
        if name.startswith(comm):
            end = min(
                (
                    at
                    for at in (name.find(mark, COMM_MAX) for mark in (b" ", b":", b"\n"))
                    if at > 0
                ),
                default=len(name),
            )
            return name[:end]
    return comm


def read_name(proc: str, pid: str, comm: bytes) -> str:
    """Return the safe name of a process; /proc/PID/cmdline is read only if comm was cut."""
    if len(comm) >= COMM_MAX:
        try:
            comm = complete_comm(comm, read_bytes(f"{proc}/{pid}/cmdline"))
        except OSError:
            pass  # gone or hidden: the cut name is still true
    return safe_name(comm)


def is_hidden(proc: str, pid: int) -> bool:
    """Whether /proc keeps a process from the caller (hidepid): it has not merely ended.

    Process 1 lives as long as its pid namespace: where it is to be seen, who is not has ended.
    """
    try:
        os.stat(f"{proc}/{pid}/cmdline")
    except PermissionError:
        return True
    except OSError:
        return not os.path.exists(f"{proc}/1")
    return False


def is_cut_short(proc: str, pid: int, comm: bytes, name: str) -> bool:
    """Whether the name of a process may go on, but /proc hides how."""
    return len(comm) >= COMM_MAX and name == safe_name(comm) and is_hidden(proc, pid)


def parse_fds_limit(limits: bytes) -> int | None:
    """Return the soft "Max open files" of /proc/PID/limits; None if unlimited."""
    for line in limits.split(b"\n"):
        if line.startswith(b"Max open files"):
            try:
                soft = line.split()[3]
                return None if soft == b"unlimited" else int(soft)
            except (IndexError, ValueError) as error:
                raise ParseError("/proc/PID/limits", line) from error
    raise ParseError("/proc/PID/limits", limits)


def read_fds_limit(proc: str, pid: int) -> int | None:
    """Return the soft RLIMIT_NOFILE of a process; None if unlimited or gone.

    prlimit(2) is one system call where the file takes three; it asks for the same uid or
    CAP_SYS_RESOURCE; the file is there for all others.
    """
    try:
        if proc == "/proc":
            soft, _ = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            return None if soft == resource.RLIM_INFINITY else soft
    except (OSError, ValueError):
        pass  # not ours to ask, or gone
    try:
        return parse_fds_limit(read_bytes(f"{proc}/{pid}/limits"))
    except OSError:
        return None


def read_capabilities(proc: str) -> int:
    """Return the effective capabilities of this thread, as a mask."""
    for line in read_bytes(f"{proc}/thread-self/status").splitlines():
        if line.startswith(b"CapEff:"):
            return int(line.split()[1], 16)
    return 0


def read_uptime(proc: str) -> float:
    """Return the seconds since boot, in the time namespace of /proc."""
    data = read_bytes(f"{proc}/uptime")
    try:
        return float(data.split()[0])
    except (IndexError, ValueError) as error:
        raise ParseError("/proc/uptime", data) from error


def read_netns(proc: str) -> int:
    """Return the inode number of the caller's network namespace."""
    return os.stat(f"{proc}/thread-self/ns/net").st_ino
