"""The agent's configuration file, as Zabbix itself reads it."""

import socket
from pathlib import Path

import pytest

from zabbix_sockets.errors import SocketsError
from zabbix_sockets.sending.agent_config import read_agent_config


def write(folder: Path, text: str, name: str = "agentd.conf") -> str:
    """Write a configuration file and return its path."""
    path = folder / name
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(text)
    return str(path)


def test_settings(tmp_path: Path) -> None:
    """Comments, blanks and other settings are left alone; a destination each comma."""
    path = write(
        tmp_path,
        "# Hostname=no\n  ServerActive = a.example.com:10051;b.example.com , 192.0.2.1,[::1]:99 \n"
        "Hostname=web 1, web 2\nTLSConnect=psk\nhostname=no\nnonsense\n",
    )
    config = read_agent_config(path)
    assert config.destinations == ("a.example.com:10051;b.example.com", "192.0.2.1", "[::1]:99")
    assert config.hostname == "web 1"


@pytest.mark.parametrize("pattern", ["conf.d", "conf.d/", "conf.d/*.conf", "conf.d/z.conf"])
def test_include(tmp_path: Path, pattern: str) -> None:
    """A folder, a pattern and a file are read where they stand; what comes last counts."""
    write(tmp_path, "ServerActive=inner\n", "conf.d/z.conf")
    path = write(tmp_path, f"ServerActive=outer\nInclude={tmp_path}/{pattern}\nHostname=h\n")
    assert read_agent_config(path).destinations == ("inner",)


def test_include_of_what_is_not_there(tmp_path: Path) -> None:
    """A pattern without files is none; a file that is missing is an error with its name."""
    path = write(tmp_path, f"Hostname=h\nInclude={tmp_path}/none/*.conf\n")
    assert read_agent_config(path).hostname == "h"
    path = write(tmp_path, f"Include={tmp_path}/missing.conf\n")
    with pytest.raises(SocketsError, match=r"missing\.conf: No such file"):
        read_agent_config(path)


def test_include_of_itself(tmp_path: Path) -> None:
    """It ends with an error, not with the stack."""
    path = write(tmp_path, f"Include={tmp_path}/agentd.conf\n")
    with pytest.raises(SocketsError, match="too deep"):
        read_agent_config(path)


def test_hostname(tmp_path: Path) -> None:
    """Without a name it is the system's, as the agent has it; another item can't be asked."""
    assert read_agent_config(write(tmp_path, "")).hostname == socket.gethostname()
    assert read_agent_config(write(tmp_path, "")).destinations == ()
    with pytest.raises(SocketsError, match=r"from the item system\.run"):
        read_agent_config(write(tmp_path, "HostnameItem=system.run[hostname -f]\n"))


def test_unreadable(tmp_path: Path) -> None:
    """The error has the path, and what to do."""
    with pytest.raises(SocketsError, match=r"agentd\.conf: No such file") as caught:
        read_agent_config(str(tmp_path / "agentd.conf"))
    assert "--agent-config" in caught.value.hint
