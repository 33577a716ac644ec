"""The fake kernel: what the package calls, in the place of the real one.

It answers from the files of the scene (procfiles) and from netlink's side of it (diag), with a
page of /proc at a time, and has a fault at the step that it is told. Every path below PLACES
leads to its own root, so the command itself runs against it, with its defaults.

It is installed for good: in a process that was forked for that.
"""

import _socket
import _thread
import builtins
import errno
import fcntl
import io
import os
import re
import resource
import select
import signal
import sqlite3
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from ..readers.messages import done, message  # noqa: TID252  # a test folder is no package
from . import diag, iterators, procfiles
from .faults import WAIT, Effect, Fault, Step, Trial
from .scene import DEVICES, OWN, Process, Scene, Socket

PLACES = re.compile(r"/(proc|sys|etc|run|var|home|dev/shm)(/|$)")
_PAGE = 4096
_REAL = {
    name: getattr(os, name)
    for name in (
        *("open", "read", "readv", "write", "listdir", "scandir", "stat", "lstat", "readlink"),
        *("access", "mkdir", "fork", "pipe", "close"),
    )
}
_DENIED = re.compile(r"/proc/(\d+)/(fd(?=/)|fd$|ns/|exe$|task/\d+/fd)")
_LATE_SECONDS = 3600.0
_ENDLESS_SECONDS = 0.05  # that each of the same datagrams takes


class Kernel:
    """A host of *scene*, whose files are below *root*.

    Attributes:
        steps: what was called so far, in this process.
        trial: the step at which something goes wrong, and what.
        fired: it has.
        rounds: how often a service may wait until it is told to stop; None: for ever.
    """

    def __init__(self, root: Path, scene: Scene) -> None:
        self.scene = scene
        self.steps: list[Step] = []
        self.trial: Trial | None = None
        self.fired = False
        self.on_step: Callable[[Step, bool], None] = lambda _step, _fired: None
        self._root = str(root)
        self._pid = os.getpid()
        self._seen: Counter[tuple[str, str, bool]] = Counter()
        self._paths: dict[int, str] = {}
        self._netns = OWN
        self._gone: set[int] = set()
        self._seconds = 0.0
        self._monotonic, self._real_sleep = time.monotonic, time.sleep
        self.rounds: int | None = None
        self._processes = {each.pid: each for each in scene.processes}
        self._threads = {tid for each in scene.processes for tid in each.threads}

    def write(self) -> None:
        """Make the files."""
        root = Path(self._root)
        procfiles.write(root, self.scene)
        if self.scene.has_pins:
            for program, data in iterators.records(self.scene, self._cgroup).items():
                (root / f"run/zabbix-sockets/{_pin(program)}").write_bytes(data)

    def begin(self, trial: Trial | None = None) -> None:
        """Forget what has been, and let *trial* go wrong from now on."""
        self.steps = []
        self.trial = trial
        self.fired = False
        self._seen.clear()
        self._gone.clear()
        self._seconds = 0.0
        self._netns = OWN

    @property
    def is_at_home(self) -> bool:
        """Whether the thread is in its own network namespace."""
        return self._netns == OWN

    def install(self) -> None:
        """Put the fake functions in the place of the real ones, wherever these are known."""
        self._pid = os.getpid()
        fakes: dict[object, Callable[..., object]] = {}

        def replace(module: object, name: str, fake: Callable[..., object]) -> None:
            if hasattr(module, name):
                fakes[getattr(module, name)] = fake
            setattr(module, name, fake)

        for name in ("open", "read", "readv", "write", "listdir", "scandir", "stat", "lstat"):
            replace(os, name, getattr(self, f"_{name}"))
        for name in ("readlink", "access", "mkdir", "fork", "pipe"):
            replace(os, name, getattr(self, f"_{name}"))
        replace(os, "setns", self._setns)
        replace(builtins, "open", self._open_file)
        replace(_socket, "socket", self._socket)
        replace(_socket, "if_indextoname", self._if_indextoname)
        replace(_socket, "if_nametoindex", self._if_nametoindex)
        replace(_thread, "start_new_thread", self._start_thread)
        replace(resource, "prlimit", self._prlimit)
        replace(fcntl, "flock", self._flock)
        replace(time, "monotonic", lambda: self._monotonic() + self._seconds)
        replace(time, "sleep", self._sleep)
        replace(select, "select", self._select)
        replace(sqlite3, "connect", self._connect)
        subprocess.Popen = _popen(self)  # type: ignore[misc, assignment]
        fakes.pop(builtins.open, None)
        for module_name, module in list(sys.modules.items()):
            if module_name.startswith("zabbix_sockets") or module_name == "threading":
                for name, value in list(vars(module).items()):
                    if callable(value) and _known(value, fakes):
                        setattr(module, name, fakes[value])

    # ------------------------------------------------------------------ steps

    def step(self, function: str, label: str) -> Effect | None:
        """Note a step; raise what goes wrong there, or return what its result is to suffer."""
        in_child = os.getpid() != self._pid
        self._seen[function, label, in_child] += 1
        step = Step(function, label, self._seen[function, label, in_child], in_child)
        self._refuse(function, label)
        self.steps.append(step)
        fault = self._fault_at(step)
        self.on_step(step, fault is not None)
        if fault is None:
            return None
        self.fired = True
        if isinstance(fault.what, int):
            raise OSError(fault.what, os.strerror(fault.what), label)
        self._suffer(fault.what, step)
        return fault.what

    def _fault_at(self, step: Step) -> Fault | None:
        if self.trial is None:
            return None
        at, fault = self.trial
        lasts = fault.lasting and self.fired and step.function in ("open", "netlink", "pipe")
        return fault if step == at or lasts else None

    def _refuse(self, function: str, label: str) -> None:
        for wanted, number in self.scene.refusals:
            if wanted in (function, label):
                raise OSError(number, os.strerror(number), label)
        found = _DENIED.match(label)
        if found and int(found[1]) in self.scene.denied and function != "access":
            if function == "stat" and found[2].startswith("fd"):
                return
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), label)
        pid = Step(function, label).pid
        if pid in self._gone:
            number = errno.ESRCH if function in ("read", "listdir") else errno.ENOENT
            raise OSError(number, os.strerror(number), label)

    def _suffer(self, effect: Effect, step: Step) -> None:
        if effect is Effect.MEMORY:
            raise MemoryError
        if effect is Effect.THREAD:
            raise RuntimeError("can't start new thread")
        if effect is Effect.LATE:
            self._seconds += _LATE_SECONDS
        elif effect is Effect.GONE:
            self._gone.add(step.pid)
            self._refuse(step.function, step.label)
        elif effect is Effect.HANG:
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            while True:
                self._real_sleep(60)
        elif effect in (Effect.KILL, Effect.CRASH):
            os.kill(os.getpid(), signal.SIGKILL if effect is Effect.KILL else signal.SIGSEGV)

    # ------------------------------------------------------------------ files

    def _at(self, path: object, dir_fd: int | None = None) -> tuple[Any, str]:
        """Return where a path leads to, and what it is called; one of no place has no name."""
        if isinstance(path, int):
            return path, self._paths.get(path, "")
        name = os.fsdecode(path)  # type: ignore[arg-type]
        if dir_fd is not None and not name.startswith("/"):
            folder = self._paths.get(dir_fd, "")
            return path, f"{folder}/{name}" if folder else ""
        label = name.removeprefix(self._root)
        if not PLACES.match(label):
            return path, ""
        return self._root + self._seen_from_here(label), label

    def _seen_from_here(self, label: str) -> str:
        """Return the path of a file as this thread sees it: in its network namespace."""
        found = re.match(r"/proc/(\d+)(/.*|$)", label)
        if found and int(found[1]) in self._threads:
            return f"/proc/.{found[1]}{found[2]}"
        if self._netns != OWN:
            inner = re.sub(r"^/proc/(?:(?:thread-)?self/)?net(?=/|$)", "", label)
            if inner != label:
                return f"/proc/netns-{procfiles.NAMES[self._netns]}{inner}"
        return label

    def _open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        real, label = self._at(path, dir_fd)
        if label:
            self.step("open", label)
        fd: int = _REAL["open"](real, flags, mode, dir_fd=dir_fd)
        self._paths[fd] = label
        return fd

    def _read(self, fd: int, size: int) -> bytes:
        label = self._paths.get(fd, "")
        if label.startswith("/proc"):
            size = min(size, _PAGE)
        effect = self.step("read", label or "a pipe")
        if effect is Effect.EMPTY:
            return b""
        data: bytes = _REAL["read"](fd, 7 if effect is Effect.SHORT else size)
        return b"\xff" * len(data) if effect is Effect.GARBAGE else data

    def _readv(self, fd: int, buffers: Sequence[Any]) -> int:
        effect = self.step("readv", self._paths.get(fd, ""))
        if effect is Effect.SHORT:
            buffers = [memoryview(buffers[0])[:37]]
        size: int = _REAL["readv"](fd, buffers)
        if effect is Effect.GARBAGE:
            memoryview(buffers[0])[:size] = b"\xff" * min(size, len(buffers[0]))
        return size

    def _write(self, fd: int, data: Any) -> int:
        self.step("write", self._paths.get(fd) or {1: "stdout", 2: "stderr"}.get(fd, "a pipe"))
        size: int = _REAL["write"](fd, data)
        return size

    def _listdir(self, path: Any = ".") -> list[str]:
        real, label = self._at(path)
        if label:
            self.step("listdir", label)
        names: list[str] = _REAL["listdir"](real)
        if label == "/proc":
            return [name for name in sorted(names) if name not in map(str, self._gone)]
        return sorted(names)

    def _scandir(self, path: Any = ".") -> Any:
        real, label = self._at(path)
        if label:
            self.step("scandir", label)
        return _REAL["scandir"](real)

    def _stat(
        self, path: Any, *, dir_fd: int | None = None, follow_symlinks: bool = True
    ) -> os.stat_result:
        real, label = self._at(path, dir_fd)
        if label:
            self.step("stat", label)
        found: os.stat_result = _REAL["stat"](real, dir_fd=dir_fd, follow_symlinks=follow_symlinks)
        return self._status(found, real, label)

    def _lstat(self, path: Any, *, dir_fd: int | None = None) -> os.stat_result:
        return self._stat(path, dir_fd=dir_fd, follow_symlinks=False)

    def _status(self, found: os.stat_result, real: Any, label: str) -> os.stat_result:
        """Return what stat(2) says of files of /proc that are not as ordinary ones."""
        mode, inode, device, links, uid, gid, size, *times = found[:10]
        pid = Step("stat", label).pid
        if label.endswith("/ns/net") or label.startswith("/run/netns/"):
            inode = self._netns if "thread-self" in label else int(Path(real).read_text())
        if label == f"/proc/{pid}" and pid in self._processes:
            uid = self._processes[pid].uid
        if re.fullmatch(r"/proc/\d+/fd", label):
            size = len(_REAL["listdir"](real))
        if re.fullmatch(r"/proc/\d+/task", label):
            links = 2 + len(_REAL["listdir"](real))
        return os.stat_result((mode, inode, device, links, uid, gid, size, *times))

    def _readlink(self, path: Any, *, dir_fd: int | None = None) -> Any:
        real, label = self._at(path, dir_fd)
        if label:
            self.step("readlink", label)
        return _REAL["readlink"](real, dir_fd=dir_fd)

    def _access(self, path: Any, mode: int, **options: Any) -> bool:
        real, label = self._at(path)
        if label:
            try:
                self.step("access", label)
            except OSError:
                return False  # as access(2) says it
        return bool(_REAL["access"](real, mode, **options))

    def _mkdir(self, path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        real, label = self._at(path, dir_fd)
        if label:
            self.step("mkdir", label)
        _REAL["mkdir"](real, mode, dir_fd=dir_fd)

    def _open_file(
        self, file: Any, mode: str = "r", buffering: int = -1, **options: Any
    ) -> IO[Any]:
        """As open(): with a step for each system call beneath it."""
        kind = mode.replace("b", "").replace("t", "")
        label = self._at(file)[1]
        if kind not in ("r", "w", "a") or not (label or isinstance(file, int)):
            return io.open(file, mode, buffering, **options)  # noqa: UP020  # open() is this one
        fd, closes = file, options.pop("closefd", True)
        if not isinstance(file, int):
            flags = {"r": os.O_RDONLY, "w": os.O_WRONLY | os.O_CREAT | os.O_TRUNC}
            fd = self._open(file, flags.get(kind, os.O_WRONLY | os.O_APPEND) | os.O_CLOEXEC)
        raw = _File(self, fd, kind == "r", closes=closes)
        size = buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE
        buffered: Any = (
            io.BufferedReader(raw, size) if kind == "r" else io.BufferedWriter(raw, size)
        )
        return buffered if "b" in mode else io.TextIOWrapper(buffered, **options)

    # ------------------------------------------------- namespaces and devices

    def _setns(self, fd: int, _kind: int = 0) -> None:
        label = self._paths.get(fd, "")
        going_home = "thread-self" in label
        self.step("setns", "home" if going_home else "away")
        self._netns = OWN if going_home else int(os.pread(fd, 20, 0))

    def _if_indextoname(self, index: int) -> str:
        self.step("if_indextoname", str(index))
        if index not in DEVICES[self._netns]:
            raise OSError(errno.ENXIO, os.strerror(errno.ENXIO))
        return DEVICES[self._netns][index]

    def _if_nametoindex(self, name: str) -> int:
        self.step("if_nametoindex", name)
        for index, known in DEVICES[self._netns].items():
            if known == name:
                return index
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))

    # ------------------------------------------------ processes, locks, limits

    def _start_thread(self, *arguments: Any) -> int:
        self.step("thread", "")
        return _START(*arguments)

    def _fork(self) -> int:
        self.step("fork", "")
        pid: int = _REAL["fork"]()
        return pid

    def _pipe(self) -> tuple[int, int]:
        self.step("pipe", "")
        ends: tuple[int, int] = _REAL["pipe"]()
        for end in ends:
            self._paths[end] = ""
        return ends

    def _prlimit(self, pid: int, _what: int, *_: object) -> tuple[int, int]:
        self.step("prlimit", f"/proc/{pid}")
        process = self._processes.get(pid)
        if process is None:
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
        return process.fds_limit, 4096

    def _flock(self, fd: Any, operation: int) -> None:
        self.step("flock", self._paths.get(fd, ""))
        _FLOCK(fd, operation)

    # -------------------------------------------------------- time and sending

    def _sleep(self, seconds: float) -> None:
        """Let time go by without waiting, but for other threads and processes to go on."""
        self._real_sleep(min(seconds, _PAUSE))
        self.let_pass(seconds)

    def _select(self, *arguments: Any) -> Any:
        """As select(2), which lets the time go by that it would wait."""
        *descriptors, timeout = arguments
        self.step(WAIT, "")
        found = _SELECT(*descriptors, _PAUSE)  # type: ignore[call-arg]
        if not any(found) and timeout:
            self.let_pass(timeout)
            if self.rounds is not None:
                self.rounds -= 1
                if self.rounds < 0:
                    os.kill(os.getpid(), signal.SIGTERM)
        return found

    def _connect(self, path: Any, **options: Any) -> Any:
        self._sqlite("connect")
        made = _CONNECT(path, factory=_Connection, **options)
        made.kernel = self
        return made

    def _sqlite(self, what: str) -> None:
        """Be a step of a database, by the first words of its statement."""
        effect = self.step("sqlite", " ".join(what.split()[:3]))
        if effect is not None and effect in _SQLITE_ERRORS:
            raise _SQLITE_ERRORS[effect](effect.value)

    # ---------------------------------------------------------------- netlink

    def _socket(self, family: int = -1, *arguments: Any, **options: Any) -> Any:
        if family != _socket.AF_NETLINK:
            return _SOCKET(family, *arguments, **options)
        self.step("netlink", "")
        return _Netlink(self, self._netns)

    def answers(self, request: bytes, netns: int) -> Iterator[bytes]:
        """Return the datagrams of a dump."""
        gone = self._gone
        scene = self.scene
        if gone:
            left = (
                each
                for each in scene.sockets
                if not each.holders or not gone.issuperset(each.holders)
            )
            scene = scene._replace(sockets=tuple(left))
        return diag.answer(request, scene, netns, self._cgroup_of)

    def _cgroup_of(self, each: Socket) -> int:
        for pid in each.holders:
            return self._cgroup(self._processes[pid])
        return 0

    def _cgroup(self, process: Process) -> int:
        """Return the id of a process's cgroup."""
        return int(_REAL["stat"](f"{self._root}/sys/fs/cgroup{process.cgroup}").st_ino)

    def let_pass(self, seconds: float) -> None:
        """Let time go by."""
        self._seconds += seconds


_CONNECT = sqlite3.connect
_FLOCK = fcntl.flock
_PAUSE = 0.001
_SELECT = select.select
_START = _thread.start_new_thread
_SQLITE_ERRORS = {
    Effect.DISK: sqlite3.OperationalError,
    Effect.FULL: sqlite3.OperationalError,
    Effect.LOCKED: sqlite3.OperationalError,
    Effect.DAMAGED: sqlite3.DatabaseError,
}
_SOCKET = _socket.socket


def _known(value: object, fakes: dict[object, Callable[..., object]]) -> bool:
    try:
        return value in fakes
    except TypeError:  # not hashable
        return False


def _pin(program: str) -> str:
    from zabbix_sockets.readers import bpf  # noqa: PLC0415  # of the version that is tried

    return os.path.basename(bpf.pin_path("", program))


class _File(io.RawIOBase):
    """A descriptor whose reads and writes are steps."""

    def __init__(self, kernel: Kernel, fd: int, readable: bool, *, closes: bool) -> None:
        self._kernel = kernel
        self._fd = fd
        self._readable = readable
        self._closes = closes

    def readable(self) -> bool:
        return self._readable

    def writable(self) -> bool:
        return not self._readable

    def fileno(self) -> int:
        return self._fd

    def readinto(self, buffer: Any) -> int:
        data = self._kernel._read(self._fd, len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def write(self, data: Any) -> int:
        return self._kernel._write(self._fd, data)

    def close(self) -> None:
        if self._closes and not self.closed:
            _REAL["close"](self._fd)
        super().close()


class _Connection(sqlite3.Connection):
    """A database whose statements are steps."""

    kernel: Kernel

    def execute(self, statement: str, *arguments: Any) -> Any:
        self.kernel._sqlite(statement)
        return super().execute(statement, *arguments)

    def executemany(self, statement: str, *arguments: Any) -> Any:
        self.kernel._sqlite(statement)
        return super().executemany(statement, *arguments)

    def executescript(self, statements: str) -> Any:
        self.kernel._sqlite(statements)
        return super().executescript(statements)


def _popen(kernel: Kernel) -> type[subprocess.Popen[bytes]]:
    """Return a Popen whose start is a step."""

    class Popen(subprocess.Popen[bytes]):
        def __init__(self, arguments: Any, **options: Any) -> None:
            kernel.step("run", os.path.basename(arguments[0]))
            super().__init__(arguments, **options)

    return Popen


class _Netlink:
    """A NETLINK_SOCK_DIAG socket of a network namespace: it has a descriptor, as a real one."""

    def __init__(self, kernel: Kernel, netns: int) -> None:
        self._kernel = kernel
        self._netns = netns
        self._fd = -1
        self._fd = _REAL["open"](os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self._answers: Iterator[bytes] = iter(())
        self._last = b""
        self._is_endless = False

    def settimeout(self, _seconds: float | None) -> None:
        """Nothing ever waits here."""

    def fileno(self) -> int:
        return self._fd

    def setsockopt(self, *_: object) -> None:
        """Every option is as good as another."""

    def send(self, request: bytes) -> int:
        kind = struct.unpack_from("=H", request, 4)[0]
        family, protocol = request[16:18]
        self._kernel.step("send", f"{kind} {family} {protocol}")
        self._answers = self._kernel.answers(request, self._netns)
        return len(request)

    def recvmsg_into(
        self, buffers: Sequence[Any], *_: object
    ) -> tuple[int, list[object], int, None]:
        effect = self._kernel.step("recv", "")
        self._is_endless |= effect is Effect.ENDLESS
        if self._is_endless and self._last:
            self._kernel.let_pass(_ENDLESS_SECONDS)
            data = self._last
        else:
            data = next(self._answers, b"")
            self._last = data
        data = _spoilt(data, effect)
        buffers[0][: len(data)] = data
        return len(data), [], 0, None

    def close(self) -> None:
        if self._fd >= 0:
            _REAL["close"](self._fd)
            self._fd = -1

    __del__ = close


def _spoilt(data: bytes, effect: Effect | None) -> bytes:
    """Return a datagram with what *effect* does to it."""
    if effect is Effect.SHORT:
        return data[: len(data) - 10]
    if effect is Effect.EMPTY:
        return b""
    if effect is Effect.GARBAGE:
        return b"\xff" * len(data)
    if effect is Effect.REFUSAL:
        return message(2, struct.pack("=i", -errno.EPERM) + bytes(16))
    if effect is Effect.INTERRUPTED:
        return done(flags=0x12)
    return data
