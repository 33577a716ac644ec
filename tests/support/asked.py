"""Questions as an agent's user asks them, each of a process of its own, with what it took.

The user has no privilege but membership in the group of the iterators. It may be unable to enter
the folder of these tests, so it runs a copy of what is installed.
"""

from __future__ import annotations

import compileall
import ctypes
import grp
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import distribution
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from children import drop_to

from zabbix_sockets.model.paths import PINS_GROUP

UID = 61_230
"""A user whom nobody else on the machine is: what it has, it has by these tests."""
HOSTILE = 61_234
"""A user who does what others must not suffer from."""
PROPERTY = "asked"
"""What pytest's `record_property` keeps a Figure under."""
TIMEOUT = 3.0
"""Seconds after which an agent ends a call, by default."""
PATIENCE = 60
"""Seconds after which a call is ended that doesn't end by itself."""
_CALL = """
import sys
sys.path.insert(0, {folder!r})
from zabbix_sockets.command.cli import main
main()
"""


@dataclass(frozen=True)
class Answer:
    """The answer of a call, and what the call took.

    Attributes:
        status: the exit status; minus the signal's number, if one ended it; None: it did not end
            within PATIENCE.
        out: what it wrote to stdout.
        err: what it wrote to stderr.
        wall: seconds from its start to its end.
        cpu: seconds of user and system time.
        peak_kb: the largest resident memory of its processes, in kB.
    """

    status: int | None
    out: str
    err: str
    wall: float
    cpu: float
    peak_kb: int

    @property
    def document(self) -> dict[str, Any]:
        """The document; an error is one of a single field."""
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found

    @property
    def kind(self) -> str:
        """Say which of the three forms of an answer this is: whole, marked, or the error's text.

        Raises:
            AssertionError: it is none of them.
        """
        assert (self.err, self.out.count("\n")) == ("", 1), self
        document = json.loads(self.out)
        if isinstance(document, int):  # of count
            return "whole"
        if "error" in document:
            assert (self.status, list(document)) == (1, ["error"]), self.out
            return str(document["error"])
        assert self.status == 0
        return "whole" if document["complete"] else "marked"


def rows(document: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the rows of a list by their ids."""
    return {row["id"]: row for row in document[name]}


@dataclass
class Asker:
    """Asks as the agent's user does.

    Attributes:
        command: the words before a verb.
        pins: where the iterators are.
    """

    command: list[str]
    pins: str
    launcher: Path
    folder: Path
    _started: int = field(default=0)

    def words(self, source: str = "bpf", *question: str, uid: int = UID) -> list[str]:
        """Return the command that asks for the document, or another *question*, as a user."""
        group = str(grp.getgrnam(PINS_GROUP).gr_gid)
        user = ["setpriv", "--reuid", str(uid), "--regid", group, "--clear-groups"]
        options = ["--source", source, "--pins", self.pins]
        return [*user, *self.command, *(question or ("get",)), *options]

    def start(self, words: Sequence[str], within: Sequence[str] = ()) -> Callable[[], Answer]:
        """Start a call of these *words*, *within* another command; return what waits for it."""
        self._started += 1
        paths = [self.folder / f"{each}-{self._started}" for each in ("out", "err")]
        launch = [self.launcher, str(PATIENCE), "-1", *paths, *within, *words]
        process = subprocess.Popen([str(each) for each in launch], stdout=subprocess.PIPE)

        def wait() -> Answer:
            told, _ = process.communicate()
            status, wall, user, system, peak = told.split()
            out, err = (path.read_text("utf-8") for path in paths)
            for path in paths:
                path.unlink()
            code = None if status == b"late" else int(status)
            cpu = (int(user) + int(system)) / 1e6
            return Answer(code, out, err, int(wall) / 1e9, cpu, int(peak))

        return wait

    def ask(self, source: str = "bpf", *question: str, within: Sequence[str] = ()) -> Answer:
        """Return the answer, once it has come."""
        return self.start(self.words(source, *question), within)()

    def left(self) -> list[str]:
        """Return what calls have left behind: processes of that user, and files that stay."""
        found = []
        for pid in filter(str.isdecimal, os.listdir("/proc")):
            try:
                if os.stat(f"/proc/{pid}").st_uid == UID:
                    found.append(Path(f"/proc/{pid}/stat").read_text("utf-8", "replace"))
            except OSError:
                continue  # it has ended
        shared = Path(f"/dev/shm/zabbix-sockets-{UID}")
        found += [str(each) for each in shared.glob("*.new")]
        return found


def become_hostile() -> None:
    """Be the user HOSTILE from now on, without any privilege."""
    drop_to(HOSTILE, HOSTILE)


def end_with_parent() -> None:
    """Let this process end with the one that forked it (PR_SET_PDEATHSIG)."""
    parent = os.getppid()
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


def as_hostile(work: Callable[[], object]) -> object:
    """Become the user HOSTILE, and return what *work* does."""
    become_hostile()
    return work()


class Figure(NamedTuple):
    """What answers took beside something hostile; pytest prints it when all tests have run.

    The last one had as much time as it wanted.
    """

    scenario: str
    answers: Sequence[Answer]

    def __str__(self) -> str:
        *hurried, patient = self.answers
        seconds = sorted(each.wall for each in hurried)
        kinds = [each.kind for each in hurried]
        said = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
        return (
            f"{self.scenario}: {seconds[0]:.2f}-{seconds[-1]:.2f} s, "
            f"{max(each.peak_kb for each in self.answers)} kB; {said}; "
            f"with more time {patient.kind}, {patient.cpu:.2f} s of the processor"
        )


def _python() -> str:
    """Return an interpreter that others may execute, and that fits the compiled orjson."""
    abi = sysconfig.get_config_var("SOABI")
    show = ["-I", "-S", "-c", "import sysconfig; print(sysconfig.get_config_var('SOABI'))"]
    for python in ("/usr/bin/python3", os.path.realpath(sys.executable)):
        command = ["setpriv", "--reuid", str(UID), "--clear-groups", python, *show]
        told = subprocess.run(command, capture_output=True, text=True, check=False)
        if told.stdout.strip() == abi:
            return python
    pytest.skip(f"no python for {abi} that every user may execute")


@contextmanager
def asker(folder: Path, pins: str) -> Iterator[Asker]:
    """Yield what asks, with a copy of what is installed in *folder*, which others may enter."""
    for name in ("zabbix-sockets", "orjson"):
        installed = distribution(name)
        for file in installed.files or ():
            if ".." in file.parts or "__pycache__" in file.parts:
                continue
            target = folder / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file.locate(), target)
    compileall.compile_dir(folder, quiet=2)
    (folder / "call.py").write_text(_CALL.format(folder=str(folder)))
    source = Path(__file__).parents[1] / "bench/launch.c"
    subprocess.run(["cc", "-O2", "-o", folder / "launch", source], check=True)
    subprocess.run(["chmod", "-R", "u=rwX,go=rX", folder], check=True)
    (folder / "told").mkdir(mode=0o700)
    command = [_python(), "-I", "-S", str(folder / "call.py")]
    try:
        yield Asker(command, pins, folder / "launch", folder / "told")
    finally:
        shutil.rmtree(f"/dev/shm/zabbix-sockets-{UID}", ignore_errors=True)
