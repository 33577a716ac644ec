"""One snapshot at a time per user: simultaneous calls share an answer, or wait for their turn.

A snapshot costs the host a pass over all sockets, so those of one user are taken one after
the other, however many ask. Who had to wait finds the answer to its own question there, if one
was begun after it asked: of a hundred equal questions at the same moment two take a snapshot.
"""

import fcntl
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import monotonic_ns, sleep
from typing import Self

from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import BusyError

# World-writable: others may have made a folder of our name before us; one that is not
# ours is passed over. /dev/shm first: the same for a service with PrivateTmp= and a shell.
_SHARED_FOLDERS = ("/dev/shm", "/run/lock", "/tmp")  # noqa: S108
_LOCK, _WAITING = "zabbix-sockets.lock", "zabbix-sockets.waiting"
_FIRST_POLL, _LAST_POLL, _SLOWER = 0.005, 0.1, 1.5
"""Seconds between two looks, and by how much they grow: a hundred that wait take no time from
the one that works."""
_LEAST_LEFT = 0.1
"""Share of the call's timeout that must be left for a snapshot of one's own."""
_ANSWERS = 16
"""Files with answers, at most; each has the last one to the questions that fall to it."""
_STAMP = 8
_OPENING = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class Turn:
    """The right to take a snapshot, or the answer that somebody else has left meanwhile.

    *question* are the arguments of the call: callers with equal ones ask the same. Empty: this
    call shares no answer.

    Attributes:
        answer: what another call has answered to the same question since this one asked;
            None: there is no such answer, and the lock is held, if there is one. With an answer
            the lock may be held, too.
    """

    def __init__(self, folder: str, fd: int, question: Sequence[str]) -> None:
        self.answer: str | None = None
        self._fd = fd
        self._folder = folder
        self._question = question
        self._identity = ""
        self._asked = self._began = monotonic_ns()

    def acquire(self, deadline: Deadline) -> None:
        """Wait for the lock, or for an answer.

        Raises:
            BusyError: another call held it until *deadline*, or until too little time was left.
        """
        if self._try():
            return
        self._identity = _identity(self._question)
        pause = _FIRST_POLL
        with self._marked_as_waiting():
            while True:
                locked = self._try()
                self.answer = self._left_by_others()
                if self.answer is not None:
                    return
                needed = deadline.seconds * _LEAST_LEFT if locked else 0.0
                if deadline.remaining() <= needed:
                    raise _busy(deadline)
                if locked:
                    break
                sleep(pause)
                pause = min(_LAST_POLL, pause * _SLOWER)
        self._began = monotonic_ns()

    def _try(self) -> bool:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            pass  # a file system without locks: rather several snapshots than none
        return True

    @contextmanager
    def _marked_as_waiting(self) -> Iterator[None]:
        """Let the lock's holder know that somebody would take its answer."""
        try:
            flags = os.O_RDWR | os.O_CREAT | _OPENING
            fd = os.open(f"{self._folder}/{_WAITING}", flags, 0o600)
        except OSError:
            yield
            return
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_SH)
            except OSError:
                pass  # a file system without locks
            yield
        finally:
            os.close(fd)

    def leave(self, answer: str) -> None:
        """Leave an answer to those who wait with the same question, if anybody waits."""
        try:
            if self._question and self._is_waited_for():
                self._write(answer)
        except OSError:
            pass  # no room: each of them takes a snapshot of its own

    def _is_waited_for(self) -> bool:
        fd = os.open(f"{self._folder}/{_WAITING}", os.O_RDWR | _OPENING)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

    def _write(self, answer: str) -> None:
        identity = _identity(self._question)
        if not identity:
            return
        path = f"{self._folder}/{_slot(identity)}"
        new = f"{path}.new"
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _OPENING, 0o600)
        with open(fd, "wb") as file:
            file.write(self._began.to_bytes(_STAMP) + f"{identity}\n{answer}".encode())
        os.replace(new, path)

    def _left_by_others(self) -> str | None:
        """Return the answer in the question's slot if it is one to it, and begun late enough."""
        if not self._identity:
            return None
        try:
            fd = os.open(f"{self._folder}/{_slot(self._identity)}", os.O_RDONLY | _OPENING)
            with open(fd, "rb") as file:
                began = int.from_bytes(file.read(_STAMP))
                if not self._asked <= began <= monotonic_ns():
                    return None
                answered, _, answer = file.read().decode("utf-8", "replace").partition("\n")
        except OSError:
            return None
        return answer if answered == self._identity else None


def _slot(identity: str) -> str:
    return f"answer-{sum(identity.encode()) % _ANSWERS}"


def _identity(question: Sequence[str]) -> str:
    """Return what an answer depends on: the question, and from where it is asked, in one line.

    Callers of one user may have different privileges, see different namespaces, and name a file
    from different folders. Empty for an empty question, and where /proc doesn't tell.
    """
    if not question:
        return ""
    seen: list[object] = [os.getgroups(), os.getegid()]
    try:
        namespaces = (f"/proc/self/ns/{name}" for name in sorted(os.listdir("/proc/self/ns")))
        places = (os.stat(path) for path in (*namespaces, "/", "."))
        seen += [(place.st_dev, place.st_ino) for place in places]
        seen.append(_capabilities())
    except OSError:
        return ""
    return repr((seen, list(question)))


def _capabilities() -> str:
    with open("/proc/thread-self/status", encoding="ascii", errors="replace") as file:
        return next((line for line in file if line.startswith("CapEff:")), "").strip()


def _busy(deadline: Deadline) -> BusyError:
    return BusyError(
        f"another snapshot of this user did not end within {deadline.seconds:.3g} s",
        "wait for it, or give more time with --timeout",
    )


def lock_folders() -> Iterator[str]:
    """Yield folders that only this user can write to, made if need be."""
    uid = os.geteuid()
    for shared in _SHARED_FOLDERS:
        folder = f"{shared}/zabbix-sockets-{uid}"
        try:
            os.mkdir(folder, 0o700)
        except FileExistsError:
            pass
        except OSError:
            continue
        if _is_ours(folder, uid):
            yield folder


def _is_ours(folder: str, uid: int) -> bool:
    try:
        found = os.lstat(folder)
    except OSError:
        return False
    private = not found.st_mode & 0o022
    return (
        stat.S_ISDIR(found.st_mode)
        and found.st_uid == uid
        and private
        and os.access(folder, os.W_OK)
    )


class Lock:
    """A user's lock, open but not held; a context manager that closes it.

    Opened before a fork it belongs to both processes: either may let go of it, also where the
    other one hangs in the kernel. The kernel lets go of it when all that have it open have ended.

    Attributes:
        fd: its descriptor; -1 where there is no safe place for one.
    """

    def __init__(self) -> None:
        self._folder, self.fd = _open_first()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.fd >= 0:
            self.let_go()
            os.close(self.fd)
            self.fd = -1

    @contextmanager
    def held(self, deadline: Deadline, question: Sequence[str] = ()) -> Iterator[Turn]:
        """Hold the lock, or have the answer to *question*; without a safe place go on without.

        Raises:
            BusyError: another call held it until *deadline*, or until too little time was left.
        """
        turn = Turn(self._folder, self.fd, question)
        if self.fd >= 0:
            turn.acquire(deadline)
        try:
            yield turn
        finally:
            self.let_go()

    def let_go(self) -> None:
        """Let go of the lock, whichever process has taken it; it can be taken again."""
        if self.fd >= 0:
            try:
                fcntl.flock(self.fd, fcntl.LOCK_UN)
            except OSError:
                pass  # it never was locked, then


def _open_first() -> tuple[str, int]:
    """Return the first folder that has room for a lock, and the lock's descriptor; or -1."""
    for folder in lock_folders():
        try:
            return folder, os.open(f"{folder}/{_LOCK}", os.O_RDWR | os.O_CREAT | _OPENING, 0o600)
        except OSError:
            continue  # no inode left there, or what has the name is no file
    return "", -1


@contextmanager
def one_at_a_time(deadline: Deadline, question: Sequence[str] = ()) -> Iterator[Turn]:
    """Open this user's lock and hold it; see Lock.held()."""
    with Lock() as lock, lock.held(deadline, question) as turn:
        yield turn
