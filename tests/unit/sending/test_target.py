"""Where to push and with what: an option, else the agent's file; never less encrypted than it."""

from pathlib import Path

import pytest

from zabbix_sockets.command.arguments import parse
from zabbix_sockets.model.errors import UsageError
from zabbix_sockets.sending import agent_config
from zabbix_sockets.sending.target import Target


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of an agent that encrypts, in its usual place."""
    path = tmp_path / "etc/agentd.conf"
    path.parent.mkdir()
    path.write_text("ServerActive=s\nHostname=agent\nTLSConnect=psk\n")
    monkeypatch.setattr(agent_config, "PLACES", {"zabbix_agentd": str(path)})
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    return path


def target(*arguments: str) -> Target:
    """Return that of `send` with these."""
    return Target(parse(["send", *arguments]).options.pushing.to)


def test_agents_file(agent: Path) -> None:
    """Without options all is as the agent has it."""
    found = target()
    assert (found.destinations, found.host) == (("s",), "agent")
    assert (found.sender.agent_config, found.sender.folder) == (str(agent), str(agent.parent))
    assert str(found) == f"to s as host 'agent', settings of {agent}"


def test_another_server_is_encrypted_too(agent: Path) -> None:
    """--server names another one, and no other way to connect to it."""
    found = target("--server", "x", "--server", "y;z")
    assert (found.destinations, found.host) == (("x", "y;z"), "agent")
    assert found.sender.agent_config == str(agent)


def test_another_server_by_other_means(agent: Path) -> None:
    """With --tls-connect nothing is the agent's, unless its file is named."""
    given = ("--server", "x", "--tls-connect", "unencrypted")
    assert target(*given, "--host", "h").sender.agent_config is None
    with pytest.raises(UsageError, match="as which host"):
        target(*given)
    named = target(*given, "--agent-config", str(agent))
    assert (named.sender.agent_config, named.host) == (str(agent), "agent")
    assert named.sender.options == ("--tls-connect", "unencrypted")


def test_agents_file_that_may_not_be_read(agent: Path) -> None:
    """Whether it encrypts is not known then: it is no plain text by accident."""
    agent.unlink()
    agent.mkdir()
    with pytest.raises(
        UsageError, match=r"agentd\.conf: (Is a directory|not a regular file)"
    ) as told:
        target("--server", "x", "--host", "h")
    assert "--tls-connect" in told.value.hint
    target("--server", "x", "--host", "h", "--tls-connect", "unencrypted")


def test_no_agent(agent: Path) -> None:
    """A host without one needs a server and a name, and sends in plain text."""
    agent.unlink()
    assert target("--server", "x", "--host", "h").sender.agent_config is None
    with pytest.raises(UsageError, match="where to"):
        target("--host", "h")
    with pytest.raises(UsageError, match="as which host"):
        target("--server", "x")


def test_name_of_the_host(agent: Path) -> None:
    """One that the agent takes from an item has to be given; and then it is enough."""
    agent.write_text("ServerActive=s\nHostnameItem=system.run[hostname -f]\n")
    with pytest.raises(UsageError, match="takes it from HostnameItem"):
        target()
    assert target("--host", "h").host == "h"
    for wrong in ("\ud800", "-", "x" * 3000):
        with pytest.raises(UsageError, match="no host is called"):
            target("--host", wrong)


def test_no_servers(agent: Path) -> None:
    """A file that names none is said by its name."""
    agent.write_text("Hostname=h\n")
    with pytest.raises(UsageError, match=r"agentd\.conf has no ServerActive"):
        target()


def test_files_have_whole_paths(agent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """zabbix_sender runs in another folder than the one they are relative to."""
    monkeypatch.chdir(agent.parent)
    found = target(
        "--tls-psk-file", "psk", "--tls-psk-identity", "psk", "--agent-config", agent.name
    )
    key = str(agent.parent / "psk")
    assert found.sender.options == ("--tls-psk-file", key, "--tls-psk-identity", "psk")
    assert found.sender.agent_config == str(agent)


def test_credentials(agent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What systemd hands to the service is used where no option says otherwise."""
    folder = agent.parent
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    for name in ("tls-psk-file", "tls-key-file", "something-else"):
        (folder / name).write_text("")
    assert target("--tls-key-file", "/k").sender.options == (
        *("--tls-key-file", "/k"),
        *("--tls-psk-file", str(folder / "tls-psk-file")),
    )
