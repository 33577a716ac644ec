"""A tree that systemd has booted: with processes, mounts, network and cgroups of its own.

systemd-nspawn(1) starts it, in mount and cgroup places that end with it. It has what a small
virtual machine has, and of the machine's capabilities those for BPF; its clock and its kernel are
the machine's.
"""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from . import trees
from .trees import UnavailableError

BOOT_SECONDS = 120.0
"""How long a boot may take: it is a second, but machines are busy."""

_COMMAND_SECONDS = 180.0

_ENVIRONMENT = {
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "DEBIAN_FRONTEND": "noninteractive",
}

# $1 layers, $2 the folder with upper, work and tree, $3 and on: the machine's name and its options.
# nspawn keeps its own folders in /run, and refuses to remove them from a disk.
_BOOT = """
mkdir -p /run/systemd/nspawn
mount -t tmpfs tmpfs /run/systemd/nspawn
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/tree"
folder=$2 machine=$3; shift 3
exec systemd-nspawn --directory="$folder/tree" --machine="$machine" --boot --register=no \
    --keep-unit --link-journal=no --private-network --system-call-filter=bpf "$@"
"""

_REBOOT = 133  # how nspawn ends then, with --keep-unit: who started it starts it again
_CAPABILITIES = {"CAP_PERFMON": 38, "CAP_BPF": 39}


@dataclass(slots=True)
class Prepared:
    """A tree before it is booted: *upper* has what is written above the *layers*."""

    layers: Sequence[Path]
    folder: Path

    @property
    def upper(self) -> Path:
        """Whatever the tree has more than its layers, or instead; not to be changed once booted."""
        return self.folder / "upper"

    def run(self, command: str) -> str:
        """Run a line of shell as root in the tree that isn't booted, and return what it prints."""
        return trees.run_in(self.layers, self.upper, ["bash", "-ec", command])

    def write(self, path: str, text: str) -> None:
        """Have a file with this text in the tree."""
        target = self.upper / path.lstrip("/")
        target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        target.write_text(text, "utf-8")

    def put(self, source: Path, path: str) -> None:
        """Copy a file of the machine, or a folder, to *path* in the tree."""
        target = self.upper / path.lstrip("/")
        target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        subprocess.run(["cp", "-rL", str(source), str(target)], check=True)


@contextmanager
def prepared(release: str, *names: str) -> Iterator[Prepared]:
    """Yield a tree of this release and these layers (trees.held), to be written to and booted.

    UnavailableError says what this machine lacks for it.
    """
    _check_machine()
    with trees.held(release, *names) as layers, trees.scratch() as folder:
        for name in ("upper", "work", "tree"):
            (folder / name).mkdir(mode=0o755)
        tree = Prepared(layers, folder)
        tree.write(
            "/etc/apt/apt.conf.d/95yes", 'APT::Get::Assume-Yes "true";\n'
        )  # as a person says
        yield tree


def _check_machine() -> None:
    if os.geteuid() != 0:
        raise UnavailableError("only root boots a system")
    held = int(_status_line(os.getpid(), "CapEff"), 16)
    lacking = [name for name, bit in _CAPABILITIES.items() if not held >> bit & 1]
    if lacking:
        raise UnavailableError(f"a booted system would lack {' and '.join(lacking)}")
    if not _hierarchies():
        raise UnavailableError("no cgroups to boot a system in")
    try:
        subprocess.run(["systemd-nspawn", "--version"], capture_output=True, check=True)
        subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as exc:
        raise UnavailableError(str(exc)) from exc


@dataclass(slots=True)
class System:
    """A booted system. Commands run in it as root, in a shell without the caller's environment."""

    tree: Prepared
    cgroups: Sequence[Path]
    log: Path
    capabilities: Sequence[str]
    """What it has more than a container usually has."""
    leader: int = 0
    """The process that is the system's first, as the caller sees it."""
    nspawn: subprocess.Popen[bytes] = field(init=False)

    def run(
        self, command: str, seconds: float = _COMMAND_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """Run lines of shell within this time, and return what became of them: no status fails."""
        return subprocess.run(
            self.inside(["bash", "-c", command]),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )

    def do(self, command: str, seconds: float = _COMMAND_SECONDS) -> str:
        """Run lines of shell, of which the first that fails fails the test; return the output."""
        result = self.run(f"set -e\n{command}", seconds)
        assert result.returncode == 0, (
            f"{command}\nended with {result.returncode}:\n{result.stdout}{result.stderr}"
        )
        return result.stdout

    def inside(self, command: Sequence[str], *namespaces: str) -> list[str]:
        """Return *command* to be run in all of the system's namespaces, or in these.

        In others than `--mount` the programs are the machine's own.
        """
        variables = [f"{name}={value}" for name, value in _ENVIRONMENT.items()]
        place = ["nsenter", f"--target={self.leader}", *(namespaces or ["--all"])]
        return [*place, "env", "-i", *variables, *command]

    def wait(self, condition: str, seconds: float = BOOT_SECONDS) -> None:
        """Return when this line of shell succeeds; fail with its output when it doesn't in time."""
        deadline = time.monotonic() + seconds
        while (result := self.run(condition)).returncode != 0:
            assert time.monotonic() < deadline, (
                f"{condition}\nnot within {seconds:.0f} s: {result.stdout}{result.stderr}"
            )
            time.sleep(0.05)

    def state(self) -> str:
        """Return what systemd says of itself, such as `running`, or `degraded: UNIT...`."""
        state = self.run("systemctl is-system-running").stdout.strip()
        failed = self.run("systemctl list-units --failed --plain --no-legend").stdout
        units = [line.split()[0] for line in failed.splitlines() if line.strip()]
        return f"{state}: {' '.join(units)}" if units else state

    def show(self, unit: str, *names: str) -> dict[str, str]:
        """Return properties of a unit, as `systemctl show` has them."""
        lines = self.do(f"systemctl show -p {','.join(names)} '{unit}'").splitlines()
        return dict(line.split("=", 1) for line in lines)

    def journal(self, unit: str = "") -> str:
        """Return what the journal has, of all units or of this one."""
        only = f"-u '{unit}'" if unit else ""
        return self.run(f"journalctl --no-pager -o short-precise {only}").stdout

    def path(self, path: str) -> Path:
        """Return a file of the system as this process can open it."""
        return Path(f"/proc/{self.leader}/root") / path.lstrip("/")

    def reboot(self) -> None:
        """Boot it again, as a person does; return when it is up."""
        self.run("systemctl reboot")
        status = self.nspawn.wait(BOOT_SECONDS)
        assert status == _REBOOT, f"it ended with {status}:\n{self.said()}"
        self.boot()

    def boot(self) -> None:
        """Boot it, and return when all that is started at boot is up, or has failed."""
        with self.log.open("ab") as output:
            self.nspawn = subprocess.Popen(
                self._command(),
                env=_ENVIRONMENT | {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        deadline = time.monotonic() + BOOT_SECONDS
        state = ""
        while state not in {"running", "degraded"}:
            assert self.nspawn.poll() is None, f"it ended:\n{self.said()}"
            assert time.monotonic() < deadline, f"not up, but {state!r}:\n{self.said()}"
            time.sleep(0.05)
            self.leader = _find_leader(self.nspawn.pid)
            if self.leader:
                state = self.run("systemctl is-system-running").stdout.strip()

    def end(self) -> None:
        """End it at once, in whatever state it is."""
        nspawn = self.nspawn
        leader = _find_leader(nspawn.pid) if nspawn.poll() is None else 0
        # The first process takes all others with it, and nspawn then has nothing to do.
        for pid, patience in ((leader, 30), (nspawn.pid, None)):
            if pid and nspawn.poll() is None:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                with suppress(subprocess.TimeoutExpired):
                    nspawn.wait(patience)

    def _command(self) -> list[str]:
        # Two systems in one cgroup would take each other's processes for their own.
        enter = "".join(f"echo $$ >'{cgroup}/cgroup.procs'\n" for cgroup in self.cgroups)
        options = [f"--capability={','.join(self.capabilities)}"] if self.capabilities else []
        layers, folder = trees.overlay_of(self.tree.layers), str(self.tree.folder)
        machine = self.cgroups[0].name
        mortal = ["setpriv", "--pdeathsig", "KILL"]
        boot = ["unshare", "--mount", "sh", "-c", f"set -eu\n{enter}{_BOOT}", "sh"]
        return [*mortal, *boot, layers, folder, machine, *options]

    def said(self) -> str:
        """Return the last lines of its console."""
        return "\n".join(self.log.read_text("utf-8", "replace").splitlines()[-40:])

    def power_off(self) -> None:
        """End it as a person does: its units are stopped, and boot() boots it again."""
        self.run("systemctl poweroff")
        self.nspawn.wait(BOOT_SECONDS)


@contextmanager
def booted(tree: Prepared, capabilities: Sequence[str] = tuple(_CAPABILITIES)) -> Iterator[System]:
    """Boot the tree; yield the system when it is up. It ends when it is left.

    Without *capabilities* it is a container as most are: nothing in it may use BPF.
    What fails within is said together with the journal of this system.
    """
    # Process numbers repeat in other namespaces, cgroups are the machine's.
    machine = f"zabbix-sockets-{secrets.token_hex(6)}"
    cgroups = [each / machine for each in _hierarchies()]
    for cgroup in cgroups:
        cgroup.mkdir()
    system = System(tree, cgroups, tree.folder / "console", capabilities)
    try:
        system.boot()
        yield system
    except BaseException:
        if system.leader and system.nspawn.poll() is None:
            print(*system.journal().splitlines()[-120:], sep="\n", file=sys.stderr)  # noqa: T201
        raise
    finally:
        system.end()
        for cgroup in cgroups:
            _remove_cgroup(cgroup)


def _hierarchies() -> list[Path]:
    """Return this process's own cgroups: of cgroup v2, and of systemd's own where there are both.

    systemd in the tree has cgroup v2 alone, as all distributions have by now; nspawn wants both.
    """
    own = {}
    for line in Path("/proc/self/cgroup").read_text("utf-8").splitlines():
        _, controllers, path = line.split(":", 2)
        own[controllers] = path.lstrip("/")
    found = []
    for line in Path("/proc/self/mounts").read_text("utf-8").splitlines():
        _, target, kind, options, *_ = line.split()
        if kind == "cgroup2" and "" in own:
            found.append(Path(target) / own[""])
        elif kind == "cgroup" and "name=systemd" in options.split(",") and "name=systemd" in own:
            found.append(Path(target) / own["name=systemd"])
    return found


def _find_leader(nspawn: int) -> int:
    """Return the first process of the PID namespace that nspawn has made, or 0."""
    with suppress(psutil.NoSuchProcess):
        for process in psutil.Process(nspawn).children(recursive=True):
            with suppress(OSError, StopIteration):
                numbers = _status_line(process.pid, "NSpid").split()
                is_first = numbers[-1] == "1" and len(numbers) > 1
                if is_first and Path(f"/proc/{process.pid}/comm").read_text() == "systemd\n":
                    return process.pid
    return 0


def _status_line(pid: int, name: str) -> str:
    lines = Path(f"/proc/{pid}/status").read_text("utf-8", "replace").splitlines()
    return next(line for line in lines if line.startswith(f"{name}:")).partition(":")[2].strip()


def _remove_cgroup(cgroup: Path) -> None:
    deadline = time.monotonic() + 30
    while cgroup.exists():
        for folder, _, _ in os.walk(cgroup, topdown=False):
            with suppress(OSError):  # what was in it is still going
                os.rmdir(folder)
        if time.monotonic() > deadline:
            raise AssertionError(f"{cgroup} doesn't become empty")
        time.sleep(0.02)
