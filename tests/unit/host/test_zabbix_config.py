"""Configurations that an agent's user may have written, to keep root's setup busy."""

from pathlib import Path

import pytest

from zabbix_sockets.host import zabbix_config
from zabbix_sockets.host.zabbix_config import MAX_FILES, Setting, read_config, syntax_of


def test_many_includes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many lines of Include are looked at as files, and no more names than that."""
    listed: list[str] = []

    def listdir(path: str) -> list[str]:
        listed.append(path)
        return ["a", "b"]

    monkeypatch.setattr("os.listdir", listdir)
    config = tmp_path / "agent.conf"
    config.write_text(f"Include={tmp_path}/*.conf\n" * (MAX_FILES + 100) + "Timeout=3\n")
    found = read_config(str(config), syntax_of(str(config), is_agent2=False))
    assert len(listed) == MAX_FILES
    assert found.value("Timeout") == "3"
    assert [each.path for each in found.faults] == [str(config)]
    listed.clear()
    monkeypatch.setattr(zabbix_config, "MAX_NAMES", 10)
    read_config(str(config), syntax_of(str(config), is_agent2=False))
    assert len(listed) == 6  # the names of the sixth are too many


def test_nul(tmp_path: Path) -> None:
    """A value ends at a NUL, as it does for the program; no path has one."""
    config = tmp_path / "agent.conf"
    config.write_bytes(b"TLSPSKFile=/etc/psk \0/x\nHostname=\0\n")
    found = read_config(str(config), syntax_of(str(config), is_agent2=False))
    assert found.settings == (
        Setting("TLSPSKFile", "/etc/psk", str(config)),
        Setting("Hostname", "", str(config)),
    )
