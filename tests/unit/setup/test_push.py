"""The service that pushes documents, set up for a host."""

from pathlib import Path

import pytest

from tests.unit.host.trees import ACCOUNTS, plant
from zabbix_sockets.model.errors import UsageError
from zabbix_sockets.sending.transport import PACKAGES
from zabbix_sockets.setup.command import setup
from zabbix_sockets.setup.options import SetupOptions

from .hosts import SYSTEMD, VENV, Host, to_do

SEND = "zabbix-sockets-send.service"
DROP_IN = f"/etc/systemd/system/{SEND}.d/zabbix-sockets-setup.conf"
CONFIG = "etc/zabbix/zabbix_agentd.conf"


@pytest.fixture
def sender(host: Host) -> Host:
    """Return a host with an agent, whose server is elsewhere, and zabbix_sender."""
    config = host.root / CONFIG
    settings = "ServerActive=192.0.2.9\nHostname=web 1,web 2"
    text = config.read_text().replace("ServerActive=127.0.0.1", settings)
    plant(host.root, {"usr/bin/zabbix_sender": "", CONFIG: text})
    return host


def test_besides(sender: Host) -> None:
    """The service is set up besides the keys, and taken back with them."""
    before = sender.files()
    sender.set_up(push=True)
    assert f"systemctl enable --now {SEND}" in sender.systemd.calls
    assert f"ExecStart={VENV} send" in sender.text(f"/etc/systemd/system/{SEND}")
    assert not (sender.root / DROP_IN[1:]).exists()
    assert "/etc/zabbix/zabbix_agentd.conf.d/zabbix_sockets.conf" in " ".join(
        each.what for each in sender.plan(push=True).actions
    )
    sender.take_back()
    assert sender.files() == before


def test_instead(sender: Host) -> None:
    """Without keys no agent is touched."""
    found = to_do(sender.plan(push=True, keys=False))
    assert not any("zabbix_sockets.conf" in each or "restart" in each for each in found)
    assert f"systemctl enable --now {SEND}" in found


@pytest.mark.parametrize(
    ("mode", "is_handed"), [(0o400, True), (0o440, True), (0o444, False), (0o040, True)]
)
def test_credentials(sender: Host, mode: int, is_handed: bool) -> None:
    """A key that the service may not read is handed to it by systemd.

    The files of the tree are not the group zabbix's, so what their group may read doesn't count.
    """
    config = sender.root / CONFIG
    config.write_text(f"{config.read_text()}TLSPSKFile=/etc/zabbix/psk\nTLSPSKIdentity=x\n")
    psk = sender.root / "etc/zabbix/psk"
    psk.write_text("0123")
    psk.chmod(mode)
    sender.set_up(push=True)
    there = (sender.root / DROP_IN[1:]).exists()
    assert there == is_handed
    if is_handed:
        text = "[Service]\nLoadCredential=tls-psk-file:/etc/zabbix/psk\n"
        assert sender.text(DROP_IN) == text


def test_closed_folder(sender: Host) -> None:
    """A key in a folder that the service may not enter is handed to it, too."""
    config = sender.root / CONFIG
    config.write_text(
        "ServerActive=192.0.2.9\nTLSKeyFile=/etc/zabbix/50%/key\nTLSCertFile=/etc/zabbix/cert\n"
    )
    plant(sender.root, {"etc/zabbix/50%/key": "", "etc/zabbix/cert": ""})
    (sender.root / "etc/zabbix/50%").chmod(0o700)
    sender.set_up(push=True)
    text = "[Service]\nLoadCredential=tls-key-file:/etc/zabbix/50%%/key\n"
    assert sender.text(DROP_IN) == text


@pytest.mark.parametrize("path", ["/etc/zabbix/psk\rExecStartPre=+/tmp/x", "/etc/\udcff", "psk"])
def test_hostile_key(sender: Host, path: str) -> None:
    """A file's name never becomes a setting of the unit: an agent's user may write a part of it."""
    config = sender.root / CONFIG
    config.write_bytes(
        f"ServerActive=192.0.2.9\nTLSPSKFile={path}\n".encode("utf-8", "surrogateescape")
    )
    if path.startswith("/etc/zabbix"):
        plant(sender.root, {path[1:]: "0123"})
        (sender.root / path[1:]).chmod(0o400)
    plan = sender.plan(push=True)
    assert [each for each in plan.faults if "TLSPSKFile" in each]
    assert not any(SEND in each for each in to_do(plan))


def test_says_where_to(sender: Host) -> None:
    """Whom documents go to, and as which host, is said, by the configuration and by options."""
    note = "documents are pushed to {}, as the host 'web 1'"
    assert note.format("192.0.2.9") in sender.plan(push=True).notes
    config = sender.root / CONFIG
    config.write_text(config.read_text().replace("192.0.2.9", "192.0.2.9;b:10052, 127.0.0.1"))
    assert note.format("192.0.2.9;b:10052 and 127.0.0.1") in sender.plan(push=True).notes
    assert note.format("a and b") in sender.plan(push=True, server="a,b").notes
    assert "as the host 'x'" in sender.plan(push=True, host="x").notes[-1]


@pytest.mark.parametrize(
    "servers", ["127.0.0.1", "", "localhost:10051", "::1", "[::1]:10051,127.0.1.1"]
)
def test_no_server(sender: Host, servers: str) -> None:
    """Packages' default has no server where none is here: nothing is enabled, and that is said."""
    config = sender.root / CONFIG
    config.write_text(config.read_text().replace("192.0.2.9", servers))
    plan = sender.plan(push=True)
    (fault,) = plan.faults
    assert fault == (
        f"no server to push to: set ServerActive in /{CONFIG},"
        " or setup --push --server ADDRESS --host NAME"
    )
    assert not any(SEND in each for each in to_do(plan))
    assert sender.plan(push=True, server=servers or "a").faults == []
    plant(sender.root, {"etc/zabbix/zabbix_server.conf": ""})
    assert sender.plan(push=True).faults  # a configuration that is left is no server
    plant(sender.root, {"usr/sbin/zabbix_proxy": "", "etc/zabbix/zabbix_proxy.conf": ""})
    assert bool(sender.plan(push=True).faults) == (not servers)


def test_no_host(sender: Host) -> None:
    """Where the agent takes its name from an item, the service needs one."""
    config = sender.root / CONFIG
    config.write_text("ServerActive=192.0.2.9\nHostnameItem=system.run[x]\n")
    fault = "no name to push as: setup --push --host NAME, as Zabbix has the host"
    assert sender.plan(push=True, keys=False).faults == [fault]
    assert sender.plan(push=True, keys=False, host="x").faults == []


def test_masked(sender: Host) -> None:
    """A masked service isn't touched; that it can't push is said."""
    (sender.root / f"etc/systemd/system/{SEND}").symlink_to("/dev/null")
    plan = sender.plan(push=True)
    assert plan.faults == [f"{SEND} is masked: systemctl unmask {SEND}"]
    assert not any(SEND in each for each in to_do(plan))


def test_changed_settings(sender: Host) -> None:
    """A running service gets new settings by a restart; without new ones it is left alone."""
    sender.set_up(push=True)
    calls = len(sender.systemd.calls)
    sender.set_up(push=True)
    assert sender.systemd.calls[calls:] == ["systemctl try-restart zabbix-agent.service"]
    sender.set_up(push=True, server="192.0.2.1", host="web 1")
    assert f"systemctl restart {SEND}" in sender.systemd.calls[calls:]


def test_without_an_agent(tmp_path: Path) -> None:
    """A host without an agent pushes to the server that is named, as the host that is named."""
    tree = {"usr/bin/zabbix_sender": "", "var/lib/.keep": ""}
    host = Host(Path(plant(tmp_path, ACCOUNTS, SYSTEMD, tree)))
    assert "there is no agent whose configuration" in host.plan(push=True).faults[0]
    assert host.set_up(push=True, server="192.0.2.1:10051,zabbix", host="web 1") == []
    assert host.text(DROP_IN) == (
        "[Service]\nExecStart=\n"
        f"ExecStart={VENV} send --interval 60 --server 192.0.2.1:10051 --server zabbix"
        ' --host "web 1"\n'
    )


def test_no_group(tmp_path: Path) -> None:
    """A host that never had a program of Zabbix gets the group, and loses it with the rest."""
    tree = {"usr/bin/zabbix_sender": "", "var/lib/.keep": "", "etc/passwd": "", "etc/group": ""}
    host = Host(Path(plant(tmp_path, SYSTEMD, tree)))
    host.set_up(push=True, server="s", host="h")
    assert "groupadd --system zabbix" in host.systemd.calls


def test_another_file(sender: Host) -> None:
    """A configuration in a place of its own is named to the service."""
    (sender.root / CONFIG).rename(sender.root / "srv.conf")
    plant(
        sender.root,
        {
            "lib/systemd/system/zabbix-agent.service": "[Service]\nUser=zabbix\n"
            "ExecStart=/usr/sbin/zabbix_agentd -f -c /srv.conf\n"
        },
    )
    sender.set_up(push=True)
    assert ' send --interval 60 --agent-config "/srv.conf"\n' in sender.text(DROP_IN)


def test_no_sender(host: Host) -> None:
    """Without zabbix_sender the service isn't enabled, as it would fail; what lacks is said."""
    plan = host.plan(push=True, server="a", host="b")
    assert plan.faults == [f"there is no zabbix_sender: {PACKAGES}"]
    assert not any(SEND in each for each in to_do(plan))


@pytest.mark.parametrize(
    "options",
    [SetupOptions(server="s"), SetupOptions(host="h"), SetupOptions(remove=True, push=True)],
)
def test_options_that_need_another(options: SetupOptions) -> None:
    """They are refused before anything is done."""
    with pytest.raises(UsageError):
        setup(options, lambda: None)
