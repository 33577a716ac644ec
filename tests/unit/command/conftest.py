"""The place of the configuration file for tests of whole verbs."""

from pathlib import Path

import pytest

from zabbix_sockets.command import call


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The path of a configuration file that is not there; and no call waits for others.

    Folders of a lock and of who was admitted are the test's own.
    """
    path = tmp_path / "zabbix-sockets.toml"
    monkeypatch.setattr("zabbix_sockets.command.lock._SHARED_FOLDERS", (str(tmp_path),))
    monkeypatch.setattr(call, "CONFIG", str(path))
    return path
