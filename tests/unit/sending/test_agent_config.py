"""The agent's configuration file, as Zabbix itself reads it."""

import os
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest

from zabbix_sockets.host.processes import Running
from zabbix_sockets.model.errors import SocketsError, UsageError
from zabbix_sockets.sending import agent_config
from zabbix_sockets.sending.agent_config import find_agent_config, has_several, read_agent_config


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
    other = write(tmp_path, "HostnameItem=system.run[hostname -f]\n")
    assert read_agent_config(other).hostname == ""


def test_unreadable(tmp_path: Path) -> None:
    """The error has the path, and what to do."""
    with pytest.raises(SocketsError, match=r"agentd\.conf: No such file") as caught:
        read_agent_config(str(tmp_path / "agentd.conf"))
    assert "--agent-config" in caught.value.hint


def test_relative_include(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is relative to the folder of the agent's file, wherever that is read from."""
    monkeypatch.chdir("/")
    write(tmp_path, "ServerActive=inner\nInclude=./deeper/*.conf\n", "conf.d/z.conf")
    write(tmp_path, "Hostname=deep\n", "deeper/y.conf")
    path = write(tmp_path, "Include=./conf.d/*.conf\n")
    config = read_agent_config(path)
    assert (config.destinations, config.hostname) == (("inner",), "deep")


def test_include_with_a_nul(tmp_path: Path) -> None:
    """No file has such a name: an error that says so."""
    with pytest.raises(UsageError, match="NUL"):
        read_agent_config(write(tmp_path, "Include=/etc/\0.conf\n"))


def test_what_is_no_file(tmp_path: Path) -> None:
    """A FIFO or a device is not waited for, and a file without end not read."""
    os.mkfifo(tmp_path / "fifo")
    for name in (str(tmp_path / "fifo"), "/dev/zero"):
        with pytest.raises(UsageError, match="not a regular file"):
            read_agent_config(write(tmp_path, f"Include={name}\n"))
    (tmp_path / "long").write_text("x" * 1_000_001)
    with pytest.raises(UsageError, match="longer than 1000000 bytes"):
        read_agent_config(write(tmp_path, f"Include={tmp_path}/long\n"))


def test_too_many_files(tmp_path: Path) -> None:
    """Files that include each other many times over end with an error, not with the host."""
    for number in range(20):
        write(tmp_path, f"Include={tmp_path}/conf.d\n", f"conf.d/{number}")
    with pytest.raises(UsageError, match="too many files"):
        read_agent_config(write(tmp_path, f"Include={tmp_path}/conf.d\n"))


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The usual places of both agents' files, and no agent that runs or is installed."""
    places = {name: write(tmp_path, "", f"{name}.conf") for name in agent_config.PLACES}
    monkeypatch.setattr(agent_config, "PLACES", places)
    monkeypatch.setattr(agent_config, "SYSTEM_PATH", [str(tmp_path)])
    monkeypatch.setattr(agent_config, "running_programs", lambda _: [])
    return places


def test_which_file(
    places: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of the agent which is installed; of the one which runs, if both are."""
    first, second = places.values()
    assert find_agent_config() == first
    assert has_several()
    (tmp_path / "zabbix_agent2").write_text("#!/bin/sh\n")
    (tmp_path / "zabbix_agent2").chmod(0o755)
    assert find_agent_config() == second
    let_run(monkeypatch, "zabbix_agentd", ["/usr/sbin/zabbix_agentd", "--foreground"])
    assert find_agent_config() == first
    Path(first).unlink()
    assert find_agent_config() == second
    assert not has_several()
    Path(second).unlink()
    assert find_agent_config() is None


def let_run(monkeypatch: pytest.MonkeyPatch, agent: str, arguments: Sequence[str]) -> None:
    """Let a process be that agent, with these arguments."""
    process = Running(1, f"/usr/sbin/{agent}", tuple(arguments), 0, 0, (), "")

    def find(kind: str) -> list[Running]:
        return [process] if agent == f"zabbix_{kind}" else []

    monkeypatch.setattr(agent_config, "running_programs", find)


@pytest.mark.parametrize(
    ("runs", "is_taken"),
    [
        (["zabbix_agent2", "-c", "{}"], True),
        (["zabbix_agent2", "--config", "{}"], True),
        (["zabbix_agent2", "--config={}"], True),
        (["zabbix_agent2", "-config={}"], True),
        (["zabbix_agent2", "-c{}"], True),
        (["zabbix_agent2"], True),
        (["zabbix_agent2", "-c", "/else"], False),
        (["zabbix_agent2", "--config=/else"], False),
        (["zabbix_agent2", "-c/else"], False),
    ],
)
def test_agent_that_runs(
    places: dict[str, str], monkeypatch: pytest.MonkeyPatch, runs: list[str], is_taken: bool
) -> None:
    """It is one with its usual file, named or not."""
    let_run(monkeypatch, "zabbix_agent2", [each.format(places["zabbix_agent2"]) for each in runs])
    assert find_agent_config() == places["zabbix_agent2" if is_taken else "zabbix_agentd"]
