"""The packages' script, interrupted, called twice at once, and without room; a broken Python."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from .conftest import SOURCE

STEPS = ("cp", "find", "ln", "mv", "flock")
"""The commands of `maintain activate`."""


class Home:
    """A folder as /usr/lib/zabbix-sockets is, with a version in it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "lib"
        self._bin = folder / "bin"
        package = self.path / "1.0"
        (package / "zabbix_sockets/command").mkdir(parents=True)
        for name in ("maintain", "start.py"):
            shutil.copy(SOURCE / "packaging/root" / name, package)
        (package / "zabbix_sockets/command/cli.py").write_text("def main(): print('an answer')\n")
        self._bin.mkdir()

    def start(self, verb: str) -> subprocess.Popen[bytes]:
        """Begin a call of maintain, with the commands of replace()."""
        path = f"{self._bin}:{os.environ['PATH']}"
        return subprocess.Popen([self.path / "1.0/maintain", verb], env={"PATH": path})

    def call(self, verb: str) -> int:
        """Call maintain; return its exit status."""
        return self.start(verb).wait()

    def replace(self, name: str, script: str) -> None:
        """Let a command be a script, which calls the real one as "$real"."""
        command = self._bin / name
        command.write_text(f"#!/bin/sh\nreal={shutil.which(name)}\n{script}\n")
        command.chmod(0o755)

    def restore(self, name: str) -> None:
        """Let a command be what it was."""
        (self._bin / name).unlink()

    def answer(self) -> str:
        """Return what a call says."""
        command = [sys.executable, "-I", "-S", f"{self.path}/current/start.py", "get"]
        return subprocess.run(command, capture_output=True, check=True).stdout.decode()

    def folders(self) -> list[str]:
        """Return the names of all that is there, but for the lock."""
        return sorted(each.name for each in self.path.iterdir() if each.name != ".lock")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home whose version is active."""
    home = Home(tmp_path)
    assert not home.call("activate")
    return home


@pytest.mark.parametrize("command", STEPS)
@pytest.mark.parametrize("script", ["kill -9 $PPID", '"$real" "$@"; kill -9 $PPID'])
def test_killed(home: Home, command: str, script: str) -> None:
    """Whenever it is killed calls get an answer, and the next installation mends all."""
    home.replace(command, script)
    assert home.call("activate") == -9
    assert home.answer() == "an answer\n"
    home.restore(command)
    assert (home.call("activate"), home.call("tidy")) == (0, 0)
    assert home.answer() == "an answer\n"
    (active,) = set(home.folders()) - {"1.0", "current"}
    assert os.readlink(home.path / "current") == active


def test_at_once(home: Home) -> None:
    """Calls at the same time wait for each other: none makes its folder in another's."""
    home.replace("cp", 'sleep 0.2; exec "$real" "$@"')
    calls = [home.start(verb) for verb in ("activate", "activate", "tidy", "activate")]
    assert [each.wait() for each in calls] == [0, 0, 0, 0]
    assert not list(home.path.glob("*/1.0"))
    assert home.answer() == "an answer\n"


def test_lock_of_another_user(home: Home) -> None:
    """Who may only read the folder can lock that, and holds up nobody; the lock is root's alone."""
    folder = os.open(home.path, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        assert home.start("activate").wait(20) == 0
    finally:
        os.close(folder)
    assert (home.path / ".lock").stat().st_mode & 0o7777 == 0o600


def test_nothing_is_left(home: Home) -> None:
    """What a removal leaves is what the package manager has put there."""
    assert home.call("remove") == 0
    assert [each.name for each in home.path.iterdir()] == ["1.0"]


def test_no_room(home: Home) -> None:
    """Without room for another copy calls go on with the former one, and nothing is left."""
    before = home.folders()
    home.replace("cp", '"$real" "$@"; exit 1')
    assert home.call("activate") == 1
    assert home.answer() == "an answer\n"
    assert home.folders() == before


def test_python_without_its_library(home: Home, tmp_path: Path) -> None:
    """Where the newest Python lacks a module, the next older one goes on, with the arguments."""
    active = home.path / "current"
    older = tmp_path / f"python3.{sys.version_info[1] - 1}"
    older.write_text('#!/bin/sh\necho older "$@"\n')
    older.chmod(0o755)
    start = (active / "start.py").read_text().replace("/usr/bin/", f"{tmp_path}/")
    (active / "start.py").write_text(start)
    assert home.answer() == "an answer\n"
    module = active / "zabbix_sockets/command/cli.py"
    module.write_text("import no_such_module\n")
    shutil.rmtree(module.parent / "__pycache__", ignore_errors=True)
    assert home.answer() == f"older -I -S {active}/start.py get\n"
    older.unlink()
    with pytest.raises(subprocess.CalledProcessError) as raised:
        home.answer()
    assert b"no_such_module" in raised.value.stderr


@pytest.mark.parametrize(
    ("is_there", "said"),
    [
        (True, "can't be read here; as root: chmod -R go+rX "),
        (False, "is not installed: there is no "),
    ],
)
def test_launcher_without_its_files(*, is_there: bool, said: str) -> None:
    """Files that are closed, as a umask of 077 leaves them, are told from missing ones."""
    text = (SOURCE / "packaging/root/zabbix-sockets").read_text()
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        home = Path(folder) / "lib"
        if is_there:
            (home / "current").mkdir(parents=True)
            (home / "current/start.py").touch()
            home.chmod(0o700 if os.geteuid() == 0 else 0)
        command = ["sh", "-c", text.replace("/usr/lib/zabbix-sockets", str(home)), "sh", "get"]
        if os.geteuid() == 0:
            command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command]
        answer = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
        if is_there:
            home.chmod(0o700)
    assert answer.returncode == 1
    assert answer.stdout.startswith(f'{{"error":"zabbix-sockets {said}{home}')
    assert answer.stderr == ""
