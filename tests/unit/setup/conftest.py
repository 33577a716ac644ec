"""A host with Debian's agentd, systemd, and nothing of this package."""

import os
from pathlib import Path

import pytest

from tests.unit.host.trees import DEBIAN_AGENTD, plant
from zabbix_sockets.setup import memory, units

from .hosts import SYSTEMD, Host


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """Return the host; its iterators count as loaded once its unit was enabled or reloaded.

    Pins are the kernel's, and belong to a group that only root can give them to; so does the folder
    of an agent's user.
    """
    plant(tmp_path, DEBIAN_AGENTD, SYSTEMD, {"var/lib/.keep": ""})
    host = Host(tmp_path)
    monkeypatch.setattr(units, "_is_loaded", lambda _: host.systemd.has_loaded)
    monkeypatch.setattr(memory, "is_private_folder", lambda path, _: os.path.isdir(path))
    return host
