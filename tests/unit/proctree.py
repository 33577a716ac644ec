"""A proc filesystem made of files, for readers that take its root as a value."""

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
    ) -> None:
        """Write a process's stat file."""
        start = round((38991.59 - age) * 100)
        head = b"%d (%s) %s 1 1 1 0 -1 %d" % (pid, comm, state, flags)
        tail = b" 0 0 0 0 0 0 0 0 20 0 %d 0 %d" % (threads, start)
        (self.root / str(pid) / "stat").write_bytes(head + tail + b" 0" * 30 + b"\n")

    @staticmethod
    def add_links(folder: Path, links: Iterable[str]) -> None:
        """Make a folder of descriptors."""
        folder.mkdir(parents=True)
        for number, link in enumerate(links):
            (folder / str(number)).symlink_to(link)
