"""The owners of sockets by the BPF iterators' records: processes, with their names and numbers."""

from __future__ import annotations

from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import ParseError, SourceUnavailableError
from zabbix_sockets.model.light_library import partial
from zabbix_sockets.model.owners import ROW_SECONDS, Owners
from zabbix_sockets.model.snapshot import Process
from zabbix_sockets.readers.bpf.records import (
    OWNER,
    SOCKET_OWNERS,
    Opener,
    Processes,
    read_chunks,
)
from zabbix_sockets.readers.proc.process import count_fds, is_hidden, read_name, read_uptime

ProcessKey = tuple[int, bytes, int]
"""The identity of a process in a record: pid, comm, seconds from boot to its start."""


class RecordOwners(Owners):
    """The owners of sockets by records.

    Args:
        proc: the path where procfs is mounted, from which names are read that comm doesn't have.
        uptime: seconds since boot.
        described: has the names of executables and the descriptors where procfs doesn't tell them.
        deadline: the moment from which no process is asked for its name any more.

    Attributes:
        numbers: by a process's identity, the number of the owner that is this process alone.
        fds_known: nothing kept descriptors from being counted; else the process that is nearest to
            its limit may be among those whose number is None.
    """

    def __init__(self, proc: str, uptime: float, described: Processes, deadline: Deadline) -> None:
        super().__init__()
        self.numbers: dict[ProcessKey, int] = {}
        self.fds_known = True
        self._keys: list[ProcessKey] = []  # by index in `processes`
        self._proc = proc
        self._uptime = uptime
        self._described = described
        self._deadline = deadline

    def add_process(self, key: ProcessKey, cgroup: int = 0) -> int:
        """Add a process, and return the number of the owner that is this process alone.

        *cgroup* is the id of its cgroup (0: unknown). Its name is read from /proc if comm is cut;
        its descriptors are counted by count_fds().

        Raises:
            DeadlineError: the time is over. A user may have thousands of processes with long
                names.
        """
        number = self.numbers[key] = self.add_unlisted(key, cgroup)
        return number

    def add_unlisted(self, key: ProcessKey, cgroup: int = 0) -> int:
        """Add a process as add_process() does, but not to `numbers`."""
        self._deadline.check_reserve(ROW_SECONDS * len(self.processes))
        pid, comm, started = key
        executable = partial(self._described.executable, pid, started)
        name = read_name(self._proc, str(pid), comm.split(b"\0", 1)[0], executable)
        if not name.certain and is_hidden(self._proc, pid):
            self.uncertain.add(len(self.processes))
        age = max(0.0, self._uptime - started)
        self._keys.append(key)
        return self.number(Process(pid, name.name, age, None, cgroup))

    def count_fds(self, index: int) -> None:
        """Count the descriptors of the process at *index* in `processes`.

        They stay None where nobody tells them: of a process that has ended.
        """
        pid, _, started = self._keys[index]
        fds: int | None = None
        try:
            fds = count_fds(self._proc, pid)
            is_told = bool(fds)
        except OSError:
            is_told = not is_hidden(self._proc, pid)
        if not is_told:
            fds = self._described.count_fds(pid, started)
            self.fds_known &= self._described.complete
        self.processes[index] = self.processes[index]._replace(fds=fds)


def read_owners(
    open_iterator: Opener, proc: str, deadline: Deadline, whole: Deadline | None = None
) -> RecordOwners:
    """Return the owners of all sockets by inode, from the BPF iterator own_sockets.

    Their names are completed from /proc. What is asked of them later, as their descriptors, has
    time until *whole*; None: until *deadline*.

    Raises:
        DeadlineError: the time is over.
        SourceUnavailableError: the iterator failed.
    """
    try:
        return _owners(open_iterator, proc, deadline, whole or deadline)
    except (OSError, ParseError) as error:
        raise SourceUnavailableError(f"the iterator failed: {error}") from error


def _owners(open_iterator: Opener, proc: str, deadline: Deadline, whole: Deadline) -> RecordOwners:
    owners = RecordOwners(proc, read_uptime(proc), Processes(open_iterator, whole), deadline)
    last: ProcessKey = (0, b"", 0)
    number, first_owner = 0, owners.by_inode.setdefault
    for chunk in read_chunks(open_iterator(SOCKET_OWNERS), OWNER.size, deadline):
        for pid, inode, started, comm in OWNER.iter_unpack(chunk):
            key = pid, comm, started
            if key != last:  # one process's sockets come together
                last = key
                number = owners.numbers.get(key) or owners.add_process(key)
            if first_owner(inode, number) != number:
                owners.share(number, inode)
    return owners
