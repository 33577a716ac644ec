"""The fake kernel's files: every path below PLACES leads to its own root.

Of /proc a read gives a page at most; what stat(2) says there is what the scene says.
"""

from __future__ import annotations

import builtins
import io
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from . import procfiles
from .faults import Effect, Step
from .scene import OWN, Scene
from .steps import Replace, Steps

PLACES = re.compile(r"/(proc|sys|etc|run|var|home|dev/shm)(/|$)")
_DESCRIPTOR = re.compile(r"/proc/self/fd/(\d+)$")
_PAGE = 4096
_FAKED = (
    *("open", "read", "readv", "write", "listdir", "scandir", "stat", "lstat", "readlink"),
    *("access", "mkdir", "replace", "unlink"),
)
REAL = {name: getattr(os, name) for name in (*_FAKED, "close")}
"""The functions as they are."""


class Files:
    """Files below *root*; those of /dev/shm in a folder of their own for each *share*.

    Attributes:
        paths: what the descriptors are called that were opened here.
    """

    def __init__(self, root: Path, scene: Scene, step: Steps, share: str) -> None:
        self.paths: dict[int, str] = {}
        self._root = str(root)
        self._step = step
        self._share = share
        self._uids = {each.pid: each.uid for each in scene.processes}
        self._threads = {tid for each in scene.processes for tid in each.threads}

    def install(self, replace: Replace) -> None:
        """Put them in the place of the real ones."""
        for name in _FAKED:
            replace(os, name, getattr(self, f"_{name}"))
        replace(builtins, "open", self._open_file)

    def _at(self, path: object, dir_fd: int | None = None) -> tuple[Any, str]:
        """Return where a path leads to, and what it is called; one of no place has no name."""
        if isinstance(path, int):
            return path, self.paths.get(path, "")
        name = os.fsdecode(path)  # type: ignore[arg-type]
        if dir_fd is not None and not name.startswith("/"):
            folder = self.paths.get(dir_fd, "")
            return path, f"{folder}/{name}" if folder else ""
        label = name.removeprefix(self._root)
        own = f"/proc/{os.getpid()}"
        if label == own or label.startswith(f"{own}/"):
            label = f"/proc/self{label.removeprefix(own)}"  # which is the same in each run
        if not PLACES.match(label):
            return path, ""
        return self._root + self._seen_from_here(label), label

    def _seen_from_here(self, label: str) -> str:
        """Return the path of a file as this thread sees it: in its network namespace."""
        if self._share and label.startswith("/dev/shm"):
            return f"/dev/shm-{self._share}{label.removeprefix('/dev/shm')}"
        found = re.match(r"/proc/(\d+)(/.*|$)", label)
        if found and int(found[1]) in self._threads:
            return f"/proc/.{found[1]}{found[2]}"
        if self._step.netns != OWN:
            inner = re.sub(r"^/proc/(?:(?:thread-)?self/)?net(?=/|$)", "", label)
            if inner != label:
                return f"/proc/netns-{procfiles.NAMES[self._step.netns]}{inner}"
        return label

    def _open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        descriptor = _DESCRIPTOR.match(path) if isinstance(path, str) else None
        if descriptor:  # what it leads to has a name that is the same in each run
            real, label = path, self.paths.get(int(descriptor[1]), "")
        else:
            real, label = self._at(path, dir_fd)
        if label:
            self._step("open", label)
        fd: int = REAL["open"](real, flags, mode, dir_fd=dir_fd)
        self.paths[fd] = label
        return fd

    def _read(self, fd: int, size: int) -> bytes:
        label = self.paths.get(fd, "")
        if label.startswith("/proc"):
            size = min(size, _PAGE)
        effect = self._step("read", label or "a pipe")
        if effect is Effect.EMPTY:
            return b""
        data: bytes = REAL["read"](fd, 7 if effect is Effect.SHORT else size)
        return b"\xff" * len(data) if effect is Effect.GARBAGE else data

    def _readv(self, fd: int, buffers: Sequence[Any]) -> int:
        effect = self._step("readv", self.paths.get(fd, ""))
        if effect is Effect.SHORT:
            buffers = [memoryview(buffers[0])[:37]]
        size: int = REAL["readv"](fd, buffers)
        if effect is Effect.GARBAGE:
            spoilt = min(size, len(buffers[0]))
            memoryview(buffers[0])[:spoilt] = b"\xff" * spoilt
        return size

    def _write(self, fd: int, data: Any) -> int:
        self._step("write", self.paths.get(fd) or {1: "stdout", 2: "stderr"}.get(fd, "a pipe"))
        size: int = REAL["write"](fd, data)
        return size

    def _listdir(self, path: Any = ".") -> list[str]:
        real, label = self._at(path)
        if label:
            self._step("listdir", label)
        names: list[str] = sorted(REAL["listdir"](real))
        gone = {str(pid) for pid in self._step.gone} if label == "/proc" else set()
        return [name for name in names if name not in gone]

    def _scandir(self, path: Any = ".") -> Any:
        real, label = self._at(path)
        if label:
            self._step("scandir", label)
        return REAL["scandir"](real)

    def _stat(
        self, path: Any, *, dir_fd: int | None = None, follow_symlinks: bool = True
    ) -> os.stat_result:
        real, label = self._at(path, dir_fd)
        if label:
            self._step("stat", label)
        found: os.stat_result = REAL["stat"](real, dir_fd=dir_fd, follow_symlinks=follow_symlinks)
        return self._status(found, real, label)

    def _lstat(self, path: Any, *, dir_fd: int | None = None) -> os.stat_result:
        return self._stat(path, dir_fd=dir_fd, follow_symlinks=False)

    def _status(self, found: os.stat_result, real: Any, label: str) -> os.stat_result:
        """Return what stat(2) says of files of /proc that are not as ordinary ones."""
        mode, inode, device, links, uid, gid, size, *times = found[:10]
        pid = Step("stat", label).pid
        if label.endswith("/ns/net") or label.startswith("/run/netns/"):
            inode = self._step.netns if "thread-self" in label else int(Path(real).read_text())
        if label == f"/proc/{pid}":
            uid = self._uids.get(pid, uid)
        if re.fullmatch(r"/proc/\d+/fd", label):
            size = len(REAL["listdir"](real))
        if re.fullmatch(r"/proc/\d+/task", label):
            links = 2 + len(REAL["listdir"](real))
        return os.stat_result((mode, inode, device, links, uid, gid, size, *times))

    def _readlink(self, path: Any, *, dir_fd: int | None = None) -> Any:
        real, label = self._at(path, dir_fd)
        if label:
            self._step("readlink", label)
        link = REAL["readlink"](real, dir_fd=dir_fd)
        return os.fsencode(link) if isinstance(path, bytes) else link

    def _access(self, path: Any, mode: int, **options: Any) -> bool:
        real, label = self._at(path)
        if label:
            self._step("access", label)
        return bool(REAL["access"](real, mode, **options))

    def _mkdir(self, path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        real, label = self._at(path, dir_fd)
        if label:
            self._step("mkdir", label)
        REAL["mkdir"](real, mode, dir_fd=dir_fd)

    def _replace(self, source: Any, target: Any) -> None:
        new, _ = self._at(source)
        old, label = self._at(target)
        if label:
            self._step("replace", label)
        REAL["replace"](new, old)

    def _unlink(self, path: Any, *, dir_fd: int | None = None) -> None:
        real, label = self._at(path, dir_fd)
        if label:
            self._step("unlink", label)
        REAL["unlink"](real, dir_fd=dir_fd)

    def _open_file(
        self, file: Any, mode: str = "r", buffering: int = -1, **options: Any
    ) -> IO[Any]:
        """As open(): with a step for each system call beneath it."""
        kind = mode.replace("b", "").replace("t", "")
        is_ours = isinstance(file, int) or bool(self._at(file)[1])
        if kind not in ("r", "w", "a") or not is_ours:
            return io.open(file, mode, buffering, **options)  # noqa: UP020  # open() is this one
        fd, closes = file, options.pop("closefd", True)
        if not isinstance(file, int):
            flags = {"r": os.O_RDONLY, "w": os.O_WRONLY | os.O_CREAT | os.O_TRUNC}
            fd = self._open(file, flags.get(kind, os.O_WRONLY | os.O_APPEND) | os.O_CLOEXEC)
        raw = self.stream(fd, readable=kind == "r", closes=closes)
        size = buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE
        buffered: Any = (
            io.BufferedReader(raw, size) if kind == "r" else io.BufferedWriter(raw, size)
        )
        return buffered if "b" in mode else io.TextIOWrapper(buffered, **options)

    def stream(self, fd: int, *, readable: bool, closes: bool) -> io.RawIOBase:
        """Return a descriptor as a file whose reads and writes are steps."""
        return _Stream(self, fd, readable=readable, closes=closes)


class _Stream(io.RawIOBase):
    def __init__(self, files: Files, fd: int, *, readable: bool, closes: bool) -> None:
        self._files = files
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
        data = self._files._read(self._fd, len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def write(self, data: Any) -> int:
        return self._files._write(self._fd, data)

    def close(self) -> None:
        if self._closes and not self.closed:
            REAL["close"](self._fd)
        super().close()
