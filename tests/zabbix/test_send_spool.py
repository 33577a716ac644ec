"""The spool of a service in trouble: a full disk, a damaged file, a clock that is set back."""

import itertools
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from .programs import wait_for
from .pushing import BUSY_SECONDS, QUICK, push, running, waiting, with_sender
from .recorder import Mood, Recorder, recording
from .stage import UnavailableError, require

pytestmark = pytest.mark.zabbix

_VERSION = "7.0"
_DISK = "300k"


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    """A server that remembers what it took."""
    with recording() as recorder:
        yield recorder


@pytest.fixture
def witness() -> Iterator[Recorder]:
    """Another server, which takes at once what there is for both."""
    with recording() as recorder:
        yield recorder


def service(spool: Path, *servers: Recorder) -> list[str]:
    """Return `send --interval 1`."""
    how = ["--interval", "1", "--send-timeout", "1", "--spool", str(spool)]
    to = ["--host", "web 1"]
    for each in servers:
        to += ["--server", each.address]
    command = [sys.executable, "-m", "zabbix_sockets", "send", *QUICK, *how, *to]
    try:
        return with_sender(_VERSION, command)
    except UnavailableError as exc:
        pytest.skip(str(exc))


def moments(values: Sequence[Mapping[str, Any]]) -> list[tuple[int, int]]:
    """Return the times of documents, in the order in which they came."""
    return [(value["clock"], value["ns"]) for value in values]


def check_all(recorder: Recorder, witness: Recorder) -> None:
    """All documents are there, each once, in their order, with none missing between them."""
    taken = moments(recorder.taken)
    assert taken == sorted(set(taken))
    there_were = [each for each in moments(witness.taken) if taken[0] <= each <= taken[-1]]
    assert taken == sorted(set(there_were))


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """A file system of its own, for those in its mount namespace."""

    holder: psutil.Process
    path: Path

    @property
    def outside(self) -> Path:
        """Where others find it."""
        return Path(f"/proc/{self.holder.pid}/root{self.path}")

    def inside(self, command: Sequence[str]) -> list[str]:
        """Return *command* in its namespace."""
        return ["nsenter", "--mount", "--target", str(self.holder.pid), "--", *command]

    def fill(self) -> None:
        """Leave no room."""
        with (self.outside / "fill").open("wb", buffering=0) as file:
            for size in (4096, 1):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    pass  # no room for so much

    def free(self) -> None:
        """Give the room back."""
        (self.outside / "fill").unlink()


@contextmanager
def small_disk(path: Path) -> Iterator[SmallDisk]:
    """Mount a tmpfs of a few pages at *path*, for one namespace."""
    script = f'mount -t tmpfs -o size={_DISK} tmpfs "$0" && echo ready && exec cat'
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, str(path)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as process:
        assert process.stdout
        if process.stdout.readline() != b"ready\n":
            pytest.skip("no mount namespace with a small tmpfs: not root?")
        yield SmallDisk(psutil.Process(process.pid), path)
        process.communicate()


def test_full_disk(recorder: Recorder, witness: Recorder, tmp_path: Path) -> None:
    """What finds no room waits in memory; all come in order and once, also after a restart."""
    recorder.mood = Mood.REFUSE
    (tmp_path / "disk").mkdir()
    with small_disk(tmp_path / "disk") as disk:
        command = disk.inside(service(disk.path / "s.sqlite", recorder, witness))
        log = tmp_path / "log"
        with running(command, log):
            wait_for(lambda: len(recorder.offered) >= 3)  # one an interval
            disk.fill()
            wait_for(lambda: re.search("in memory only: .* full", log.read_text()) is not None)
            offered = len(recorder.offered)
            wait_for(lambda: len(recorder.offered) >= offered + 2)
            recorder.mood = Mood.TAKE
            state = {"waiting": 0, "dropped": 0, "oldest": 0}
            wait_for(lambda: last_spool(recorder, offered + 3) == state)
            disk.free()
            seen = len(recorder.taken)
            wait_for(lambda: len(recorder.taken) >= seen + 2)
        with running(command, log):
            wait_for(lambda: len(recorder.taken) >= seen + 5)
        assert last_spool(recorder) == state
    check_all(recorder, witness)


def last_spool(recorder: Recorder, number: int = 1) -> Any:
    """Return what the last document says of the spool.

    None while *number* are not yet taken, and where the spool can't be read.
    """
    if len(recorder.taken) < number:
        return None
    return json.loads(recorder.taken[-1]["value"])["collector"].get("spool")


def test_damaged_file(recorder: Recorder, tmp_path: Path) -> None:
    """A file that is no spool any more is set aside with a note, and the document goes."""
    file = tmp_path / "s.sqlite"
    file.write_bytes(b"no database" * 1000)
    to = ("--server", recorder.address, "--host", "web 1", "--spool", str(file))
    try:
        answer = push(_VERSION, *to)
    except UnavailableError as exc:
        pytest.skip(str(exc))
    (aside,) = tmp_path.glob("s.sqlite.corrupt-*")
    assert answer.stderr == f"note: {file} was damaged; it is {aside} now\n"
    assert (answer.returncode, answer.stdout) == (0, f"{recorder.address}: sent 1, failed 0\n")
    assert aside.read_bytes() == b"no database" * 1000
    assert waiting(file, recorder.address) == 0


def test_damaged_meanwhile(recorder: Recorder, witness: Recorder, tmp_path: Path) -> None:
    """What comes after the damage is delivered, in order and once; it says that it has trouble."""
    recorder.mood = Mood.REFUSE
    spool, log = tmp_path / "s.sqlite", tmp_path / "log"
    with running(service(spool, recorder, witness), log):
        wait_for(lambda: spool.exists() and waiting(spool, recorder.address) >= 3)
        damaged = 0.0

        def is_noticed() -> bool:
            """Damage the file again if it isn't: a document on its way to disk may mend it."""
            nonlocal damaged
            if "in memory only: " in log.read_text():
                return True
            if time.monotonic() > damaged + 10:
                damaged = time.monotonic()
                with spool.open("r+b") as file:
                    file.write(os.urandom(spool.stat().st_size))
            return False

        wait_for(is_noticed)
        time.sleep(2)
        recorder.mood = Mood.TAKE
        wait_for(lambda: len(recorder.taken) >= 6)
        assert last_spool(recorder) is None  # nobody knows what is on the disk
    check_all(recorder, witness)


@pytest.fixture
def wall_clock(tmp_path: Path) -> tuple[Path, list[str]]:
    """A file with the seconds that the wall clock is off, and what makes it so for a command."""
    library = tmp_path / "clock.so"
    source = Path(__file__).with_name("clock.c")
    try:
        require(["cc", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"])
    except UnavailableError as exc:
        pytest.skip(str(exc))
    file = tmp_path / "clock"
    file.write_text("0")
    return file, ["env", f"LD_PRELOAD={library}", f"CLOCK_OFFSET={file}"]


@pytest.mark.short_form("-3600-server up", "3600-server down")
@pytest.mark.parametrize("down", [False, True], ids=["server up", "server down"])
@pytest.mark.parametrize("seconds", [-3600, 3600])
def test_clock_is_set(
    recorder: Recorder,
    tmp_path: Path,
    wall_clock: tuple[Path, list[str]],
    seconds: int,
    down: bool,
) -> None:
    """Documents have the clock of their moment and go in the order in which they were made.

    The one on its way may come twice: zabbix_sender, which times by this clock, gives up then.
    """
    clock, faked = wall_clock
    spool = tmp_path / "s.sqlite"
    recorder.mood = Mood.REFUSE if down else Mood.TAKE
    with running([*faked, *service(spool, recorder)], tmp_path / "log"):
        for offset in (0, seconds):
            clock.write_text(str(offset))
            number = made(recorder, spool)
            wait_for(lambda: made(recorder, spool) >= number + 3)  # noqa: B023  # waits in here
        recorder.mood = Mood.TAKE
        wait_for(lambda: len(recorder.taken) >= number + 4)
        wait_for(lambda: waiting(spool, recorder.address) == 0)
    taken = moments(recorder.taken)
    once = list(dict.fromkeys(taken))
    steps = [after[0] - before[0] for before, after in itertools.pairwise(once)]
    (jump,) = [step for step in steps if abs(step) > 100]
    before_it = once[steps.index(jump)]
    assert taken in (once, [each for each in once for _ in range(1 + (each == before_it))])
    assert abs(jump - seconds) <= BUSY_SECONDS
    assert all(0 <= step <= BUSY_SECONDS for step in steps if step != jump), steps
    for value in recorder.taken:
        age = value["clock"] - json.loads(value["value"])["time"]
        # The clock may be set while a document is made.
        assert any(0 <= age - jumped <= BUSY_SECONDS for jumped in (0, seconds)), age


def made(recorder: Recorder, spool: Path) -> int:
    """Return how many documents there have been so far."""
    return len(recorder.taken) + (waiting(spool, recorder.address) if spool.exists() else 0)
