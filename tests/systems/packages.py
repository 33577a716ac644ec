"""The .deb of this machine that the tests install, and one of a former version.

    python -m tests.systems.packages

fetches the wheels that they bring along, with a network: tests build without one. With all rounds
there are those for each machine that there are packages for.
"""

import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import rounds
from formats import MACHINES

SOURCE = Path(__file__).parents[2]

PIP_NEEDS = ("LICENSE", "README.md", "conf", "pyproject.toml", "src", "zabbix_templates")
"""What pip builds and installs the product from."""

FORMER_VERSION = "0.0.9"

_PARTS = ("src", "conf", "docs", "packaging", "zabbix_templates")
_FILES = ("CHANGELOG.md", "LICENSE", "README.md", "pyproject.toml")

# In the folder packaging/, whose modules import each other by their bare names.
_BUILD = """
import sys
from pathlib import Path
import formats
from build import source_moment
from package_tree import common_tree
cache, kind, machine, folder = sys.argv[1:]
tree = common_tree(machine, Path(cache))
print(getattr(formats, kind)(tree, machine, source_moment(), Path(folder)))
"""

_FETCH = """
import sys
from pathlib import Path
from package_tree import common_tree
cache, *machines = sys.argv[1:]
for machine in machines:
    common_tree(machine, Path(cache))
"""

_CACHE = SOURCE / ".cache/wheels"

Builder = Callable[[Path], Path]
"""Builds a package into a folder, and returns its path."""


def machines() -> Sequence[str]:
    """Return the machines whose packages this run tests: its own, or with all rounds each."""
    own = platform.machine()
    return [own] if rounds.IS_SHORT and own in MACHINES else MACHINES


def build(folder: Path) -> Path:
    """Build the package of this checkout into *folder*, and return its path."""
    return Path(_build(SOURCE, "build_deb", folder))


def build_archive(folder: Path) -> Path:
    """Build the .tar.gz of this checkout into *folder*, and return its path."""
    return Path(_build(SOURCE, "build_tar", folder))


def build_former(folder: Path) -> Path:
    """Build the package that this one takes the place of: an older version, with other records.

    Its pinned iterators have other names, so neither version can read those of the other.
    """
    source = folder / "source"
    for part in _PARTS:
        shutil.copytree(
            SOURCE / part, source / part, ignore=shutil.ignore_patterns("__pycache__", "images")
        )
    for file in _FILES:
        shutil.copy(SOURCE / file, source)
    package = source / "src/zabbix_sockets"
    _replace(package / "version.py", r'__version__ = ".*"', f'__version__ = "{FORMER_VERSION}"')
    _replace(package / "readers/bpf/records.py", r"(?m)^ABI = \d+$", "ABI = 1")
    return Path(_build(source, "build_deb", folder))


def _replace(path: Path, pattern: str, text: str) -> None:
    changed, number = re.subn(pattern, text, path.read_text("utf-8"))
    assert number == 1, f"{pattern} is {number} times in {path}"
    path.write_text(changed, "utf-8")


def _build(source: Path, kind: str, folder: Path) -> str:
    return _run(source, _BUILD, str(_CACHE), kind, platform.machine(), str(folder)).strip()


def _run(source: Path, script: str, *arguments: str) -> str:
    command = [sys.executable, "-c", script, *arguments]
    result = subprocess.run(
        command, cwd=source / "packaging", stdout=subprocess.PIPE, text=True, check=True
    )
    return result.stdout


if __name__ == "__main__":
    _run(SOURCE, _FETCH, str(_CACHE), *machines())
