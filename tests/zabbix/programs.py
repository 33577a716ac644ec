"""Programs that run as user zabbix and end with the session, however it ends."""

from __future__ import annotations

import fcntl
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import rounds

from .stage import require

# A PID namespace has no survivors: with its first process all others end, also those that
# left the process group. The same holds for the System V memory of an IPC namespace.
_CONTAINED = ["unshare", "--pid", "--ipc", "--fork"]
_MORTAL = ["setpriv", "--pdeathsig", "KILL"]
_USER = ["--reuid", "zabbix", "--regid", "zabbix", "--init-groups"]

_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}

PATIENCE_SECONDS = 120.0 if rounds.IS_SHORT else 400.0
"""How long a test waits while nothing changes: long, as machines are busy and only failures pay.

With each version and all rounds much is discovered at once, of which a server shows nothing until
it has written all: 6.0 alone takes 100 seconds for a thousand items.
"""

_LONGEST_SECONDS = 10 * PATIENCE_SECONDS

_PREFIX = "zabbix-lab-"


@dataclass(frozen=True, slots=True)
class Program:
    """A running program and what it has said so far."""

    process: subprocess.Popen[bytes]
    log: Path

    def wait(self, ready: Callable[[], bool]) -> None:
        """Return when it is *ready*; fail with its log when it ends or never is."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{self.process.args!r}:\n{self.tail()}")
            time.sleep(0.02)

    def tail(self) -> str:
        """Return the last lines that it has written."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-30:])

    def cpu_seconds(self) -> float:
        """Return the CPU time of all its processes, also of those that have ended."""
        first = psutil.Process(self.process.pid)
        seconds = 0.0
        for process in (first, *first.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):  # its parent has waited for it by now
                seconds += sum(process.cpu_times()[:4])
        return seconds

    def end(self) -> None:
        """End it as an administrator does: it saves what it has."""
        for first in psutil.Process(self.process.pid).children():
            first.terminate()
        self.process.wait(PATIENCE_SECONDS)

    def stop(self) -> None:
        """End it and all its children at once: nothing that it keeps is wanted."""
        self.process.kill()
        self.process.wait()


def start(
    command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
) -> Program:
    """Start *command*, which writes to *log*.

    It ends with the thread that started it, also when pytest is killed.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*_MORTAL, *_CONTAINED, *_MORTAL, *_USER, *command],
            cwd=log.parent,
            env=_ENVIRONMENT | dict(environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    return Program(process, log)


def run(command: Sequence[str], **environment: str) -> str:
    """Return what *command* prints as user zabbix."""
    result = subprocess.run(
        ["setpriv", *_USER, *command],
        cwd="/",
        env=_ENVIRONMENT | environment,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert result.returncode == 0, f"{command}: {result.stdout}{result.stderr}"
    return result.stdout


def listens(port: int) -> bool:
    """Tell whether somebody accepts connections on *port*."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def wait_for(
    ready: Callable[[], bool], state: Callable[[], object] | None = None, pause: float = 0.05
) -> None:
    """Return when *ready* is true, which is asked after each *pause*, in seconds.

    It fails after PATIENCE_SECONDS without a change of *state*, which says what is there so far
    (None: without being ready), and after _LONGEST_SECONDS in any case.
    """
    begun = changed = time.monotonic()
    last: object = None
    while not ready():
        now = time.monotonic()
        if state and (seen := state()) != last:
            last, changed = seen, now
        patient = now < changed + PATIENCE_SECONDS and now < begun + _LONGEST_SECONDS
        assert patient, f"not within {now - begun:.0f} s: {last}"
        time.sleep(pause)


def reload(command: Sequence[str], log: Path) -> None:
    """Let the server or proxy of *command* read its configuration, and return when it has.

    The program logs a line when a reading begins, so the second new line says that the first
    reading is done. It ignores a request while it reads, and refuses it just after its start: so
    requests are repeated.
    """
    wanted = _reloads(log) + 2
    deadline = time.monotonic() + PATIENCE_SECONDS
    refused = ""
    while (begun := _reloads(log)) < wanted:
        assert time.monotonic() < deadline, f"{command} doesn't reload: {refused}"
        try:
            run([*command, "-R", "config_cache_reload"])
        except AssertionError as error:
            refused = str(error)
            if "Cannot connect to service" not in refused:
                raise
        patience = time.monotonic() + 0.5
        while _reloads(log) == begun and time.monotonic() < patience:
            time.sleep(0.01)


def _reloads(log: Path) -> int:
    return log.read_bytes().count(b" forced reloading of the configuration cache")


@contextmanager
def directory() -> Iterator[Path]:
    """A directory of user zabbix, removed at the end, or by the next session after a kill."""
    require([*_CONTAINED, "setpriv", *_USER, "true"])
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError), (left / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left)
    # Not pytest's own directory, which nobody but root may enter.
    root = Path(tempfile.mkdtemp(prefix=_PREFIX))
    with (root / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            root.chmod(0o755)
            shutil.chown(root, "zabbix", "zabbix")
            yield root
        finally:
            shutil.rmtree(root)  # while nobody else takes it for one that was left


def keep_logs(root: Path, target: Path) -> None:
    """Copy all logs below *root* to *target*, in place of those of another time."""
    shutil.rmtree(target, ignore_errors=True)
    for log in root.glob("**/*log"):
        if log.is_file():
            target.mkdir(exist_ok=True)
            shutil.copyfile(log, target / f"{log.parent.name}-{log.name}")
