"""What /proc/PID says of a process that may call itself anything."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from zabbix_sockets.model.errors import ParseError
from zabbix_sockets.model.names import safe_name
from zabbix_sockets.readers.proc.process import (
    has_capability,
    is_gone,
    is_hidden,
    parse_fds_limit,
    parse_stat,
    parse_user,
    read_capabilities,
    read_command,
    read_fds_limit,
    read_name,
    read_parent,
    read_stat,
    read_uptime,
)

from .conftest import PAGE

TICKS = os.sysconf("SC_CLK_TCK")
KTHREAD = 0x00200000
LIMITS = (
    b"Limit                     Soft Limit           Hard Limit           Units     \n"
    b"Max processes             96365                96365                processes \n"
    b"Max open files            %s 1048576              files     \n"
    b"Max locked memory         8388608              8388608              bytes     \n"
)

COMM = st.binary(min_size=1, max_size=15).map(lambda name: name.replace(b"\0", b"x"))


def stat_line(
    comm: bytes, state: bytes = b"S", flags: int = 4194304, threads: int = 1, start: int = 100
) -> bytes:
    """Return /proc/PID/stat as do_task_stat() prints it."""
    before = b"4242 (%s) %s 1 4242 4242 0 -1 %d 352 0 0 0 2 1 0 0 20 0 %d 0 %d"
    return before % (comm, state, flags, threads, start) + b" 40394752 2682" + b" 0" * 29 + b"\n"


@pytest.mark.parametrize("comm", [b"a", b"a) S 9 (b", b"((", b"))", b") (", b" "])
def test_parent_of_any_name(tmp_path: Path, comm: bytes) -> None:
    """No name can give a process another parent."""
    (tmp_path / "7").mkdir()
    (tmp_path / "7/stat").write_bytes(stat_line(comm))
    assert read_parent(str(tmp_path), 7) == (comm, 1)


@pytest.mark.parametrize("content", [None, b"", b"7 (a", b"7 (a) S", b"7 (a) S x 1"])
def test_no_parent(tmp_path: Path, content: bytes | None) -> None:
    """A process that has ended, or a file of another kind, has none."""
    if content is not None:
        (tmp_path / "7").mkdir()
        (tmp_path / "7/stat").write_bytes(content)
    assert read_parent(str(tmp_path), 7) == (b"", 0)


@given(COMM, st.integers(0, 1 << 40))
@example(b") Z 1 (", 5)
@example(b"a b) R 1", 0)
@example(b"\n", 1)
@example(b"((((", 1)
def test_stat_of_any_name(comm: bytes, start: int) -> None:
    """No name can shift the fields behind it."""
    assert parse_stat(stat_line(comm, start=start)) == (comm, True, start / TICKS)


@pytest.mark.parametrize(
    ("state", "flags", "threads", "has_files"),
    [
        (b"S", 0, 1, True),
        (b"R", 0x400100, 9, True),
        (b"Z", 0, 1, False),
        (b"X", 0, 0, False),
        (b"Z", 0, 2, True),  # the main thread has exited, another runs on
        (b"I", KTHREAD | 0x8040, 1, False),
    ],
)
def test_who_can_have_descriptors(state: bytes, flags: int, threads: int, has_files: bool) -> None:
    """Zombies and kernel threads have no descriptors to hide."""
    assert parse_stat(stat_line(b"x", state, flags, threads))[1] == has_files


@given(st.binary(max_size=300))
@example(b"")
@example(b"1 (a)")
@example(b") (")
@example(b"1 (a) S")
@example(stat_line(b"a")[:80])
def test_stat_of_any_bytes(data: bytes) -> None:
    """Whatever the file holds, it gives a process or a ParseError."""
    try:
        comm, has_files, start = parse_stat(data)
    except ParseError:
        return
    assert isinstance(comm, bytes)
    assert isinstance(has_files, bool)
    assert isinstance(start, float)


def test_stat_with_a_number_beyond_float() -> None:
    """A start time that no float holds is a ParseError like any other word that can't be."""
    with pytest.raises(ParseError):
        parse_stat(stat_line(b"a").replace(b" 100 ", b" " + b"9" * 400 + b" "))


def make_process(
    proc: Path, pid: int, cmdline: bytes, executable: str = "", threads: Iterable[int] = ()
) -> Path:
    """Make what read_name() looks at; without an executable a thread has none."""
    folder = proc / str(pid)
    for each in (folder, *(folder / "task" / str(tid) for tid in (pid, *threads))):
        each.mkdir(parents=True)
        (each / "cmdline").write_bytes(cmdline)
        if executable:
            (each / "exe").symlink_to(executable)
    return folder


def test_plain_comm_needs_nothing_else(tmp_path: Path) -> None:
    """Most names are told without a look at the process's files."""
    assert read_name(str(tmp_path), "1", b"nginx") == ("nginx", True)


def test_name_from_arguments_and_executable(tmp_path: Path) -> None:
    """What comm doesn't tell is read from /proc."""
    make_process(tmp_path, 1, b"/usr/lib/systemd/systemd-resolved\0", "/x/y")
    assert read_name(str(tmp_path), "1", b"systemd-resolve") == ("systemd-resolved", True)
    make_process(tmp_path, 2, b"/usr/bin/python3\0-m\0x\0", "/usr/bin/python3.11 (deleted)")
    assert read_name(str(tmp_path), "2", b"MainThread") == ("python3", True)


def test_name_where_nothing_can_be_read(tmp_path: Path) -> None:
    """Where its files are gone or hidden, comm is what is left, and it is said."""
    assert read_name(str(tmp_path), "1", b"fifteen-letters") == ("fifteen-letters", False)
    assert read_name(str(tmp_path), "1", b"MainThread") == ("MainThread", False)
    assert read_name(str(tmp_path), "1", b"a\n") == (safe_name(b"a\n"), True)


def test_executable_told_otherwise(tmp_path: Path) -> None:
    """Where /proc/PID/exe may not be read, somebody else may know; else nobody is asked."""
    make_process(tmp_path, 1, b"x\0")
    assert read_name(str(tmp_path), "1", b"main", lambda: b"vector") == ("vector", True)
    assert read_name(str(tmp_path), "1", b"main", lambda: None) == ("x", False)
    make_process(tmp_path, 2, b"x\0", "/usr/bin/traefik")
    assert read_name(str(tmp_path), "2", b"main", lambda: b"vector") == ("traefik", True)


def test_main_thread_that_has_exited(tmp_path: Path) -> None:
    """It has no arguments and no executable any more; another thread has them."""
    folder = make_process(tmp_path, 5, b"/usr/bin/python3\0", "/usr/bin/python3.11", [6])
    for gone in (folder, folder / "task/5"):
        (gone / "cmdline").write_bytes(b"")
        (gone / "exe").unlink()
    assert read_name(str(tmp_path), "5", b"main") == ("python3", True)


def test_long_command_line_is_read_in_part(tmp_path: Path) -> None:
    """How long it is, the process chooses: only its beginning is looked at."""
    make_process(tmp_path, 1, b"fifteen-letters" + b"\xff" * (1 << 20))
    name, certain = read_name(str(tmp_path), "1", b"fifteen-letters")
    assert name == safe_name(b"fifteen-letters" + b"\xff" * (4096 - 15))
    assert certain


def test_path_longer_than_the_kernel_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who lies that deep has no executable's name: nothing was hidden."""

    def readlink(path: bytes) -> bytes:
        raise OSError(errno.ENAMETOOLONG, "", path)

    make_process(tmp_path, 1, b"/deep/tool\0")
    monkeypatch.setattr(os, "readlink", readlink)
    assert read_name(str(tmp_path), "1", b"main") == ("tool", True)


@given(st.binary(max_size=200))
@example(b"Max open files")
@example(b"Max open files \xff \xff \xff")
@example(b"Max open files            many")
def test_limits_of_any_bytes(data: bytes) -> None:
    """Whatever the file holds, it gives a limit, None or a ParseError."""
    try:
        limit = parse_fds_limit(data)
    except ParseError:
        return
    assert limit is None or isinstance(limit, int)


@pytest.mark.parametrize(
    ("soft", "limit"), [(b"1024", 1024), (b"0", 0), (b"unlimited", None), (b"1048576", 1048576)]
)
def test_limits(soft: bytes, limit: int | None) -> None:
    """The soft limit counts; None stands for no limit."""
    assert parse_fds_limit(LIMITS % soft.ljust(20)) == limit


def test_limit_of_this_process() -> None:
    """The two ways to a process's limit agree with what the process knows itself."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    expected = None if soft == resource.RLIM_INFINITY else soft
    assert read_fds_limit("/proc", os.getpid()) == expected
    assert read_fds_limit("/proc/self/root/proc", os.getpid()) == expected


def test_limit_of_a_process_that_is_gone(tmp_path: Path) -> None:
    """The limit of a process that has ended is unknown, and no error."""
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
    assert read_fds_limit("/proc", pid) is None
    assert read_fds_limit(str(tmp_path), 1) is None


def test_stat_of_this_process() -> None:
    """The kernel's own file is understood: the name, and a start before now."""
    comm, has_files, start = read_stat("/proc", "self")
    assert comm == Path("/proc/self/comm").read_bytes().rstrip(b"\n")
    assert has_files
    assert 0 <= start <= read_uptime("/proc")


@pytest.mark.parametrize("content", [b"", b"soon\n", b"\xff 1\n"])
def test_uptime_that_is_none(tmp_path: Path, content: bytes) -> None:
    """An uptime that is no number is a ParseError."""
    (tmp_path / "uptime").write_bytes(content)
    with pytest.raises(ParseError, match="/proc/uptime"):
        read_uptime(str(tmp_path))


@pytest.mark.parametrize(
    ("first", "there", "hidden"), [(True, False, False), (False, False, True), (False, True, False)]
)
def test_hidden_or_ended(tmp_path: Path, first: bool, there: bool, hidden: bool) -> None:
    """Who sees process 1 sees all: who is missing then has ended, else it is hidden."""
    for pid in [1] * first + [7] * there:
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "cmdline").touch()
    assert is_hidden(str(tmp_path), 7) is hidden


def test_name_takes_little_of_the_arguments(tmp_path: Path, read_by_pages: list[int]) -> None:
    """For a name a page of the arguments is read, however many megabytes there are."""
    (tmp_path / "7").mkdir()
    (tmp_path / "7/cmdline").write_bytes(b"\xff" * 2_000_000)
    assert read_name(str(tmp_path), "7", b"fifteen-letters").name == "fifteen-letters"
    assert sum(read_by_pages) <= PAGE


@pytest.mark.usefixtures("read_by_pages")
def test_command(tmp_path: Path) -> None:
    """Arguments are joined by spaces, as much of them as is asked for."""
    (tmp_path / "7").mkdir()
    (tmp_path / "7/cmdline").write_bytes(b"java\0-cp\0" + b"a" * 20_000 + b"\0kafka\0\0")
    whole = b"java -cp " + b"a" * 20_000 + b" kafka"
    assert read_command(str(tmp_path), 7, 65536) == whole
    assert read_command(str(tmp_path), 7, 9000) == whole[:9000]
    assert read_command(str(tmp_path), 8, 9000) == b""


@pytest.mark.usefixtures("read_by_pages")
def test_capabilities_behind_many_groups(tmp_path: Path) -> None:
    """Whoever is in thousands of groups has capabilities too: they stand behind these."""
    (tmp_path / "thread-self").mkdir()
    groups = " ".join(map(str, range(65536)))
    status = f"Name:\tx\nGroups:\t{groups} \nCapEff:\t00000000a80425fb\n"
    (tmp_path / "thread-self/status").write_text(status)
    assert read_capabilities(str(tmp_path)) == 0xA80425FB


@pytest.mark.parametrize("limits", [b"", b"Max open", b"Max open files            many\n"])
def test_limit_of_a_task_that_is_being_released(tmp_path: Path, limits: bytes) -> None:
    """The kernel shows an empty file of such a task: its limit is not known."""
    (tmp_path / "7").mkdir()
    (tmp_path / "7/limits").write_bytes(limits)
    assert read_fds_limit(str(tmp_path), 7) is None


@pytest.mark.parametrize(
    ("number", "gone"),
    [
        ("ENOENT", True),
        ("ESRCH", True),
        ("EACCES", False),
        ("EPERM", False),
        ("EMFILE", False),
        ("ENOMEM", False),
        ("EIO", False),
    ],
)
def test_what_says_that_a_process_is_gone(number: str, gone: bool) -> None:
    """Only what the kernel says of a process that is not there; an odd file is one's, too."""
    assert is_gone(OSError(getattr(errno, number), "")) is gone
    assert is_gone(ParseError("/proc/PID/stat", b""))


@pytest.mark.parametrize("told", ["", "many", "0 0"])
def test_capabilities_that_are_no_number(tmp_path: Path, told: str) -> None:
    """They are not told then: whoever tries what takes one learns it."""
    (tmp_path / "thread-self").mkdir()
    (tmp_path / "thread-self/status").write_text(f"CapEff:\t{told}\n")
    with pytest.raises(ParseError, match="thread-self/status"):
        read_capabilities(str(tmp_path))
    assert has_capability(str(tmp_path), 12)


def test_uid_that_no_process_has() -> None:
    """A number that the kernel doesn't write is no uid."""
    assert parse_user(b"Uid:\t" + b"9" * 5000 + b"\n") is None
    assert parse_user(b"Uid:\t4294967295\t0\n") == (4294967295, False)


def test_namespaces_that_an_old_kernel_does_not_tell() -> None:
    """Before Linux 4.1 there is no NSpid, so no process is nested; a name may look like a line."""
    assert parse_user(b"Name:\ta:NSpid:\t1\t2\nUid:\t33\t0\t0\t0\n") == (33, False)
