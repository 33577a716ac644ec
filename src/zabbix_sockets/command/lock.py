"""The lock that one call of a user holds for its snapshot, and the answers that calls share.

A snapshot costs the host a pass over all sockets, so a user's calls take them one after the other,
however many there are: who takes one holds a lock, a file in a folder of the user's.

A call that had to wait need not take a snapshot if the call before it was asked the same question.
So each call that sees somebody wait leaves its answer in a file beside the lock; and a call that
waits takes an answer to its own question from there, but only one whose snapshot was begun after
the question was asked, so that no answer is older than its question. Of a hundred equal questions
at the same moment two take a snapshot: the first, and the first of those that waited.
"""

from __future__ import annotations

import fcntl
import os
import stat
from _collections_abc import Iterator, Sequence
from time import monotonic_ns, sleep

from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import BusyError

# World-writable: others may have made a folder of our name before us; one that is not
# ours is passed over. /dev/shm first: the same for a service with PrivateTmp= and a shell.
_SHARED_FOLDERS = ("/dev/shm", "/run/lock", "/tmp")  # noqa: S108  # the folder is made and checked by lock_folders()
_LOCK, _WAITING = "zabbix-sockets.lock", "zabbix-sockets.waiting"
_FIRST_POLL, _LAST_POLL, _SLOWER = 0.005, 0.1, 1.5
"""Seconds from one look at the lock to the next: the first, the longest, and the factor by which
they grow. So a hundred calls that wait take next to no time from the one that works."""
_LEAST_LEFT = 0.1
"""Share of a call's timeout that must be left when it gets the lock: with less it gives up, since
no snapshot would be done in time."""
_ANSWERS = 16
"""The number of files with answers. A question belongs to one of them by its hash; the file has the
last answer to any of its questions."""
_STAMP = 8
"""The length in bytes of the number at the begin of such a file: the moment at which its snapshot
was begun, in ns of the monotonic clock."""
_OPENING = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class Turn:
    """A call's turn, a context manager: it holds the lock, or has another call's answer.

    Args:
        folder: where the lock is, and answers are shared.
        fd: the lock's descriptor; -1: none, the call goes on without one.
        deadline: the moment until which the call waits for its turn.
        question: the arguments of the call; calls with equal ones ask the same. Empty: this call
            neither takes nor shares an answer.
        began: the moment, in ns of the monotonic clock, since which the call asks, and before which
            its snapshot was not begun.

    Attributes:
        answer: the one that another call has shared; None: there is none, so this call takes a
            snapshot, and holds the lock.
    """

    def __init__(
        self, folder: str, fd: int, deadline: Deadline, question: Sequence[str], began: int
    ) -> None:
        self.answer: str | None = None
        self._fd = fd
        self._folder = folder
        self._deadline = deadline
        self._question = question
        self._identity = ""
        self._asked = self._began = began

    def __enter__(self) -> Turn:
        """Wait until this call holds the lock, or *answer* is another call's answer.

        Raises:
            BusyError: another call held it until the deadline, or until too little time was left.
        """
        if self._fd >= 0 and not take(self._fd):
            self._wait()
        return self

    def __exit__(self, *_: object) -> None:
        _release(self._fd)

    def _wait(self) -> None:
        deadline = self._deadline
        self._identity = _identity(self._question)
        pause = _FIRST_POLL
        mark = self._mark_as_waiting()
        try:
            while True:
                locked = take(self._fd)
                self.answer = self._shared_by_others()
                if self.answer is not None:
                    return
                needed = deadline.seconds * _LEAST_LEFT if locked else 0.0
                if deadline.remaining() <= needed:
                    raise _busy(deadline)
                if locked:
                    break
                sleep(pause)
                pause = min(_LAST_POLL, pause * _SLOWER)
        finally:
            if mark >= 0:
                os.close(mark)
        self._began = monotonic_ns()

    def _mark_as_waiting(self) -> int:
        """Mark in the folder that a call waits, so that the lock's holder leaves its answer.

        Return the descriptor that is the mark as long as it is open; -1: there is no room for one.
        """
        try:
            flags = os.O_RDWR | os.O_CREAT | _OPENING
            fd = os.open(f"{self._folder}/{_WAITING}", flags, 0o600)
        except OSError:
            return -1
        try:
            fcntl.flock(fd, fcntl.LOCK_SH)
        except OSError:
            pass  # a file system without locks
        return fd

    def share(self, answer: str) -> None:
        """Write *answer* to a file for calls with the same question, if any call waits."""
        try:
            if self._question and self._is_waited_for():
                self._write(answer)
        except OSError:
            pass  # no room: each of them takes a snapshot of its own

    def _is_waited_for(self) -> bool:
        fd = os.open(f"{self._folder}/{_WAITING}", os.O_RDWR | _OPENING)
        try:
            return not take(fd)
        finally:
            os.close(fd)

    def _write(self, answer: str) -> None:
        identity = _identity(self._question)
        if not identity:
            return
        path = f"{self._folder}/{_slot(identity)}"
        new = f"{path}.new"
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _OPENING, 0o600)
        with open(fd, "wb") as file:
            file.write(self._began.to_bytes(_STAMP, "big") + f"{identity}\n{answer}".encode())
        os.replace(new, path)

    def _shared_by_others(self) -> str | None:
        """Return an answer to this question that was begun after it was asked; None without one."""
        if not self._identity:
            return None
        try:
            fd = os.open(f"{self._folder}/{_slot(self._identity)}", os.O_RDONLY | _OPENING)
            with open(fd, "rb") as file:
                began = int.from_bytes(file.read(_STAMP), "big")
                if not self._asked <= began <= monotonic_ns():
                    return None
                answered, _, answer = file.read().decode("utf-8", "replace").partition("\n")
        except OSError:
            return None
        return answer if answered == self._identity else None


def take(fd: int) -> bool:
    """Take the lock *fd* if it is free, or held already; return whether that is so."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass  # a file system without locks: rather several snapshots than none
    return True


def _slot(identity: str) -> str:
    return f"answer-{sum(identity.encode()) % _ANSWERS}"


def _identity(question: Sequence[str]) -> str:
    """Return in one line all that an answer depends on: the question and its caller's context.

    Two calls of one user may have different groups and capabilities, be in different namespaces,
    and mean different files by the same relative path. It is empty for an empty question, and if
    /proc can't be read: then no answer is shared.
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


def shared_folders(uid: int) -> list[str]:
    """Return the paths of a user's folder in each folder that all may write, the best one first.

    They need not exist.
    """
    return [f"{shared}/zabbix-sockets-{uid}" for shared in _SHARED_FOLDERS]


def lock_folders() -> Iterator[str]:
    """Yield folders for the lock that only this user can write to; a missing one is made.

    Where other users have taken all names in the shared ones, it is the folder that `setup` makes.
    """
    uid = os.geteuid()
    for folder in shared_folders(uid):
        try:
            os.mkdir(folder, 0o700)
        except FileExistsError:
            pass
        except OSError:
            continue
        if is_ours(folder, uid):
            yield folder
    from zabbix_sockets.model.paths import state_folder  # noqa: PLC0415  # hardly any call comes so far

    kept = state_folder(uid)
    if is_ours(kept, uid):
        yield kept


def is_ours(folder: str, uid: int) -> bool:
    """Whether *folder* is the user *uid*'s, may be written by this process, and by nobody else."""
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
    """A user's lock, which is open but not held yet; a context manager that closes it.

    A lock that is opened before a fork belongs to both processes (flock(2)): if the child has taken
    it and is stuck in the kernel, the parent can still release it. When all processes that have
    it open have ended, the kernel releases it.

    Attributes:
        fd: its descriptor; -1 where there is no safe place for one.
    """

    def __init__(self) -> None:
        self._folder, self.fd = _open_first()
        self._asked = 0  # the moment of take_if_free(), in ns of the monotonic clock; 0: not called

    def __enter__(self) -> Lock:
        return self

    def __exit__(self, *_: object) -> None:
        if self.fd >= 0:
            self.release()
            os.close(self.fd)
            self.fd = -1

    def take_if_free(self) -> bool:
        """Take the lock if nobody holds it, for held() later; return whether that is so.

        A snapshot may be begun at once. Without a folder that is safe for a lock, so it may, too.
        """
        self._asked = monotonic_ns()
        return self.fd < 0 or take(self.fd)

    def held(self, deadline: Deadline, question: Sequence[str] = ()) -> Turn:
        """Return the turn in which this call holds the lock, or gets the answer to *question*.

        Without a folder that is safe for a lock, the call goes on without one.
        """
        began = self._asked or monotonic_ns()
        return Turn(self._folder, self.fd, deadline, question, began)

    def release(self) -> None:
        """Release the lock, whichever process has taken it; it can be taken again."""
        _release(self.fd)


def _release(fd: int) -> None:
    if fd >= 0:
        try:
            fcntl.flock(fd, fcntl.LOCK_UN)
        except OSError:
            pass  # it never was locked, then


def _open_first() -> tuple[str, int]:
    """Open the lock in the first folder that allows it; return both, or "" and -1."""
    for folder in lock_folders():
        try:
            return folder, os.open(f"{folder}/{_LOCK}", os.O_RDWR | os.O_CREAT | _OPENING, 0o600)
        except OSError:
            continue  # no inode left there, or what has the name is no file
    return "", -1
