"""Upgrades on a host whose agent is asked meanwhile: no question fails."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .asking import asking, wait_for_agent
from .booted import booted, prepared
from .conftest import on, or_skipped, with_agent
from .installing import LOAD, Host, blocks
from .packages import FORMER_VERSION, SOURCE
from .trees import WHEELS

pytestmark = pytest.mark.kernel

FIRST = "b72f3ffa393c855349a70f0e291341af3512584c"
"""The commit of 0.1.0 whose README had people copy files by hand."""


@pytest.fixture
def first(where: tuple[str, str], package: Path) -> Iterator[Host]:
    """A host where 0.1.0 was installed: a venv in /opt, units and the agent's file copied."""
    release, agent = where
    archive = ["git", "-C", str(SOURCE), "archive", "--format=tar", FIRST]
    archived = subprocess.run(archive, capture_output=True, check=False)
    if archived.returncode != 0:
        pytest.skip(f"0.1.0 is not in this checkout: {archived.stderr.decode().strip()}")
    with or_skipped(), prepared(release, agent, WHEELS) as tree:
        folder = tree.upper / "root/first"
        folder.mkdir(parents=True)
        subprocess.run(["tar", "-x", "-C", str(folder)], input=archived.stdout, check=True)
        tree.put(package, f"/root/{package.name}")
        with booted(tree) as system:
            host = Host(system, agent)
            _install_first(host, (folder / "README.md").read_text("utf-8"))
            yield host


def _install_first(host: Host, readme: str) -> None:
    """Type what its README said, with what its text below the block said besides."""
    (block, *_) = blocks(readme, "## Install on a monitored host")
    typed = block.replace("/etc/zabbix/zabbix_agentd.d/", f"{host.include_folder}/")
    typed = typed.replace("restart zabbix-agent\n", f"restart {host.agent_unit}\n")
    typed = typed.replace("zabbix_get -s 127.0.0.1 -k sockets.get\n", "")
    host.system.do("apt install python3-venv libbpf1")
    offline = "export PIP_NO_INDEX=1 PIP_FIND_LINKS=/root/wheels"
    host.system.do(f"{offline}\ncd /root/first\n{typed}")
    wait_for_agent(host.system)
    assert host.collector()["source"] == "bpf"


@pytest.mark.short_form
@on(with_agent("agentd"))
def test_from_0_1_0(first: Host) -> None:
    """The two commands take the place of 0.1.0, its venv and its copied files."""
    with asking(first.system) as asked:
        first.system.do("cd /root && apt install ./zabbix-sockets_*.deb")
    assert not asked.failures()
    first.install()
    assert first.collector()["source"] == "bpf"
    assert "/lib/systemd/" in first.system.show(LOAD, "FragmentPath")["FragmentPath"]
    assert "/opt/" not in first.system.do(f"cat {first.include_folder}/*.conf")
    first.system.do("rm -r /opt/zabbix-sockets")
    assert first.collector()["source"] == "bpf"
    first.system.reboot()
    wait_for_agent(first.system)
    assert first.collector()["source"] == "bpf"
    assert first.system.state() == "running"


@on(with_agent("agent2"))
def test_from_the_former_package(host: Host, former: Path, package: Path) -> None:
    """Questions go on while another version takes over, with its iterators in the end."""
    system = host.system
    aside = f"/var/tmp/{package.name}"
    system.do(f"mv /root/{package.name} {aside}")
    system.path(f"/root/{former.name}").write_bytes(former.read_bytes())
    host.install()
    assert system.do("zabbix-sockets --version").split()[-1] == FORMER_VERSION
    with asking(system) as asked:
        system.do(f"apt install {aside}")
    assert not asked.failures()
    assert FORMER_VERSION not in system.do("zabbix-sockets --version")
    collector = host.collector()
    assert (collector["source"], collector["degraded"]) == ("bpf", 0)
    pins = system.do("ls /run/zabbix-sockets").split()
    assert not [name for name in pins if name.endswith("-v1")]
    assert system.state() == "running"
