"""What /proc/PID says of a process that may call itself anything."""

import os
import resource
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from zabbix_sockets.errors import ParseError
from zabbix_sockets.names import safe_name
from zabbix_sockets.readers.process import (
    COMM_MAX,
    complete_comm,
    is_cut_short,
    is_hidden,
    parse_fds_limit,
    parse_stat,
    read_fds_limit,
    read_name,
    read_stat,
    read_uptime,
)

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


@given(COMM, st.binary(max_size=200))
@example(b"fifteen-letters", b"/fifteen-letters: x\0")
@example(b"fifteen-letters", b"fifteen-letters\n\0\0\0")
def test_completed_name_begins_with_comm(comm: bytes, cmdline: bytes) -> None:
    """Whatever the arguments are, they can only lengthen a name that was cut."""
    whole = complete_comm(comm, cmdline)
    assert whole.startswith(comm)
    if len(comm) < 15:
        assert whole == comm


@pytest.mark.parametrize(
    ("comm", "cmdline", "name"),
    [
        (b"nginx", b"nginx: worker process", b"nginx"),
        (b"systemd-resolve", b"/usr/lib/systemd/systemd-resolved\0", b"systemd-resolved"),
        (b"exactly-fifteen", b"/bin/exactly-fifteen\0-v\0", b"exactly-fifteen"),
        (b"unattended-upgr", b"python3\0-u\0/bin/unattended-upgrade-shutdown\0", None),
        (b"php-fpm-and-mor", b"php-fpm-and-more: pool www\0", b"php-fpm-and-more"),
        (b"php-fpm-and-mor", b"php-fpm-and-more worker\0", b"php-fpm-and-more"),
        (b"chosen-by-prctl", b"/usr/bin/python3\0-c\0x\0", b"chosen-by-prctl"),
        (b"fourth-argument", b"a\0b\0c\0fourth-argument-is-not-tried\0", b"fourth-argument"),
        (b"kworker/u8:1-ev", b"", b"kworker/u8:1-ev"),
    ],
)
def test_completed_names(comm: bytes, cmdline: bytes, name: bytes | None) -> None:
    """The kernel's 15 bytes are completed from argv[0], or from a script's name."""
    assert complete_comm(comm, cmdline) == (name or b"unattended-upgrade-shutdown")


def test_name_without_cmdline(tmp_path: Path) -> None:
    """Where cmdline is gone or hidden the cut name is still the name."""
    assert read_name(str(tmp_path), "1", b"fifteen-letters") == "fifteen-letters"
    assert read_name(str(tmp_path), "1", b"a\n") == safe_name(b"a\n")


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
    long = b"a" * COMM_MAX
    assert is_cut_short(str(tmp_path), 7, long, "a" * COMM_MAX) is hidden
    assert not is_cut_short(str(tmp_path), 7, long, "a" * 20)
    assert not is_cut_short(str(tmp_path), 7, b"short", "short")
