"""The folder of what outlives a boot: whose it is, and whether SELinux lets the agent write."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from zabbix_sockets.host.state_folder import ENFORCE, is_for_agents_domain, is_private_folder

from .trees import plant


@pytest.mark.parametrize(
    ("mode", "is_private"), [(0o700, True), (0o755, True), (0o770, False), (0o702, False)]
)
def test_mode(tmp_path: Path, mode: int, is_private: bool) -> None:
    """Others may not write to it."""
    folder = tmp_path / "folder"
    folder.mkdir()
    folder.chmod(mode)
    assert is_private_folder(str(folder), os.geteuid()) == is_private


def test_what_is_no_folder_of_the_user(tmp_path: Path) -> None:
    """A link to a good one is none, nor is a file, another user's, or none at all."""
    folder, link, file = tmp_path / "folder", tmp_path / "link", tmp_path / "file"
    folder.mkdir(0o700)
    link.symlink_to(folder)
    file.touch(0o700)
    uid = os.geteuid()
    assert not any(is_private_folder(str(each), uid) for each in (link, file, tmp_path / "none"))
    assert not is_private_folder(str(folder), uid + 1)


@pytest.mark.parametrize(
    ("context", "may_write"),
    [
        (b"system_u:object_r:zabbix_var_run_t:s0\0", True),
        (b"system_u:object_r:zabbix_runtime_t:s0", True),
        (b"unconfined_u:object_r:var_lib_t:s0\0", False),
        (b"unlabeled", False),
        (None, False),
    ],
)
def test_selinux(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, context: bytes | None, may_write: bool
) -> None:
    """Where it is on, the folder's label decides; no kernel without it has one."""

    def getxattr(_path: str, _name: str) -> bytes:
        if context is None:
            raise OSError(errno.ENODATA, "")
        return context

    monkeypatch.setattr(os, "getxattr", getxattr)
    assert is_for_agents_domain(str(tmp_path), str(tmp_path))
    plant(tmp_path, {ENFORCE[1:]: "1"})
    assert is_for_agents_domain(str(tmp_path), str(tmp_path)) == may_write
