"""Who holds which socket: the sums of owners, and the walk over a /proc made of files."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from children import run_as
from hypothesis import example, given
from hypothesis import strategies as st

from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import ParseError, SourceUnavailableError
from zabbix_sockets.model.owners import Owners
from zabbix_sockets.readers.proc import descriptors
from zabbix_sockets.readers.proc.descriptors import parse_links, walk

from ...proctree import ProcTree  # noqa: TID252  # a test folder is no package

NOBODY = 65534


@given(st.lists(st.text(max_size=30), max_size=4))
@example(["socket:[]"])
@example(["socket:[12"])
@example(["socket:[-"])
def test_any_links(links: list[str]) -> None:
    """Whatever a link reads, it gives an inode or a ParseError."""
    try:
        inodes = parse_links(links)
    except ParseError:
        return
    assert len(inodes) == len(links)


@given(st.lists(st.integers(0, 0xFFFFFFFF)))
def test_links(inodes: list[int]) -> None:
    """The kernel's links are read back."""
    assert parse_links(f"socket:[{inode}]" for inode in inodes) == inodes


@pytest.fixture
def proc(tmp_path: Path) -> ProcTree:
    """A proc filesystem with process 1."""
    return ProcTree(tmp_path)


def walked(proc: ProcTree) -> Owners:
    """Walk without hurry."""
    return walk(str(proc), Deadline(600))


def holders(owners: Owners) -> dict[int, set[int]]:
    """Return the pids of each inode's holders."""
    return {
        inode: {owners.processes[at].pid for at in owners.members(number)}
        for inode, number in owners.by_inode.items()
    }


def test_walk(proc: ProcTree) -> None:
    """Sockets, and only sockets, are found with all their holders."""
    proc.add(20, b"nginx", [500, 501], age=700)
    proc.add(21, b"nginx", [500, 0xFFFFFFFF])
    proc.add(22, b"idle")
    (proc.root / "self").mkdir()
    owners = walked(proc)
    assert holders(owners) == {500: {20, 21}, 501: {20}, 0xFFFFFFFF: {21}}
    found = {process.pid: process for process in owners.processes}
    assert set(found) == {20, 21}
    assert (found[20].name, found[20].fds) == ("nginx", 6)
    assert found[20].age == pytest.approx(700)
    assert (owners.denied, owners.vanished, owners.hidden, owners.complete) == ({}, 0, False, True)


def test_cut_name_is_completed(proc: ProcTree) -> None:
    """A name of 15 bytes is completed from cmdline."""
    folder = proc.add(20, b"systemd-resolve", [500])
    (folder / "cmdline").write_bytes(b"/usr/lib/systemd/systemd-resolved\0")
    (process,) = walked(proc).processes
    assert process.name == "systemd-resolved"


def test_start_in_the_future(proc: ProcTree) -> None:
    """A process that began after the clock was read has age 0, not less."""
    proc.add(20, b"new", [500], age=-1)
    (process,) = walked(proc).processes
    assert process.age == 0


def test_vanished(proc: ProcTree) -> None:
    """A process that ends while it is asked is counted as vanished and spoils nothing."""
    proc.add(20, b"here", [500])
    shutil.rmtree(proc.add(21, b"gone", [501]) / "fd")
    (proc.add(22, b"going", [502]) / "stat").unlink()
    owners = walked(proc)
    assert holders(owners) == {500: {20}}
    assert (owners.vanished, owners.denied, owners.complete) == (2, {}, True)


def test_descriptor_closed_since_it_was_listed(
    proc: ProcTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A descriptor that is closed meanwhile is skipped, and those behind it are read."""
    proc.add(20, b"busy", [500, 501, 502, 503])
    real: Callable[..., str] = os.readlink

    def readlink(name: str, *, dir_fd: int | None = None) -> str:
        link = real(name, dir_fd=dir_fd)
        if link in ("socket:[501]", "/dev/null"):
            raise FileNotFoundError(name)
        return link

    monkeypatch.setattr("os.readlink", readlink)
    owners = walked(proc)
    assert set(owners.by_inode) == {500, 502, 503}
    assert owners.vanished == 0


def with_failing(monkeypatch: pytest.MonkeyPatch, name: str, path: str, number: int) -> None:
    """Let a function of os fail for one path, or for the link with that text."""
    real = getattr(os, name)

    def fail(which: object, *arguments: object, **options: object) -> object:
        found = real(which, *arguments, **options)
        if path in (which, found):
            raise OSError(number, os.strerror(number), path)
        return found

    monkeypatch.setattr(os, name, fail)


def test_no_memory_for_a_link(proc: ProcTree, monkeypatch: pytest.MonkeyPatch) -> None:
    """What may be a socket is not passed over: the process counts as not inspected."""
    proc.add(20, b"busy", [500, 501])
    with_failing(monkeypatch, "readlink", "socket:[501]", errno.ENOMEM)
    owners = walked(proc)
    assert owners.by_inode == {}
    assert owners.denied == {"busy": 1}


@pytest.mark.parametrize("number", [errno.ENAMETOOLONG, errno.ENOENT])
def test_descriptor_whose_link_can_not_be_read(
    proc: ProcTree, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """A path of more than a page, which any user can make, is no socket and no error."""
    proc.add(20, b"deep", [500, 501], others=("/deep", "/dev/null"))
    with_failing(monkeypatch, "readlink", "/deep", number)
    owners = walked(proc)
    assert holders(owners) == {500: {20}, 501: {20}}
    assert (owners.denied, owners.vanished, owners.complete) == ({}, 0, True)


@pytest.mark.parametrize(
    ("number", "denied", "vanished"),
    [
        (errno.EACCES, {"odd": 1}, 0),
        (errno.EPERM, {"odd": 1}, 0),
        (errno.ESRCH, {}, 1),
    ],
)
def test_process_whose_links_can_not_be_read(
    proc: ProcTree,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    denied: dict[str, int],
    vanished: int,
) -> None:
    """What is so for every descriptor is so for the process: it is counted, and no other one."""
    proc.add(20, b"odd", [500], others=("/odd",))
    proc.add(21, b"nginx", [600])
    with_failing(monkeypatch, "readlink", "/odd", number)
    owners = walked(proc)
    assert holders(owners) == {600: {21}}
    assert (owners.denied, owners.vanished) == (denied, vanished)


@pytest.mark.parametrize(
    ("number", "denied", "vanished"),
    [
        (errno.ENOENT, {}, 1),
        (errno.ESRCH, {}, 1),
        (errno.EMFILE, {"odd": 1}, 0),
        (errno.ENOMEM, {"odd": 1}, 0),
        (errno.EIO, {"odd": 1}, 0),
    ],
)
def test_process_that_can_not_be_opened(
    proc: ProcTree,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    denied: dict[str, int],
    vanished: int,
) -> None:
    """Whatever keeps one process's descriptors from being read, the others' are read."""
    folder = proc.add(20, b"odd", [500]) / "fd"
    proc.add(21, b"nginx", [600])
    with_failing(monkeypatch, "open", str(folder), number)
    owners = walked(proc)
    assert holders(owners) == {600: {21}}
    assert (owners.denied, owners.vanished) == (denied, vanished)


@pytest.mark.parametrize("stat", [b"", b"20 (a", b"20 (a) S 1\n"])
def test_odd_stat_of_a_process(proc: ProcTree, stat: bytes) -> None:
    """A process whose file is empty or odd is one that has vanished, and spoils nothing."""
    (proc.add(20, b"odd", [500]) / "stat").write_bytes(stat)
    proc.add(21, b"nginx", [600])
    owners = walked(proc)
    assert holders(owners) == {600: {21}}
    assert (owners.denied, owners.vanished) == ({}, 1)


def test_odd_stat_of_a_denied_process(proc: ProcTree, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever may not be inspected and is gone then has vanished."""
    folder = proc.add(20, b"odd", [500])
    (folder / "stat").write_bytes(b"")
    with_failing(monkeypatch, "open", str(folder / "fd"), errno.EACCES)
    owners = walked(proc)
    assert (owners.denied, owners.vanished) == ({}, 1)


def test_few_of_many_threads_are_asked(proc: ProcTree, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads share their descriptors: of thousands without any a few are asked."""
    folder = without_descriptors(proc, 20)
    for tid in range(21, 221):
        (folder / "task" / str(tid) / "fd").mkdir(parents=True)
    if os.stat(folder / "task").st_nlink <= 3:
        pytest.skip("this filesystem does not count subfolders as links, as /proc does")
    listed: list[object] = []
    real = os.listdir

    def listdir(path: int | str) -> list[str]:
        listed.append(path)
        return real(path)

    monkeypatch.setattr("os.listdir", listdir)
    assert walked(proc).by_inode == {}
    assert len(listed) < 30


def without_descriptors(proc: ProcTree, pid: int) -> Path:
    """Add a process whose folder of descriptors is empty."""
    return proc.add(pid, b"leaderless", others=())


def test_main_thread_has_exited(proc: ProcTree) -> None:
    """The sockets of a process whose main thread has exited are found at another thread."""
    folder = without_descriptors(proc, 20)
    (folder / "task" / "20" / "fd").mkdir()
    (folder / "task" / "21").mkdir()
    proc.add_links(folder / "task" / "22" / "fd", ["socket:[500]", "/dev/null"])
    if os.stat(folder / "task").st_nlink != 5:
        pytest.skip("this filesystem does not count subfolders as links, as /proc does")
    owners = walked(proc)
    assert holders(owners) == {500: {20}}
    assert owners.processes[0].fds == 2


def test_zombies_and_kernel_threads_hold_nothing(proc: ProcTree) -> None:
    """A process without descriptors is no process of the document, nor denied nor vanished."""
    without_descriptors(proc, 20)
    proc.write_stat(20, b"zombie", state=b"Z")
    owners = walked(proc)
    assert (owners.processes, owners.denied, owners.vanished) == ([], {}, 0)


def test_hidden_processes(proc: ProcTree) -> None:
    """Without process 1 in the list the kernel hides those of others."""
    shutil.rmtree(proc.root / "1")
    assert walked(proc).hidden


def test_deadline(proc: ProcTree) -> None:
    """Past the deadline the walk ends and says that it is not complete."""
    proc.add(20, b"nginx", [500])
    owners = walk(str(proc), Deadline(0))
    assert not owners.complete
    assert owners.by_inode == {}


def test_many_descriptors_come_last(proc: ProcTree, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process with very many descriptors takes no time of those that come behind it."""

    class SoonOver(Deadline):
        """Passes when it has been asked so many times."""

        left = 12

        def passed(self) -> bool:
            self.left -= 1
            return self.left < 0

    monkeypatch.setattr(descriptors, "_MANY", 100)
    monkeypatch.setattr(descriptors, "_SLICE", 10)
    proc.add(20, b"huge", range(1000, 1200), others=())
    folder = without_descriptors(proc, 21)
    proc.add_links(folder / "task" / "22" / "fd", [f"socket:[{at}]" for at in range(2000, 2200)])
    proc.add(30, b"nginx", [500])
    assert len(walked(proc).by_inode) in (201, 401)  # not where subfolders are no links
    owners = walk(str(proc), SoonOver(600))
    assert holders(owners)[500] == {30}
    assert not owners.complete
    assert owners.vanished == 0


def test_deadline_within_a_process(proc: ProcTree) -> None:
    """A process with very many descriptors can't hold up the walk, and keeps what was read."""

    class SoonOver(Deadline):
        """Passes when it has been asked for the third time."""

        asked = 0

        def passed(self) -> bool:
            self.asked += 1
            return self.asked > 2

    shutil.rmtree(proc.root / "1")
    proc.add(20, b"huge", range(1, 9001), others=())
    owners = walk(str(proc), SoonOver(600))
    assert 0 < len(owners.by_inode) < 9000
    assert not owners.complete


@pytest.mark.parametrize("missing", ["uptime", ""])
def test_no_proc(proc: ProcTree, missing: str) -> None:
    """A folder that is no proc filesystem, or none at all, is named."""
    root = proc.root / "nowhere"
    if missing:
        (proc.root / missing).unlink()
        root = proc.root
    with pytest.raises(SourceUnavailableError, match="is not a proc filesystem"):
        walk(str(root), Deadline(600))


@pytest.fixture
def shared_proc() -> Iterator[ProcTree]:
    """A proc filesystem that another user can enter."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield ProcTree(Path(folder))


def test_denied(shared_proc: ProcTree) -> None:
    """Who may not be inspected is counted by name; kernel threads and zombies are not."""
    proc = shared_proc
    proc.add(20, b"ours", [500])
    for pid in (21, 22):
        os.chmod(proc.add(pid, b"theirs", [501]) / "fd", 0)
    for pid, state, flags in ((23, b"Z", 0), (24, b"I", 0x00200000)):
        os.chmod(proc.add(pid, b"nothing to hide", [502]) / "fd", 0)
        proc.write_stat(pid, b"nothing to hide", state=state, flags=flags)
    folder = proc.add(25, b"hidden", [503])
    os.chmod(folder / "fd", 0)
    os.chmod(folder / "stat", 0)

    def look() -> object:
        owners = walked(proc)
        return [owners.denied, sorted(owners.by_inode), owners.vanished]

    try:
        # Root may inspect everything: another user has to look.
        seen = look() if os.geteuid() else run_as(NOBODY, look)
    finally:
        for path in proc.root.glob("*/fd"):
            os.chmod(path, 0o755)
    assert seen == [{"theirs": 2, "": 1}, [500], 0]
