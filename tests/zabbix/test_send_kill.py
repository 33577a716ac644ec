"""What is left of documents when send is killed at any moment."""

import itertools
import random
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import orjson
import psutil
import pytest
from rounds import KILLS

from zabbix_sockets.sending.spool import Spool

from .programs import wait_for
from .pushing import QUICK, with_sender
from .recorder import Mood, Recorder, recording
from .servers import SERVER_VERSIONS
from .stage import UnavailableError

pytestmark = [pytest.mark.zabbix, pytest.mark.short_form("7.0*")]

SERVICE = ("--interval", "1", "--send-timeout", "1")
MORTAL = ("setpriv", "--pdeathsig", "KILL")

Moment = tuple[int, int]
"""Seconds and nanoseconds."""


@pytest.fixture(params=SERVER_VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    """Each version of zabbix_sender."""
    try:
        with_sender(request.param, [])
    except UnavailableError as exc:
        pytest.skip(str(exc))
    return str(request.param)


def start(version: str, address: str, folder: Path, *how: str) -> subprocess.Popen[bytes]:
    """Start `send` with a spool; it ends with the thread that started it."""
    to = ["--server", address, "--host", "web 1", "--spool", str(folder / "s.sqlite")]
    command = [sys.executable, "-m", "zabbix_sockets", "send", *QUICK, *how, *to]
    mortal = [*MORTAL, *with_sender(version, command)]
    return subprocess.Popen(mortal, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def senders(address: str) -> list[psutil.Process]:
    """Return the processes that are there to send to *address*: zabbix_sender and its guard."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess):
            is_one = "-z" in (words := process.cmdline()) and address in words
            if is_one and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL, signal.SIGINT])
def test_single_send(version: str, tmp_path: Path, number: signal.Signals) -> None:
    """Killed while a server doesn't answer it leaves no process, and its document waits."""
    with recording() as server:
        server.mood = Mood.SILENT
        with start(version, server.address, tmp_path, "--send-timeout", "60") as process:
            wait_for(lambda: server.requests == 1)
            assert len(senders(server.address)) >= 2
            process.send_signal(number)
            process.wait(30)
        wait_for(lambda: not senders(server.address))
        (waiting,) = moments_waiting(tmp_path)
        server.mood = Mood.TAKE
        with start(version, server.address, tmp_path) as process:
            assert process.wait(60) == 0
        moments = [(value["clock"], value["ns"]) for value in server.taken]
    assert moments[0] == waiting
    assert len(moments) == len(set(moments)) == 2


def seconds_to_push(version: str, server: Recorder, folder: Path) -> float:
    """Return how long a push takes from its start here and now, which depends on the machine."""
    begun = time.monotonic()
    with start(version, server.address, folder) as process:
        assert process.wait(120) == 0
    return time.monotonic() - begun


@pytest.mark.rounds
def test_kill(version: str, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """Killed at random moments, it loses nothing that it kept; at most one a kill comes twice.

    All come in the order in which they were made. The report (with
    --junitxml FILE -o junit_family=xunit1) has its figures.
    """
    chance = random.Random(7)
    kept: set[Moment] = set()
    with recording() as server:
        longest = seconds_to_push(version, server, tmp_path) + 1.0
        for _ in range(KILLS):
            server.mood = chance.choice((Mood.TAKE, Mood.TAKE, Mood.REFUSE, Mood.HALF))
            process = start(version, server.address, tmp_path, *SERVICE)
            time.sleep(chance.uniform(0.1, 1.0) * longest)
            process.kill()
            process.wait()
            wait_for(lambda: not senders(server.address))
            kept |= moments_waiting(tmp_path)
        server.mood = Mood.TAKE
        enough = max(len(server.taken) + 1, KILLS)  # for their order to say something
        process = start(version, server.address, tmp_path, *SERVICE)
        wait_for(lambda: len(server.taken) >= enough, lambda: len(server.taken))
        # The one that is on its way is in the spool as well.
        wait_for(lambda: len(moments_waiting(tmp_path)) <= 1, lambda: moments_waiting(tmp_path))
        process.terminate()
        assert process.wait(20) == 0
        left = moments_waiting(tmp_path)
        moments = [(value["clock"], value["ns"]) for value in server.taken]
        offered = {(value["clock"], value["ns"]) for value in server.offered}
    contents = {moment: value["value"] for moment, value in zip(moments, server.taken, strict=True)}
    for moment, value in zip(moments, server.taken, strict=True):
        assert contents[moment] == value["value"]
    first_time = list(dict.fromkeys(moments))
    figures = {
        "kills": KILLS,
        "documents": len(first_time),
        "kept at a kill": len(kept),
        "kept and lost": len(kept - contents.keys() - left),
        "offered and lost": len(offered - contents.keys() - left),
        "repeated": len(moments) - len(first_time),
        "out of order": sum(later < earlier for earlier, later in itertools.pairwise(first_time)),
    }
    for name, figure in figures.items():
        record_property(name, figure)
    assert figures["kept and lost"] == figures["out of order"] == figures["offered and lost"] == 0
    assert figures["repeated"] <= KILLS + server.halves


def moments_waiting(folder: Path) -> set[Moment]:
    """Return the times of the documents in the spool."""
    spool = Spool(str(folder / "s.sqlite"), 1 << 30)
    try:
        rows = spool._database_rows("SELECT packet FROM waiting WHERE ?", (1,))
    finally:
        spool.close()
    packets = (orjson.loads(zlib.decompress(packet)) for (packet,) in rows)
    return {(value[2], value[3]) for packet in packets for value in packet}
