"""A proc filesystem made of files, for readers that take its root as a value."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

CAPTURE = Path(__file__).parent / "captures" / "linux-6.18"


class ProcTree:
    """The captured /proc below *root*, and processes that a test adds to it.

    Its uptime is 38991.59 s. Process 1 is there, with no sockets.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        shutil.copytree(CAPTURE, root, dirs_exist_ok=True)
        self.add(1, b"init")
        self.own = self.add_netns("own")
        (root / "thread-self").mkdir()
        self.write_capabilities(0)
        self.join("thread-self", self.own)

    def __str__(self) -> str:
        """Return the path as Query.proc takes it."""
        return str(self.root)

    def add(
        self,
        pid: int,
        comm: bytes,
        sockets: Iterable[int] = (),
        others: Iterable[str] = ("/dev/null", "pipe:[77]", "socket:", "anon_inode:[eventpoll]"),
        age: float = 3600.0,
        fds_limit: int = 1024,
    ) -> Path:
        """Add a process that holds *sockets*, by inode, and *others*, by link."""
        folder = self.root / str(pid)
        folder.mkdir()
        links = [*others, *(f"socket:[{inode}]" for inode in sockets)]
        self.write_stat(pid, comm, age=age)
        (folder / "cmdline").write_bytes(b"/usr/sbin/" + comm + b"\0")
        (folder / "limits").write_text(f"Max open files            {fds_limit} 4096 files\n")
        self.add_links(folder / "fd", links)
        (folder / "task" / str(pid)).mkdir(parents=True)
        return folder

    def write_stat(
        self,
        pid: int,
        comm: bytes,
        *,
        state: bytes = b"S",
        flags: int = 4194304,
        threads: int = 1,
        age: float = 3600.0,
        parent: int = 1,
    ) -> None:
        """Write a process's stat file."""
        start = round((38991.59 - age) * 100)
        head = b"%d (%s) %s %d 1 1 0 -1 %d" % (pid, comm, state, parent, flags)
        tail = b" 0 0 0 0 0 0 0 0 20 0 %d 0 %d" % (threads, start)
        (self.root / str(pid) / "stat").write_bytes(head + tail + b" 0" * 30 + b"\n")

    def write_capabilities(self, mask: int) -> None:
        """Write which capabilities the reader has."""
        status = f"Name:\ttest\nCapPrm:\t{1 << 40:016x}\nCapEff:\t{mask:016x}\n"
        (self.root / "thread-self/status").write_text(status)

    def add_netns(self, name: str) -> Path:
        """Add a network namespace of empty tables and "nsfs", the file that stands for it."""
        folder = self.root / f"netns-{name}"
        (folder / "net").mkdir(parents=True)
        (folder / "nsfs").touch()
        for file in ("dev", "tcp", "tcp6", "udp", "udp6", "unix"):
            (folder / "net" / file).write_text("titles\n")
        return folder

    def join(self, pid: int | str, netns: Path, *, secret: bool = False) -> None:
        """Put a process into a network namespace; *secret*: its number is not told."""
        process = self.root / str(pid)
        (process / "net").symlink_to(netns / "net")
        (process / "ns").mkdir()
        if not secret:
            (process / "ns/net").symlink_to(netns / "nsfs")

    def mount_netns(self, netns: Path, where: str) -> None:
        """Add a line to mountinfo, as for what `ip netns add` mounts."""
        line = f"36 35 0:4 net:[{number_of(netns)}] {where} rw shared:7 - nsfs nsfs rw\n"
        (self.root / "self").mkdir(exist_ok=True)
        with (self.root / "self/mountinfo").open("a") as file:
            file.write(line)

    @staticmethod
    def add_links(folder: Path, links: Iterable[str]) -> None:
        """Make a folder of descriptors."""
        folder.mkdir(parents=True)
        for number, link in enumerate(links):
            (folder / str(number)).symlink_to(link)


def number_of(netns: Path) -> int:
    """Return the number of a network namespace."""
    return (netns / "nsfs").stat().st_ino


def key_of(netns: Path) -> int:
    """Return what a network namespace is told by without privilege."""
    return (netns / "net/dev").stat().st_ino
