"""The keys of an agent and their commands, where something is no fault."""

from __future__ import annotations

from pathlib import Path

from zabbix_sockets.check.keys import check_command, parameters_of
from zabbix_sockets.check.line import OK

from .trees import STRANGER, Tree


def test_another_installation_is_closed(tmp_path: Path) -> None:
    """What the agent's command doesn't need may be closed to the agent's user."""
    tree = Tree(tmp_path)
    code = tree.write("/root/venv/zabbix_sockets/version.py", "").parent
    (tmp_path / "root").chmod(0o700)
    agent = tree.agent(user=STRANGER)
    system = tree()._replace(package=str(code))
    assert check_command(system, agent, parameters_of(agent)).state == OK
