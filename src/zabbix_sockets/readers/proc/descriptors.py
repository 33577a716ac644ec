"""Reader of /proc/PID/fd: the processes that hold sockets, by the sockets' inode numbers.

Source: proc(5), fs/proc/fd.c. Another user's process needs ptrace-read access: in
practice CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH. This is the costly part of sock_diag and
procfs: two system calls a process and one a descriptor.
"""

import os
from _collections_abc import Iterable
from errno import ENAMETOOLONG

from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import DeadlineError, ParseError, SourceUnavailableError
from zabbix_sockets.model.light_typing import NamedTuple, Optional
from zabbix_sockets.model.owners import ROW_SECONDS, Owners
from zabbix_sockets.model.snapshot import Process
from zabbix_sockets.readers.proc.process import is_gone, read_name, read_stat, read_uptime

_SLICE = 4096  # descriptors between two looks at the clock
_MANY = 20_000  # descriptors; a process with more is asked when all others have been
_THREADS_ASKED = 16
_SOCKET = "socket:["


def walk(proc: str, deadline: Deadline) -> Owners:
    """Read the descriptors of every process below *proc*; return who owns which inode.

    Past *deadline* no further process is read, and `complete` is False. Processes that may not be
    inspected are counted in `denied`, those that end meanwhile in `vanished`.

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
    walking = _Walk(proc, uptime, deadline, owners)
    # Whoever has very many descriptors must not take the time of all others.
    walking.visit(walking.visit(pids, _MANY), None)
    return owners


class _ManyError(Exception):
    """A process has more descriptors than the limit for its turn."""


class _Walk(NamedTuple):
    """A walk over processes that adds the sockets it finds to *owners*."""

    proc: str
    uptime: float
    deadline: Deadline
    owners: Owners

    def visit(self, pids: Iterable[str], limit: Optional[int]) -> list[str]:
        """Add the sockets of processes; return the pids of those put off.

        Put off are those with more descriptors than *limit* (None: nobody).
        """
        owners, deadline = self.owners, self.deadline
        put_off: list[str] = []
        for pid in pids:
            try:
                deadline.check_reserve(ROW_SECONDS * (len(owners.processes) + len(owners.denied)))
                holder = _read_holder(self.proc, pid, self.uptime, deadline, limit)
            except DeadlineError:
                owners.complete = False
                break
            except _ManyError:
                put_off.append(pid)
                continue
            except (OSError, ParseError) as error:
                _note_unread(owners, self.proc, pid, error)
                continue
            if holder:
                owners.add(holder.process, parse_links(holder.links))
            if deadline.passed():
                owners.complete = False
        return put_off


class _Holder(NamedTuple):
    """A process that holds sockets, and the links of its descriptors of these."""

    process: Process
    links: list[str]


def _read_holder(
    proc: str, pid: str, uptime: float, deadline: Deadline, limit: Optional[int]
) -> Optional[_Holder]:
    """Return the process *pid* with the links of its sockets; None if it has no socket.

    Raises:
        OSError, ParseError: it is gone, or may not be inspected.
        _ManyError: it has more descriptors than *limit*.
    """
    count, links = _read_links(f"{proc}/{pid}/fd", deadline, limit)
    if not count:
        # A zombie, a kernel thread, or a process whose main thread has exited while
        # others run: that one's descriptors are in its threads' folders only.
        count, links = _read_thread_links(proc, pid, deadline, limit)
    if not links:
        return None
    comm, _, start = read_stat(proc, pid)
    name = read_name(proc, pid, comm).name
    return _Holder(Process(int(pid), name, max(0.0, uptime - start), count), links)


def parse_links(links: Iterable[str]) -> list[int]:
    """Return the inode numbers of links such as "socket:[4026]" of /proc/PID/fd.

    Only the kernel makes such a link: a file's begins with "/".

    Raises:
        ParseError: one has no number.
    """
    try:
        return [int(link[8:-1]) for link in links]
    except ValueError as error:
        raise ParseError("/proc/PID/fd", list(links)) from error


def _read_links(path: str, deadline: Deadline, limit: Optional[int]) -> tuple[int, list[str]]:
    """Return the number of descriptors in the folder *path*, and the links of those to sockets.

    Raises:
        OSError: the process is gone, or may not be inspected.
        _ManyError: there are more than *limit*.
    """
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        names = os.listdir(fd)
        if limit is not None and len(names) > limit:
            raise _ManyError
        found: list[str] = []
        for at in range(0, len(names), _SLICE):
            if at and deadline.passed():
                break
            _read_slice(fd, names[at : at + _SLICE], found)
    finally:
        os.close(fd)
    return len(names), found


def _read_slice(fd: int, names: list[str], found: list[str]) -> None:
    """Add to *found* the links to sockets among the descriptors *names* of the folder *fd*.

    ENOENT means that a descriptor was closed since it was listed, ENAMETOOLONG that its path is
    longer than a page, as any user can make one (d_path(9)); a socket's link is short.

    Raises:
        OSError: the process is gone or denies it, or the kernel has no memory for a link.
    """
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
            at += 1
        except OSError as error:
            if error.errno != ENAMETOOLONG:
                raise  # it may be a socket: the process was not asked for all that it has
            at += 1


def _read_thread_links(
    proc: str, pid: str, deadline: Deadline, limit: Optional[int]
) -> tuple[int, list[str]]:
    """Return number and links, as _read_links(), of the first further thread that has descriptors.

    They are 0 and none for a process of one thread. Threads share their descriptors, so few are
    asked: a process may have tens of thousands.
    """
    task = f"{proc}/{pid}/task"
    if os.stat(task).st_nlink <= 3:  # noqa: PLR2004  # ".", ".." and the main thread
        return 0, []
    asked = 0
    for tid in os.listdir(task):
        try:
            count, links = _read_links(f"{task}/{tid}/fd", deadline, limit)
        except (FileNotFoundError, ProcessLookupError):
            continue  # this thread has ended; the next may live
        asked += 1
        if count or asked >= _THREADS_ASKED or deadline.passed():
            return count, links
    return 0, []


def _note_unread(owners: Owners, proc: str, pid: str, error: Exception) -> None:
    """Count in *owners* a process whose descriptors could not be read, because of *error*.

    It counts as vanished or, under its name, as denied; a kernel thread or a zombie, which has no
    descriptors, as neither.
    """
    if is_gone(error):
        owners.vanished += 1
        return
    try:
        comm, has_files, _ = read_stat(proc, pid)
    except (OSError, ParseError) as again:
        if is_gone(again):
            owners.vanished += 1
            return
        name = ""  # hidepid=1
    else:
        if not has_files:
            return
        name = read_name(proc, pid, comm).name
    owners.denied[name] = owners.denied.get(name, 0) + 1
