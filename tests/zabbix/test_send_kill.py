"""What is left of documents when send is killed at any moment."""

import itertools
import os
import random
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import orjson
import pytest

from zabbix_sockets.sending.spool import Spool

from .programs import wait_for
from .pushing import QUICK, with_sender
from .recorder import Mood, recording
from .servers import SERVER_VERSIONS
from .stage import UnavailableError

pytestmark = pytest.mark.zabbix

MORTAL = ("setpriv", "--pdeathsig", "KILL")
CONTAINED = ("unshare", "--pid", "--fork", *MORTAL) if os.geteuid() == 0 else ()
"""With the first process of a PID namespace all end: 7.0's zabbix_sender waits for ever for the
rest of an answer that was broken off."""

Moment = tuple[int, int]
"""Seconds and nanoseconds."""

KILLS = int(os.environ.get("KILL_ROUNDS", "10"))


@pytest.fixture(params=SERVER_VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    """Each version of zabbix_sender."""
    try:
        with_sender(request.param, [])
    except UnavailableError as exc:
        pytest.skip(str(exc))
    return str(request.param)


def start(
    version: str, address: str, folder: Path, contained: Sequence[str] = ()
) -> subprocess.Popen[bytes]:
    """Start `send --interval 1` with a spool; it ends with the thread that started it."""
    how = ["--interval", "1", "--send-timeout", "1", "--spool", str(folder / "s.sqlite")]
    to = ["--server", address, "--host", "web 1"]
    command = [sys.executable, "-m", "zabbix_sockets", "send", *QUICK, *how, *to]
    mortal = [*MORTAL, *contained, *with_sender(version, command)]
    return subprocess.Popen(mortal, stderr=subprocess.DEVNULL)


def test_kill(version: str, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """Killed at random moments, it loses nothing that it kept; at most one a kill comes twice.

    All come in the order in which they were made. KILL_ROUNDS=200 makes it a longer run; the
    report (--junitxml FILE -o junit_family=xunit1) has its figures.
    """
    chance = random.Random(7)
    kept: set[Moment] = set()
    with recording() as server:
        for _ in range(KILLS):
            server.mood = chance.choice((Mood.TAKE, Mood.TAKE, Mood.REFUSE, Mood.HALF))
            process = start(version, server.address, tmp_path, CONTAINED)
            time.sleep(chance.uniform(0.2, 2.0))
            process.kill()
            process.wait()
            kept |= moments_waiting(tmp_path)
        server.mood = Mood.TAKE
        before = len(server.taken)
        process = start(version, server.address, tmp_path)
        wait_for(lambda: len(server.taken) > before)
        # The one that is on its way is in the spool as well.
        wait_for(lambda: len(moments_waiting(tmp_path)) <= 1, 60 + 5 * KILLS)
        process.terminate()
        assert process.wait(20) == 0
        left = moments_waiting(tmp_path)
        moments = [(value["clock"], value["ns"]) for value in server.taken]
        offered = {(value["clock"], value["ns"]) for value in server.offered}
    contents = {moment: value["value"] for moment, value in zip(moments, server.taken, strict=True)}
    assert len(contents) > KILLS / 2
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
