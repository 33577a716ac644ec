"""The product where its files say it is, and nothing of the machine changed for it.

A mount namespace of its own shows /opt/zabbix-sockets, an environment as docs/install.md has it
made by pip, to the agents alone.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

from zabbix_sockets.host.own_files import with_command
from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.model.paths import CONFIG, PINS
from zabbix_sockets.readers.bpf.pins import load

OPT = Path("/opt")
HOME = OPT / "zabbix-sockets"
SUDOERS = Path("/etc/sudoers.d")
CAPABILITIES = "+sys_ptrace,+dac_read_search"

# $1 times the pair SOURCE TARGET to mount, then the command.
_MOUNT_AND_EXEC = """
n=$1; shift
while [ "$n" -gt 0 ]; do mount --bind "$1" "$2" || exit 126; shift 2; n=$((n - 1)); done
exec "$@"
"""


class UnavailableError(Exception):
    """What this machine lacks; the tests skip with it."""


def as_zabbix(command: Sequence[str], *, capable: bool = False) -> list[str]:
    """Return *command* run as user zabbix.

    It has no capability, or is *capable* by CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH. It ends with
    the thread that started it, also when pytest is killed.
    """
    user = ["--reuid", "zabbix", "--regid", "zabbix", "--init-groups", "--pdeathsig", "TERM"]
    if capable:
        user += ["--inh-caps", CAPABILITIES, "--ambient-caps", CAPABILITIES]
    return ["setpriv", *user, *command]


def require(command: Sequence[str]) -> None:
    """Run *command*, or say in an UnavailableError that it can't be run here."""
    try:
        subprocess.run(command, capture_output=True, text=True, check=True)
    except OSError as exc:
        raise UnavailableError(str(exc)) from exc
    except subprocess.CalledProcessError as exc:
        raise UnavailableError(f"{' '.join(command)}: {exc.stdout}{exc.stderr}") from exc


@dataclass(frozen=True, slots=True)
class Stage:
    """Directories of *root* that stand in for the machine's own."""

    root: Path
    python: Path

    @property
    def conf(self) -> Path:
        """What the installed package brings for agents, units and sudo, as `setup` installs it."""
        return self.root / "conf"

    def load(self) -> None:
        """Do what the boot-time unit does; done again, totals begin anew."""
        try:
            load(str(self.root / "pins"))
        except SocketsError as error:
            raise UnavailableError(str(error)) from error

    def inside(
        self,
        command: Sequence[str],
        *,
        sudoers: bool = False,
        pins: bool = False,
        rules: Path | None = None,
    ) -> list[str]:
        """Return *command* in a mount namespace where the stage is set.

        The machine's own pins are hidden; those of the stage are there on demand, and a folder
        with a file of *rules* in the place of the machine's.
        """
        mounts = {
            self.root / "opt": OPT,
            self.root / ("pins" if pins else "nothing"): Path(PINS),
        }
        if sudoers:
            mounts[self.root / "sudoers.d"] = SUDOERS
        if rules:
            Path(CONFIG).parent.mkdir(mode=0o755, exist_ok=True)  # to mount over
            mounts[rules] = Path(CONFIG).parent
        return _in_namespace(mounts, command)


def set_up(root: Path) -> Stage:
    """Build the stage below *root*, or say in an UnavailableError why not."""
    if os.geteuid() != 0:
        raise UnavailableError("agents that run as another user need root to start them")
    try:
        pwd.getpwnam("zabbix")
    except KeyError:
        raise UnavailableError("no user zabbix: tests/requirements.sh makes one") from None
    (root / "opt").mkdir(mode=0o755)
    (root / "sudoers.d").mkdir(mode=0o750)
    for name in ("pins", "nothing"):
        (root / name).mkdir(mode=0o755)
    Path(PINS).mkdir(mode=0o755, exist_ok=True)  # to mount over
    mounts = {root / "opt": OPT}
    python = _find_python(mounts)
    home = root / "opt" / HOME.name
    require([str(python), "-m", "venv", "--without-pip", str(home)])
    (site_packages,) = home.glob("lib/python*/site-packages")
    for name in ("zabbix-sockets", "orjson"):
        _copy_installed(name, site_packages)
    # No user may write there, so no call could keep what it compiled.
    require([str(home / "bin/python3"), "-m", "compileall", "-q", str(site_packages)])
    require(["chmod", "-R", "u=rwX,go=rX", str(home)])
    imports = [str(HOME / "bin/python3"), "-I", "-c", "import orjson, zabbix_sockets"]
    require(_in_namespace(mounts, as_zabbix(imports)))
    stage = Stage(root, python)
    _install_conf(site_packages / "zabbix_sockets/share/conf", stage.conf)
    _install_sudoers(stage.conf / "sudoers.d/zabbix-sockets", root / "sudoers.d")
    return stage


def _install_conf(packaged: Path, directory: Path) -> None:
    """Copy what the package brings, with the path of this installation's command."""
    shutil.copytree(packaged, directory)
    words = f"{HOME}/bin/python3 -I -m zabbix_sockets"
    for path in directory.rglob("*"):
        if path.is_file() and path.suffix != ".pp":  # SELinux's has no command, and is no text
            path.write_text(with_command(path.read_text("utf-8"), words), "utf-8")


def _install_sudoers(packaged: Path, directory: Path) -> None:
    """Do what the file's own comment says."""
    require(["install", "-o", "root", "-g", "root", "-m", "0440", str(packaged), str(directory)])


def _find_python(mounts: Mapping[Path, Path]) -> Path:
    """Return an interpreter that user zabbix can reach and that fits the compiled orjson.

    The one of these tests may lie in root's home, or below the hidden /opt.
    """
    abi = sysconfig.get_config_var("SOABI")
    show = ["-c", "import sysconfig; print(sysconfig.get_config_var('SOABI'))"]
    candidates = ["/usr/bin/python3", os.path.realpath(sys.executable)]
    answers = []
    for candidate in candidates:
        command = _in_namespace(mounts, as_zabbix([candidate, *show]))
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.stdout.strip() == abi:
            return Path(candidate)
        answers.append(f"{candidate}: {result.stdout.strip() or result.stderr.strip()}")
    raise UnavailableError(f"no python for {abi} that user zabbix can reach: {'; '.join(answers)}")


def _copy_installed(name: str, site_packages: Path) -> None:
    """Copy what pip installed here, which is what the tests are about."""
    for file in distribution(name).files or ():
        if ".." in file.parts or "__pycache__" in file.parts:
            continue  # scripts with this environment's path, and compiled files
        target = site_packages / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file.locate(), target)


def _in_namespace(mounts: Mapping[Path, Path], command: Sequence[str]) -> list[str]:
    pairs = [str(path) for pair in mounts.items() for path in pair]
    shell = ["sh", "-c", _MOUNT_AND_EXEC, "sh", str(len(mounts))]
    return ["unshare", "--mount", "--propagation", "private", *shell, *pairs, *command]
