"""/proc/PID/fd: which process holds which socket, by the socket's inode.

Source: proc(5), fs/proc/fd.c. Another user's process needs ptrace-read access: in
practice CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH. This is the costly part of sock_diag and
procfs: two system calls a process and one a descriptor.
"""

import os
from collections.abc import Iterable

from zabbix_sockets.deadline import Deadline
from zabbix_sockets.errors import ParseError, SourceUnavailableError
from zabbix_sockets.model import Process
from zabbix_sockets.owners import Owners
from zabbix_sockets.readers.process import read_name, read_stat, read_uptime

_SLICE = 4096  # descriptors between two looks at the clock
_SOCKET = "socket:["


def walk(proc: str, deadline: Deadline) -> Owners:
    """Ask every process for its sockets, until *deadline*.

    Raises:
        SourceUnavailableError: *proc* is not a proc filesystem.
    """
    owners = Owners()
    try:
        uptime = read_uptime(proc)
        pids = [name for name in os.listdir(proc) if name.isdecimal()]
    except OSError as error:
        raise SourceUnavailableError(f"{proc} is not a proc filesystem") from error
    # pid 1 lives as long as its pid namespace; who can't see it sees only his own.
    owners.hidden = "1" not in pids
    for pid in pids:
        if deadline.passed():
            owners.complete = False
            break
        try:
            _walk_process(owners, proc, pid, uptime, deadline)
        except PermissionError:
            _note_denied(owners, proc, pid)
        except (FileNotFoundError, ProcessLookupError):
            owners.vanished += 1
    return owners


def _walk_process(owners: Owners, proc: str, pid: str, uptime: float, deadline: Deadline) -> None:
    count, links = _read_links(f"{proc}/{pid}/fd", deadline)
    if not count:
        # A zombie, a kernel thread, or a process whose main thread has exited while
        # others run: that one's descriptors are in its threads' folders only.
        count, links = _read_thread_links(proc, pid, deadline)
    if links:
        comm, _, start = read_stat(proc, pid)
        name = read_name(proc, pid, comm).name
        process = Process(int(pid), name, max(0.0, uptime - start), count)
        owners.add(process, parse_links(links))
    if deadline.passed():
        owners.complete = False


def parse_links(links: Iterable[str]) -> list[int]:
    """Return the inodes of links such as "socket:[4026]".

    Only the kernel makes such a link: a file's begins with "/".
    """
    try:
        return [int(link[8:-1]) for link in links]
    except ValueError as error:
        raise ParseError("/proc/PID/fd", list(links)) from error


def _read_links(path: str, deadline: Deadline) -> tuple[int, list[str]]:
    """Return how many descriptors the folder *path* has, and the links of those to sockets."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        names = os.listdir(fd)
        found: list[str] = []
        for at in range(0, len(names), _SLICE):
            if at and deadline.passed():
                break
            _read_slice(fd, names[at : at + _SLICE], found)
    finally:
        os.close(fd)
    return len(names), found


def _read_slice(fd: int, names: list[str], found: list[str]) -> None:
    readlink = os.readlink
    at = 0
    while at < len(names):
        try:
            for at in range(at, len(names)):  # noqa: B020  # resumes behind an error
                link = readlink(names[at], dir_fd=fd)
                if link.startswith(_SOCKET):
                    found.append(link)
            return
        except FileNotFoundError:
            at += 1  # closed since it was listed


def _read_thread_links(proc: str, pid: str, deadline: Deadline) -> tuple[int, list[str]]:
    """Return the links of the first thread that has any; a process without threads has none."""
    task = f"{proc}/{pid}/task"
    if os.stat(task).st_nlink <= 3:  # noqa: PLR2004  # ".", ".." and the main thread
        return 0, []
    for tid in os.listdir(task):
        try:
            count, links = _read_links(f"{task}/{tid}/fd", deadline)
        except (FileNotFoundError, ProcessLookupError):
            continue  # this thread has ended; the next may live
        if count:
            return count, links
    return 0, []


def _note_denied(owners: Owners, proc: str, pid: str) -> None:
    """Count a process that hides its sockets; kernel threads and zombies have none to hide."""
    try:
        comm, has_files, _ = read_stat(proc, pid)
    except (FileNotFoundError, ProcessLookupError):
        owners.vanished += 1
        return
    except PermissionError:
        name = ""  # hidepid=1
    else:
        if not has_files:
            return
        name = read_name(proc, pid, comm).name
    owners.denied[name] = owners.denied.get(name, 0) + 1
