"""Trees of Debian's releases for systemd to boot, made once and kept outside the checkout.

    python -m tests.systems.trees [RELEASE...]

makes those that are missing, as root and with a network: tests run without one. Nothing writes into
a tree that is made: who boots it has an overlay above it (booted.py).
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import rounds

FOLDER = Path(os.environ.get("TEST_TREES", "/var/tmp/zabbix-sockets-trees"))
"""All trees, for every checkout of this machine. TEST_TREES names another folder."""

RELEASES = ("bullseye", "bookworm", "trixie", "forky")
"""The releases of Debian, oldest first."""

PYTHONS = dict(zip(RELEASES, ("3.9", "3.11", "3.13", "3.14"), strict=True))
"""The release's Python."""

OLD_LIBBPF = ("bullseye",)
"""Those whose libbpf can't read the types of a kernel from 6.0 on."""

BASE = "base"
WHEELS = "wheels"
"""The layer with what pip needs to build and install the package without a network: in /root."""

AGENTS = {"agentd": "zabbix-agent", "agent2": "zabbix-agent2"}
"""The layers above the base, each with one of the distribution's own agents, by its package."""

_LACKING = {"bullseye": ("agent2",)}

_INCLUDED = ("systemd", "systemd-sysv", "dbus", "python3")
# For apt to install in the booted system, which has no network: it finds them in its cache.
_DOWNLOADED = {
    "bullseye": ("libbpf0", "python3-venv"),
    "bookworm": ("libbpf1", "python3-venv"),
    "trixie": ("libbpf1", "python3-venv", "zabbix-sender"),
    "forky": ("libbpf1", "python3-venv", "zabbix-sender"),
}
_WHEELS = ("hatchling", "orjson", "tomli")
_UNSAFE = "force-unsafe-io"  # a tree that was cut short is made anew anyway

_OLDEST_SECONDS = 21 * 24 * 3600  # systemd-tmpfiles takes files of 30 days out of /var/tmp
_RECIPE = 1  # another number makes all trees anew

# $1 layers as overlayfs wants them, $2 upper, $3 work, $4 where to mount; then the command.
_CHROOT = """
set -eu
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2,workdir=$3" "$4"
mount --rbind /proc "$4/proc"
mount --rbind /dev "$4/dev"
tree=$4; shift 4
exec chroot "$tree" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C \
    DEBIAN_FRONTEND=noninteractive "$@"
"""

# Services that a package would start have nobody to start them in a tree that isn't booted.
_INSTALL = """
set -eu
printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
apt-get -qq install --no-install-recommends "$@"
rm /usr/sbin/policy-rc.d
"""

_DOWNLOAD = 'apt-get -qq install --download-only --no-install-recommends "$@"'


class UnavailableError(Exception):
    """Why this machine has no such tree, or can't boot one; the tests skip with it."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A folder with what one step of making has added: the base, an agent above it, or wheels."""

    release: str
    name: str

    @property
    def folder(self) -> Path:
        """What overlayfs takes for a layer."""
        return FOLDER / self.release / self.name / "root"

    def is_whole(self, oldest_seconds: float = float("inf")) -> bool:
        """Tell whether all of it is there, as this file makes it, and not older than this."""
        try:
            made = json.loads(self._marker.read_text("utf-8"))
        except (OSError, ValueError):
            return False
        is_young = time.time() - self._marker.stat().st_mtime < oldest_seconds
        return is_young and bool(made == self._description())

    def mark(self) -> None:
        """Say that it is whole: the last step of making it."""
        self._marker.write_text(json.dumps(self._description()), "utf-8")

    @property
    def _marker(self) -> Path:
        return self.folder.parent / "made"

    def _description(self) -> dict[str, object]:
        # A cleaner of old files takes single ones, which the number of all tells.
        recipe = (
            _RECIPE,
            _WHEELS,
            _INCLUDED,
            _DOWNLOADED[self.release],
            AGENTS.get(self.name),
            _INSTALL,
        )
        return {
            "recipe": hashlib.sha256(repr(recipe).encode()).hexdigest(),
            "files": sum(len(files) + 1 for _, _, files in os.walk(self.folder)),
        }


def agents_of(release: str) -> list[str]:
    """Return the agents that the release has, as AGENTS calls them."""
    return [name for name in AGENTS if name not in _LACKING.get(release, ())]


def own_release() -> str:
    """Return the release of this machine, where it is one of Debian's, else Debian 12's."""
    with suppress(OSError):
        for line in Path("/etc/os-release").read_text("utf-8").splitlines():
            name, _, value = line.partition("=")
            if name == "VERSION_CODENAME" and value in RELEASES:
                return value
    return "bookworm"


def tested() -> Sequence[str]:
    """Return the releases that this run tests: the machine's own, or with all rounds each."""
    return (own_release(),) if rounds.IS_SHORT else RELEASES


def make(release: str) -> None:
    """Make what is missing, broken or old of the tree and its layers.

    Others that want to make it wait. A tree that is booted somewhere is left as it is, if it is
    whole. UnavailableError says what could not be done.
    """
    layers = [Layer(release, name) for name in (BASE, *agents_of(release), WHEELS)]
    with _locked(release, fcntl.LOCK_SH):
        if all(layer.is_whole(_OLDEST_SECONDS) for layer in layers):
            return
    if os.geteuid() != 0:
        raise UnavailableError("a tree of Debian is made by root")
    with _locked(release, fcntl.LOCK_EX):
        for layer in layers:
            if not layer.is_whole(_OLDEST_SECONDS):
                _make_layer(layer)


@contextmanager
def held(release: str, *names: str) -> Iterator[Sequence[Path]]:
    """Yield the layers of a tree, the lowest first, which nobody replaces meanwhile.

    Above the base they are those with these *names*: one of AGENTS at most, and WHEELS.
    UnavailableError says that this tree isn't made.
    """
    layers = [Layer(release, name) for name in (BASE, *names)]
    if not (FOLDER / release).is_dir():
        raise _missing(release)
    with _locked(release, fcntl.LOCK_SH):
        if not all(layer.is_whole() for layer in layers):
            raise _missing(release)
        yield [layer.folder for layer in layers]


def _missing(release: str) -> UnavailableError:
    how = f"`python -m tests.systems.trees {release}` as root makes it"
    return UnavailableError(f"no whole tree of Debian's {release} in {FOLDER}: {how}")


@contextmanager
def scratch() -> Iterator[Path]:
    """Yield a new folder beside the trees, for what is written above one.

    It is removed at the end, or by the next who wants one after a kill.
    """
    runs = FOLDER / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    with ExitStack() as entered, _flocked(runs / "lock", fcntl.LOCK_EX):
        for left in filter(Path.is_dir, runs.iterdir()):
            with suppress(OSError), _flocked(left / "lock", fcntl.LOCK_EX | fcntl.LOCK_NB):
                shutil.rmtree(left)
        folder = Path(tempfile.mkdtemp(dir=runs))
        entered.enter_context(_flocked(folder / "lock", fcntl.LOCK_EX))
        alive = entered.pop_all()
    with alive:
        try:
            yield folder
        finally:
            shutil.rmtree(folder)


def overlay_of(layers: Sequence[Path]) -> str:
    """Return *layers*, the lowest first, as overlayfs wants its lowerdir: the highest first."""
    return ":".join(str(layer) for layer in reversed(layers))


def run_in(layers: Sequence[Path], upper: Path, command: Sequence[str]) -> str:
    """Run *command* in a tree that isn't booted; what it writes comes into *upper*.

    Return what it prints. It has the machine's network, processes and devices.
    """
    with tempfile.TemporaryDirectory(dir=upper.parent) as folder:
        for name in ("work", "tree"):
            (Path(folder) / name).mkdir()
        arguments = [overlay_of(layers), upper, f"{folder}/work", f"{folder}/tree", *command]
        return _run(["unshare", "--mount", "sh", "-c", _CHROOT, "sh", *map(str, arguments)])


def _make_layer(layer: Layer) -> None:
    begun = time.monotonic()
    shutil.rmtree(layer.folder.parent, ignore_errors=True)
    layer.folder.mkdir(mode=0o755, parents=True)
    if layer.name == BASE:
        _make_base(layer)
    elif layer.name == WHEELS:
        _download_wheels(layer)
    else:
        install = ["sh", "-c", _INSTALL, "sh", AGENTS[layer.name]]
        run_in([Layer(layer.release, BASE).folder], layer.folder, install)
    layer.mark()
    size = _run(["du", "-sh", str(layer.folder)]).split()[0]
    print(f"made {layer.folder}: {size}, {time.monotonic() - begun:.0f} s", flush=True)  # noqa: T201


def _make_base(layer: Layer) -> None:
    """Have Debian's packages unpacked and configured, as debootstrap does in thrice the time."""
    tree = layer.folder
    with tempfile.TemporaryDirectory(dir=tree.parent) as folder:
        acquire, nothing = Path(folder) / "90acquire", Path(folder) / "nothing"
        acquire.write_text(_acquiring(), "utf-8")
        nothing.mkdir()
        options = [
            f"--include={','.join(_INCLUDED)}",
            f"--aptopt={acquire}",
            f"--dpkgopt={_UNSAFE}",
        ]
        source = f"deb {_mirror()} {layer.release} main"
        keep = ["--mode=root", "--variant=minbase", "--skip=cleanup/apt/lists"]
        # Its mounts in the tree end with it, however it ends.
        _run(
            ["unshare", "--mount", "mmdebstrap", *keep, *options, layer.release, str(tree), source]
        )
        (tree / "etc/hostname").write_text("tested\n", "utf-8")
        run_in([nothing], tree, ["sh", "-c", _DOWNLOAD, "sh", *_DOWNLOADED[layer.release]])


def _download_wheels(layer: Layer) -> None:
    # With this machine's own pip, which knows from where.
    version = ["--python-version", PYTHONS[layer.release], "--only-binary", ":all:"]
    target = ["--quiet", "--disable-pip-version-check", "--dest", str(layer.folder / "root/wheels")]
    _run([sys.executable, "-m", "pip", "download", *target, *version, *_WHEELS])


def _mirror() -> str:
    """Return the URI from which this machine's own apt takes its own release."""
    form = "$(REPO_URI) $(RELEASE) $(COMPONENT)"
    listing = ["apt-get", "indextargets", "--no-release-info", "--format", form]
    for line in _run([*listing, "Created-By: Packages"]).splitlines():
        uri, release, component = line.split()
        if (release, component) == (own_release(), "main"):
            return uri
    raise UnavailableError(f"apt has no source for Debian's {own_release()}")


def _acquiring() -> str:
    """Return this machine's settings of how apt fetches: proxies, keys and checks of dates."""
    passed = ("Acquire::IndexTargets", "Acquire::cdrom", "Acquire::Changelogs")
    lines = _run(["apt-config", "dump", "Acquire"]).splitlines()
    return "".join(f"{line}\n" for line in lines if not line.startswith(passed))


def _run(command: Sequence[str]) -> str:
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=True,
        ).stdout
    except OSError as exc:
        raise UnavailableError(str(exc)) from exc
    except subprocess.CalledProcessError as exc:
        said = "\n".join(exc.stdout.splitlines()[-15:])
        raise UnavailableError(f"{command[0]} for {' '.join(command[-3:])}: {said}") from exc


@contextmanager
def _locked(release: str, operation: int) -> Iterator[None]:
    FOLDER.mkdir(mode=0o755, parents=True, exist_ok=True)
    if FOLDER.is_symlink() or FOLDER.stat().st_uid not in {0, os.geteuid()}:
        raise UnavailableError(f"{FOLDER} is somebody else's")
    (FOLDER / release).mkdir(mode=0o755, exist_ok=True)
    with _flocked(FOLDER / release / "lock", operation):
        yield


@contextmanager
def _flocked(path: Path, operation: int) -> Iterator[None]:
    with path.open("ab") as lock:
        fcntl.flock(lock, operation)
        yield


def main(releases: Sequence[str]) -> int:
    """Make the trees of *releases*; say which can't be made, which is a failure."""
    os.umask(0o022)  # other users of a system read most of its files
    status = 0
    for release in releases:
        try:
            make(release)
        except UnavailableError as error:
            print(f"no tree of {release}: {error}", file=sys.stderr)  # noqa: T201
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or tested()))
