"""An agent's configuration that its user may not read, where that is no fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from zabbix_sockets.check.line import OK
from zabbix_sockets.check.settings import check_settings

from .trees import KEYS, STRANGER, Tree


@pytest.mark.parametrize("user", ["", "root"])
def test_root_reads_the_files(user: str, tmp_path: Path) -> None:
    """An agent that its unit starts as root reads them before it becomes another user."""
    tree = Tree(tmp_path)
    tree.boot_systemd("zabbix-agent.service", User=user)
    agent = tree.agent(user=STRANGER)
    (tmp_path / KEYS.lstrip("/")).chmod(0o600)
    states = {line.name: line.state for line in check_settings(tree(), agent)}
    assert states["agentd config"] == states["agentd keys"] == OK


def test_a_single_file(tmp_path: Path) -> None:
    """One file is not "1 files"."""
    tree = Tree(tmp_path)
    line = next(iter(check_settings(tree(), tree.agent(keys=[]))))
    assert ", 1 file; runs as zabbix" in line.message
