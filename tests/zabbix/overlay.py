"""This machine with an agent installed, changed only above an overlay: for what root does to it."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .agents import Kind
from .stage import HOME, Stage, UnavailableError

# $1 is the folder of the overlay, the rest the command to run in it. /run is empty: no systemd.
_ENTER = """
set -e
top=$1; shift
above=$top/files
mount -t overlay -o "lowerdir=/,upperdir=$above/upper,workdir=$above/work" overlay "$top/root"
mount -t proc proc "$top/root/proc"
for each in sys dev; do mount --rbind "/$each" "$top/root/$each"; done
mount --bind "$top/run" "$top/root/run"
cd "$top/root"
exec chroot . "$@"
"""

# Without the processes of the session: agents of other tests would be this host's, too.
_ALONE = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"]


@dataclass(frozen=True, slots=True)
class Overlay:
    """A copy of this machine's files that can be changed, without a systemd; *top* has them."""

    top: Path

    def run(self, *command: str, user: str = "root") -> subprocess.CompletedProcess[str]:
        """Run a command there, as *user*; its files stay for the next one."""
        as_user = ["setpriv", "--reuid", user, "--regid", user, "--init-groups"]
        chosen = [*as_user, *command] if user != "root" else list(command)
        return subprocess.run(
            [*_ALONE, *_shell(self.top), *chosen],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def path(self, path: str) -> Path:
        """Return where a file lies that was made or changed there."""
        return self.top / "files/upper" / path.lstrip("/")

    def changes(self) -> dict[str, tuple[int, bytes]]:
        """Return mode and content of all that is other than the machine has it.

        A folder in which something was changed is there too, so it counts if its mode is another.
        """
        upper = self.top / "files/upper"
        found = {}
        for path in upper.rglob("*"):
            below = Path("/") / path.relative_to(upper)
            if path.is_dir() and below.is_dir() and path.stat().st_mode == below.stat().st_mode:
                continue
            content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
            found[str(path.relative_to(upper))] = (path.lstat().st_mode, content)
        return found


def _shell(top: Path) -> Sequence[str]:
    return ["sh", "-c", _ENTER, "sh", str(top)]


@contextmanager
def overlay(stage: Stage, top: Path, kinds: Sequence[Kind]) -> Iterator[Overlay]:
    """Make the overlay below *top*, with these agents and the stage's installation.

    Raises:
        UnavailableError: no overlay can be mounted here, or an agent's files are missing.
    """
    for name in ("files", "root", "run"):
        (top / name).mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(top / "files")], check=True)
    try:
        for name in ("upper", "work"):
            (top / "files" / name).mkdir()
        made = Overlay(top)
        shutil.copytree(stage.root / HOME.relative_to("/"), made.path(str(HOME)), symlinks=True)
        for kind in kinds:
            _install(made, kind)
        tried = made.run("true")
        if tried.returncode:
            raise UnavailableError(f"no overlay: {tried.stderr}")
        yield made
    finally:
        subprocess.run(["umount", str(top / "files")], check=True)


def _install(made: Overlay, kind: Kind) -> None:
    """Put an agent's program, unit and configuration where its package does."""
    program = kind.path(kind.program)
    package = program.parents[2]
    unit = "zabbix-agent2.service" if kind.program == "zabbix_agent2" else "zabbix-agent.service"
    sources = {f"/usr/sbin/{kind.program}": program}
    sources[f"/lib/systemd/system/{unit}"] = package / "lib/systemd/system" / unit
    config = f"/etc/zabbix/{kind.program}.conf"
    sample = package / f"usr/share/zabbix-agent/{kind.program}.conf"
    sources[config] = sample if sample.exists() else package / config.lstrip("/")
    for path, source in sources.items():
        target = made.path("/usr" + path if path.startswith("/lib/") else path)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    for name in ("zabbix_agentd.conf.d", "zabbix_agent2.d"):
        folder = package / "etc/zabbix" / name
        if folder.exists():
            shutil.copytree(folder, made.path(f"/etc/zabbix/{name}"), dirs_exist_ok=True)
    os.chmod(made.path(f"/usr/sbin/{kind.program}"), 0o755)
