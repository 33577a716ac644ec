"""A call's work in a child: what it says, and what becomes of one that can't say anything."""

import ctypes
import errno
import faulthandler
import os
import signal
import subprocess
import time
from collections.abc import Callable
from typing import NoReturn

import pytest
import zoo

from zabbix_sockets.command import supervisor
from zabbix_sockets.command.supervisor import Answer, answer_within
from zabbix_sockets.model.errors import InternalError, SocketsError, TimedOutError, UsageError
from zabbix_sockets.readers.proc import process

PATIENCE = 60.0
PR_SET_PDEATHSIG = 1


def has_no_child() -> bool:
    """Whether all children have ended, those too that a busy host was slow to kill."""
    supervisor._reap()
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return True
    return False


@pytest.fixture(autouse=True)
def nothing_is_left() -> object:
    """No descriptor and no child is left by a call, however it ends.

    A signal of a test would reach the thread of another one, if that still ran.
    """
    zoo.wait_for(lambda: len(os.listdir("/proc/self/task")) == 1, "the end of threads", PATIENCE)
    before = sorted(os.listdir("/proc/self/fd"))
    yield
    assert sorted(os.listdir("/proc/self/fd")) == before
    zoo.wait_for(has_no_child, "the end of all children", PATIENCE / 6)
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def no_fork() -> NoReturn:
    """Be a full process table."""
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))


@pytest.fixture(params=["child", "no process", "no descriptor"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With a child, and where there is no room for one."""
    if request.param == "no process":
        monkeypatch.setattr(os, "fork", no_fork)
    elif request.param == "no descriptor":
        monkeypatch.setattr(os, "pipe", no_fork)
    return str(request.param)


@pytest.mark.usefixtures("way")
def test_answer() -> None:
    """What the child says is what the parent gets, whole, whatever its length."""
    text, notes = "é" * 3_000_000, "note: \udcff\n"
    answer = answer_within(PATIENCE, lambda: Answer(text, notes, 7))
    assert (answer.text, answer.notes, answer.status) == (text, notes, 7)


def test_the_child_is_another_process() -> None:
    """It has no copy of the caller's streams, and no descriptor that it has no business with."""
    lock, other = os.pipe()

    def look() -> Answer:
        streams = {os.readlink(f"/proc/self/fd/{fd}") for fd in (0, 1, 2)}
        return Answer(
            f"{os.getpid() != parent} {streams} {os.path.exists(f'/proc/self/fd/{lock}')}"
        )

    parent = os.getpid()
    try:
        assert answer_within(PATIENCE, look, close=lock).text == "True {'/dev/null'} False"
    finally:
        os.close(lock)
        os.close(other)


def fail(error: BaseException) -> Callable[[], Answer]:
    """Return what raises *error*."""

    def work() -> Answer:
        raise error

    return work


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (SocketsError("no source", "install it"), SocketsError, "no source"),
        (UsageError("wrong", "right"), UsageError, "wrong"),
        (MemoryError(), InternalError, "no memory left"),
        (RecursionError("too deep"), InternalError, "RecursionError: too deep"),
        (AssertionError(), InternalError, "AssertionError: "),
        (OSError(24, "Too many open files", "/proc/1/fd"), InternalError, "/proc/1/fd: Too many"),
        (OSError(24, "Too many open files"), InternalError, "system call: Too many open files"),
        (RuntimeError("can't start new thread"), InternalError, "can't start new thread"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_error(error: Exception, kind: type[SocketsError], message: str) -> None:
    """An error of the child's is the caller's, with its hint or its traceback."""
    with pytest.raises(kind) as caught:
        answer_within(PATIENCE, fail(error))
    assert type(caught.value) is kind
    assert message in str(caught.value)
    if isinstance(error, SocketsError):
        assert caught.value.hint == error.hint
    elif isinstance(caught.value, InternalError) and not isinstance(error, MemoryError):
        assert "in work" in caught.value.trace


def sleep() -> Answer:
    """Hang where a signal gets through."""
    time.sleep(PATIENCE)
    raise AssertionError


def hold_the_interpreter() -> Answer:
    """Hang in C code that looks at no signal and lets no other thread run."""
    ctypes.PyDLL(None).pause()
    raise AssertionError


def swallow_everything() -> Answer:
    """Hang, and take every interruption for something else."""
    while True:
        try:
            time.sleep(PATIENCE)
        except BaseException:  # noqa: BLE001  # as bad as can be
            continue


def ignore_signals() -> Answer:
    """Hang, and hear nothing but SIGKILL."""
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(PATIENCE)
    raise AssertionError


@pytest.mark.parametrize("hang", [sleep, hold_the_interpreter, swallow_everything, ignore_signals])
def test_child_that_hangs(hang: Callable[[], Answer]) -> None:
    """It is ended at the limit, wherever it hangs."""
    with pytest.raises(TimedOutError, match=r"timed out after 0\.05 s: something hung"):
        answer_within(0.05, hang)


def test_hang_without_a_child(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no child can be had the process gives up at the limit by itself."""
    monkeypatch.setattr(os, "fork", no_fork)
    given_up: list[str] = []

    def give_up(message: str) -> NoReturn:
        given_up.append(message)
        raise SystemExit

    monkeypatch.setattr(supervisor, "give_up", give_up)
    with pytest.raises(SystemExit):
        answer_within(0.05, sleep)
    assert given_up == ["timed out after 0.05 s: something hung"]


def crash() -> Answer:
    """Be a library that crashes."""
    faulthandler.disable()  # pytest's would print a traceback
    ctypes.string_at(0)
    raise AssertionError


def be_killed() -> Answer:
    """Be who the kernel chose as it was out of memory."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def leave() -> Answer:
    """Be a fault that ends Python."""
    os._exit(0)


@pytest.mark.parametrize(
    ("end", "message"),
    [
        (crash, "was ended by signal 11"),
        (be_killed, "was ended by signal 9"),
        (leave, "was ended without an answer"),
    ],
)
def test_child_that_ends(end: Callable[[], Answer], message: str) -> None:
    """A child that is gone without a word is told as an error, at once."""
    started = time.monotonic()
    with pytest.raises(InternalError, match=message):
        answer_within(PATIENCE, end)
    assert time.monotonic() - started < PATIENCE / 2


def test_answer_of_a_child_that_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that is there counts, though its child hangs in its end."""
    monkeypatch.setattr(os, "_exit", lambda _status: time.sleep(PATIENCE))
    assert answer_within(2.0, lambda: Answer("there")).text == "there"


def wait_in_kernel() -> Answer:
    """Wait in state D, as who reads the command line of a process whose memory is locked."""
    if process.are_command_lines_unread():
        return Answer("again")
    return wait_in_kernel_for_good()


def wait_in_kernel_for_good() -> Answer:
    """Wait in state D, whatever is not read."""
    libc = ctypes.CDLL(None)
    if not libc.vfork():  # which returns in the parent when the child has ended
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        time.sleep(PATIENCE)
        os._exit(0)
    return Answer("too late")


def test_child_that_waits_in_the_kernel() -> None:
    """Another child, which reads no command line, answers in the time that is left."""
    started = time.monotonic()
    assert answer_within(4.0, wait_in_kernel).text == "again"
    assert time.monotonic() - started < 4.0


def test_child_that_waits_in_the_kernel_each_time() -> None:
    """The time is over then as it was before."""
    with pytest.raises(TimedOutError, match="something hung"):
        answer_within(1.0, wait_in_kernel_for_good)


def test_too_many_children_that_do_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more are started until one of them has ended."""
    sleeping = [subprocess.Popen(["sleep", str(PATIENCE)]) for _ in range(supervisor._MOST_STUCK)]
    monkeypatch.setattr(supervisor, "_stuck", [each.pid for each in sleeping])
    try:
        with pytest.raises(TimedOutError, match="8 processes of earlier calls hang in the kernel"):
            answer_within(PATIENCE, lambda: Answer("there"))
        sleeping[0].kill()
        os.waitid(os.P_PID, sleeping[0].pid, os.WEXITED | os.WNOWAIT)
        assert answer_within(PATIENCE, lambda: Answer("there")).text == "there"
    finally:
        for each in sleeping:
            each.kill()
            each.wait()


def test_a_callers_handlers_are_not_for_its_child() -> None:
    """A child ends by what its caller handles, and ignores what that ignores."""
    handled, ignored = signal.SIGQUIT, signal.SIGHUP
    former = signal.signal(handled, lambda *_: None), signal.signal(ignored, signal.SIG_IGN)
    try:

        def ask_itself() -> Answer:
            for number in (ignored, handled):
                os.kill(os.getpid(), number)
            return Answer("still there")

        with pytest.raises(InternalError, match=f"was ended by signal {handled:d}"):
            answer_within(PATIENCE, ask_itself)
    finally:
        signal.signal(handled, former[0])
        signal.signal(ignored, former[1])


def test_child_that_takes_its_time() -> None:
    """Who sleeps or works for long is not stuck."""

    def work() -> Answer:
        assert not process.are_command_lines_unread()
        time.sleep(2.6)
        begun = time.process_time()
        while time.process_time() < begun + 0.2:
            pass
        return Answer("at last")

    assert answer_within(6.0, work).text == "at last"


@pytest.mark.parametrize("seconds", [0.0, 0.05])
def test_interrupted_parent(seconds: float) -> None:
    """Ctrl-C leaves no child behind, not even right behind the fork."""
    parent = os.getpid()

    def interrupt() -> Answer:
        time.sleep(seconds)
        os.kill(parent, signal.SIGINT)
        return sleep()

    with pytest.raises(KeyboardInterrupt):
        answer_within(PATIENCE, interrupt)


def test_interrupted_behind_the_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interruption that comes with the fork is heard when the child can be ended."""
    fork = os.fork

    def interrupted_fork() -> int:
        pid = fork()
        if pid:
            os.kill(os.getpid(), signal.SIGINT)
        return pid

    monkeypatch.setattr(os, "fork", interrupted_fork)
    with pytest.raises(KeyboardInterrupt):
        answer_within(PATIENCE, sleep)


def test_child_outlives_no_parent() -> None:
    """Should the parent be killed, the child ends by the kernel's timer."""
    read, write = os.pipe()
    parent = os.fork()
    if not parent:

        def tell() -> Answer:
            os.write(write, str(os.getpid()).encode())
            return hold_the_interpreter()

        answer_within(0.5, tell)
        os._exit(0)
    os.close(write)
    child = int(os.read(read, 32))
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    assert not os.read(read, 1)  # until the last holder of the other end is gone
    os.close(read)
    zoo.wait_for(lambda: has_ended(child), "its end", PATIENCE)


def has_ended(pid: int) -> bool:
    """Whether a process has ended, also if its new parent has not looked yet."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_stuck_child_is_looked_for_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service lets go of a child that could not be killed once it has ended after all."""
    monkeypatch.setattr(supervisor, "_REAPING", 0.0)
    monkeypatch.setattr(supervisor, "_stuck", [])
    with pytest.raises(TimedOutError):
        answer_within(0.05, ignore_signals)
    assert len(supervisor._stuck) == 1
    end = time.monotonic() + PATIENCE
    while supervisor._stuck and time.monotonic() < end:
        answer_within(PATIENCE, lambda: Answer(""))
    assert supervisor._stuck == []
