"""The packages of this checkout, built once for all tests, and where they are installed."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.systems import trees
from tests.systems.booted import Prepared
from tests.systems.packages import machines
from tests.systems.trees import UnavailableError

SOURCE = Path(__file__).parents[2]
_COPIED = ("src", "conf", "docs", "packaging", "zabbix_templates")
NEWER = "9.9.9"
"""The version of the packages that are installed over those of this checkout."""


def build(source: Path, folder: Path, *machines: str, umask: int = 0o022) -> Path:
    """Build packages in a process of its own, with the time of 2023-11-14; return their folder."""
    subprocess.run(
        [sys.executable, "packaging/build.py", str(folder), *machines],
        cwd=source,
        env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"},
        stdout=subprocess.DEVNULL,
        umask=umask,
        check=True,
    )
    return folder


@pytest.fixture(scope="session", autouse=True)
def _tools() -> None:
    if not shutil.which("rpmbuild") or not shutil.which("dpkg-deb"):
        pytest.skip("no dpkg-deb or no rpmbuild: tests/requirements.sh installs them")


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the packages of this checkout for the machines that this run tests."""
    return build(SOURCE, tmp_path_factory.mktemp("packages") / "dist", *machines())


@pytest.fixture(scope="session")
def copied(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout in another place, with other times and without git.

    The wheels that *packages* needed are in it, too.
    """
    assert packages.is_dir()
    folder = tmp_path_factory.mktemp("copied")
    for name in _COPIED:
        shutil.copytree(
            SOURCE / name,
            folder / name,
            copy_function=shutil.copyfile,
            ignore=shutil.ignore_patterns("__pycache__", "generator"),
        )
    for path in SOURCE.glob("[A-Z]*"):
        if path.is_file():
            shutil.copyfile(path, folder / path.name)
    shutil.copytree(SOURCE / ".cache" / "wheels", folder / ".cache" / "wheels")
    return folder


@pytest.fixture(scope="session")
def newer(copied: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the packages of a newer version for this machine."""
    folder = tmp_path_factory.mktemp("newer")
    shutil.copytree(copied, folder, dirs_exist_ok=True)
    (folder / "src/zabbix_sockets/version.py").write_text(f'__version__ = "{NEWER}"\n')
    return build(folder, folder / "dist", os.uname().machine)


@contextmanager
def above(layers: Sequence[Path]) -> Iterator[Prepared]:
    """Yield a tree of these layers, the lowest first; what is written to it is its own."""
    with trees.scratch() as folder:
        for name in ("upper", "work", "tree"):
            (folder / name).mkdir(mode=0o755)
        yield Prepared(layers, folder)


@pytest.fixture(scope="module", params=trees.tested())
def layers(request: pytest.FixtureRequest) -> Iterator[Sequence[Path]]:
    """Those of a tree of each release of Debian that this run tests, with nothing but Python."""
    try:
        with trees.held(request.param) as found:
            yield found
    except UnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture
def tree(layers: Sequence[Path]) -> Iterator[Prepared]:
    """Such a tree."""
    with above(layers) as prepared:
        yield prepared
