"""The package under the Python of a tree that isn't booted: this machine's kernel and processes.

    PYTHONPATH=tests/support python -m tests.systems.pythons RELEASE [PYTEST ARGUMENT...]

runs tests/unit there, as root, with a network that what pytest needs comes from.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import zabbix_sockets

from ..zabbix.agents import Kind  # noqa: TID252  # a test folder is no package
from . import trees

Answer = subprocess.CompletedProcess[bytes]

SHARED = "/shared"
"""A folder that a tree shares with the test."""

_PACKAGE = Path(zabbix_sockets.__file__).parent
_LIMIT = 120

# $1 layers as overlayfs wants them, $2 upper, $3 work, $4 where to mount, $5 the shared folder; the
# others are the command. Of this machine a tree has all that the command reads of a host.
_ENTER = """
set -eu
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2,workdir=$3" "$4"
for each in proc sys dev run; do mount --rbind "/$each" "$4/$each"; done
mount --bind / "$4/machine"
mount --rbind "$5" "$4/shared"
tree=$4; shift 5
exec chroot "$tree" env -i PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 "$@"
"""

_AS = {
    "root": (),
    "nobody": ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"),
}
"""The beginning of a command line, by the user that runs the rest."""


class Python:
    """A Python, with the package, the libraries that it needs, and libbpf."""

    def __init__(self, enter: Sequence[str], interpreter: str, shared: str) -> None:
        self.enter = enter
        self.interpreter = interpreter
        self.shared = shared

    def call(self, *arguments: str, user: str = "root") -> Answer:
        """Run the command of the package as *user*, which is in no further group."""
        return self.execute(self.interpreter, "-I", "-m", "zabbix_sockets", *arguments, user=user)

    def execute(self, *command: str, user: str = "root") -> Answer:
        """Run a program."""
        return subprocess.run(
            [*self.enter, *_AS[user], *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_LIMIT,
            check=False,
        )


def own_python(shared: Path) -> Python:
    """Return this Python, outside of any tree."""
    return Python((), sys.executable, str(shared))


@contextmanager
def python_of(release: str, shared: Path) -> Iterator[Python]:
    """Yield the Python of a tree, which has *shared* as the folder SHARED.

    UnavailableError says that this machine has no such tree.
    """
    if os.geteuid():
        raise trees.UnavailableError("only root enters a tree")
    with trees.held(release, trees.WHEELS) as layers, trees.scratch() as folder:
        folder.chmod(0o755)
        for name in ("upper", "work", "tree"):
            (folder / name).mkdir()
        upper = folder / "upper"
        for name in ("machine", "shared"):
            (upper / name).mkdir()
        _install(upper, layers, trees.PYTHONS[release])
        overlay = (trees.overlay_of(layers), upper, folder / "work", folder / "tree", shared)
        enter = ["unshare", "--mount", "sh", "-c", _ENTER, "sh", *map(str, overlay)]
        python = Python(enter, "python3", SHARED)
        archives = "dpkg --force-unsafe-io -i /var/cache/apt/archives/lib*.deb"
        made = python.execute("sh", "-c", archives)
        assert made.returncode == 0, made.stderr.decode()
        yield python


def _install(upper: Path, layers: Sequence[Path], version: str) -> None:
    """Put the package and the wheels of the tree beside its Python, and a zabbix_sender."""
    site = upper / f"usr/local/lib/python{version}/dist-packages"
    site.mkdir(parents=True)
    shutil.copytree(_PACKAGE, site / _PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
    wheels = layers[-1] / "root/wheels"
    for name in ("orjson", "tomli"):
        for wheel in wheels.glob(f"{name}-*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(site)
    (upper / "etc").mkdir()
    shutil.copy("/etc/services", upper / "etc")  # a minimal tree has none
    # No layer has one that knows -t, as 6.0's does: Debian 11's is of 5.0.
    script = upper / "usr/local/bin/zabbix_sender"
    script.parent.mkdir(parents=True)
    sender = Kind("zabbix_sender", "7.0").path("zabbix_sender")
    script.write_text(f'#!/bin/sh\nexec chroot /machine {sender} "$@"\n', "utf-8")
    script.chmod(0o755)


_TESTING = (
    *("pytest", "hypothesis", "psutil", "pyyaml", "requests", "pyzabbix", "typing_extensions"),
    "exceptiongroup",  # pip asks whether this Python needs it, not the tree's
)
_LAST = {"3.9": ("pytest<9", "iniconfig<2.2", "requests<2.33", "urllib3<2.7")}
"""The last ones for a Python, where pip would take newer ones."""

_CHECKOUT = Path(__file__).parents[2]


def run_unit_tests(release: str, arguments: Sequence[str]) -> int:
    """Run tests/unit, or what the *arguments* for pytest say, in a tree; return pytest's status."""
    version = trees.PYTHONS[release]
    with tempfile.TemporaryDirectory() as name, python_of(release, Path(name)) as python:
        wanted = ["--target", f"{name}/site", "--python-version", version, "--only-binary", ":all:"]
        packages = (*_TESTING, *_LAST.get(version, ()))
        pip = [sys.executable, "-m", "pip", "install", "--quiet", *wanted, *packages]
        subprocess.run(pip, check=True)
        script = (
            f"cp -r {SHARED}/site/. /usr/local/lib/python{version}/dist-packages;"
            f'cd /machine{_CHECKOUT}; exec python3 -m pytest -q -p no:cacheprovider "$@"'
        )
        command = ["sh", "-c", script, "sh", *(arguments or ["tests/unit"])]
        alone = str(_CHECKOUT / "tests/isolated.sh")
        return subprocess.run([alone, *python.enter, *command], check=False).returncode


if __name__ == "__main__":
    sys.exit(run_unit_tests(sys.argv[1], sys.argv[2:]))
