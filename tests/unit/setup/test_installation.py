"""What setup asks of the installation that root is to run."""

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.setup import installation
from zabbix_sockets.setup.scene import Own

from .hosts import PACKAGE


@pytest.fixture
def open_tree() -> Iterator[Path]:
    """A folder that everybody may enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


@pytest.mark.parametrize(
    ("mode", "message"),
    [(0o777, "others than root may change"), (0o750, "the agent's user may not read")],
)
def test_installation_that_will_not_do(tmp_path: Path, mode: int, message: str) -> None:
    """Root runs nothing that others may change, and the agent's user has to read it."""
    tmp_path.chmod(mode)
    with pytest.raises(SocketsError, match=re.escape(f"{message} {tmp_path}")):
        installation._check_path(str(tmp_path))
    installation._check_path("/usr/bin")


def test_file_that_others_may_change(tmp_path: Path) -> None:
    """One module that is somebody's is all that it takes; a link's mode says nothing."""
    (tmp_path / "lib/package").mkdir(parents=True)
    module = tmp_path / "lib/package/module.py"
    module.touch(0o644)
    (tmp_path / "lib64").symlink_to("lib")
    installation._check_files(str(tmp_path))
    module.chmod(0o646)
    with pytest.raises(SocketsError, match=re.escape(f"others than root may change {module}")):
        installation._check_files(str(tmp_path))


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a link to another user")
def test_link_that_others_may_change(open_tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root's environment behind another user's link is that user's to replace."""
    program = open_tree / "env/bin/python3"
    program.parent.mkdir(parents=True)
    program.touch(0o755)
    shared = open_tree / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    (shared / "link").symlink_to(open_tree / "env")
    path = str(shared / "link/bin/python3")
    monkeypatch.setattr(sys, "executable", path)
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    own = Own(str(program.parent), f"{path} -I -m zabbix_sockets", is_packaged=False)
    installation.check_installation(own)
    os.chown(shared / "link", 65534, -1, follow_symlinks=False)
    with pytest.raises(SocketsError, match="may change a link on the way"):
        installation.check_installation(own)


@pytest.mark.parametrize("name", ["a b", "a;b", "a'b", "50%", "$HOME", "x\n", "gone"])
def test_path_that_means_something_else(tmp_path: Path, name: str) -> None:
    """An environment's path goes into units and commands of agents as it is."""
    program = tmp_path / name / "bin/python3"
    if name != "gone":
        program.parent.mkdir(parents=True)
        program.touch()
    own = Own(str(tmp_path), f"{program} -I -m zabbix_sockets", is_packaged=False)
    with pytest.raises(SocketsError, match="can't call"):
        installation.check_installation(own)


def test_a_package_is_trusted(tmp_path: Path) -> None:
    """A package's files are where its package manager put them."""
    tmp_path.chmod(0o777)
    installation.check_installation(Own(str(tmp_path), PACKAGE.command, is_packaged=True))
