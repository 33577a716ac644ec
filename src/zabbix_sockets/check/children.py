"""Children that look at something, each in a process of its own: whatever hangs, an answer comes.

A file on a mount whose server is dead, a name server, an agent that takes a question and says
nothing: such a read may not even end with a signal. The caller waits until a deadline, kills what
has not ended, and has what was said until then.
"""

from __future__ import annotations

import json
import os
import pickle
import select
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from zabbix_sockets.model.deadline import Deadline

_LENGTH_BYTES = 4
_PIECE = 1 << 16
_MAX_BYTES = 8_000_000
_TO_DIE = 0.1
_FAULT, _VALUE = b"F", b"V"


class User(NamedTuple):
    """A user of this host, as a process runs.

    Attributes:
        name: its name; empty: it has none.
        uid: its number.
        gid: the number of its group.
        groups: the numbers of its supplementary groups.
    """

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]


class Result(NamedTuple):
    """What a child has said.

    Attributes:
        values: the values, in order.
        ended: it has said all.
        fault: the error that ended it, in words; empty: none did.
    """

    values: list[Any]
    ended: bool
    fault: str


class Child(NamedTuple):
    """A child that works; what it says comes through the descriptor *fd*."""

    pid: int
    fd: int
    loads: Callable[[bytes], Any]


def start(
    work: Callable[[], Iterable[object]], user: User | None = None, folder: str = ""
) -> Child:
    """Start *work* in a child, as *user* (None: as the caller); each value that it yields is told.

    Becoming another user takes root. Values of a child that has become one are of JSON's types.
    *folder* is the root directory of a child with a *user* (chroot(2)); empty: the caller's.
    """
    codec: Any = json if user else pickle  # nothing of another user's is unpickled
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.close(reading)
            _work(work, (user, folder), writing, codec.dumps)
        finally:
            os._exit(0)
    os.close(writing)
    return Child(pid, reading, codec.loads)


def _work(
    work: Callable[[], Iterable[object]],
    whose: tuple[User | None, str],
    fd: int,
    dumps: Callable[[object], Any],
) -> None:
    try:
        user, folder = whose
        if user:
            if folder:
                os.chroot(folder)
            become(user)
        for value in work():
            _write(fd, _VALUE, dumps(value))
        _write(fd, _VALUE, dumps(None))  # it has said all
    except BaseException as error:  # noqa: BLE001  # whatever it is, the parent has a line for it
        _write(fd, _FAULT, f"{type(error).__name__}: {error}")


def become(user: User) -> None:
    """Make this process one of *user*, with its groups and no capability; it takes root.

    Raises:
        OSError: this process may not.
    """
    os.setgroups(user.groups)
    os.setresgid(user.gid, user.gid, user.gid)
    os.setresuid(user.uid, user.uid, user.uid)
    os.umask(0o022)
    os.chdir("/")


def _write(fd: int, kind: bytes, said: Any) -> None:
    data = said.encode("utf-8", "surrogateescape") if isinstance(said, str) else said
    data = len(data).to_bytes(_LENGTH_BYTES, "big") + kind + data
    while data:
        data = data[os.write(fd, data) :]


def gather(children: Sequence[Child], deadline: Deadline) -> list[Result]:
    """Return the output of each of *children* until the *deadline*; those that go on are killed."""
    said = {child.fd: b"" for child in children}
    waiting = set(said)
    while waiting and not deadline.passed():
        ready, _, _ = select.select(list(waiting), [], [], max(0.0, deadline.remaining()))
        for fd in ready:
            piece = os.read(fd, _PIECE)
            said[fd] += piece
            if not piece or len(said[fd]) > _MAX_BYTES:
                waiting.discard(fd)
    for child in children:
        os.close(child.fd)
        if child.fd in waiting:
            os.kill(child.pid, signal.SIGKILL)
    patience = Deadline(_TO_DIE)
    for child in children:
        while not os.waitpid(child.pid, os.WNOHANG)[0] and not patience.passed():
            time.sleep(_TO_DIE / 50)  # one in an uninterruptible read is left: it is init's then
    return [_result(said[child.fd], child.loads) for child in children]


def _result(said: bytes, loads: Callable[[bytes], Any]) -> Result:
    values: list[Any] = []
    while len(said) > _LENGTH_BYTES:
        end = _LENGTH_BYTES + 1 + int.from_bytes(said[:_LENGTH_BYTES], "big")
        kind, data = said[_LENGTH_BYTES : _LENGTH_BYTES + 1], said[_LENGTH_BYTES + 1 : end]
        if len(said) < end:
            break
        if kind == _FAULT:
            return Result(values, ended=True, fault=data.decode("utf-8", "replace"))
        value = loads(data)
        if value is None:
            return Result(values, ended=True, fault="")
        values.append(value)
        said = said[end:]
    return Result(values, ended=False, fault="")
