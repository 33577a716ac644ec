"""Each documented way to install, typed on a bare host, and that removing takes all of it away."""

import hashlib
import os
import stat
import time
from pathlib import Path

import pytest

from . import packages
from .asking import ask, wait_for_agent
from .booted import booted, prepared
from .conftest import OLD_HOSTS, on, or_skipped, with_agent
from .installing import LOAD, UNITS, Host, administrators_lines, booted_host, documented
from .packages import SOURCE
from .trees import WHEELS

pytestmark = pytest.mark.kernel

_PASSED = (
    *("dev", "proc", "run", "sys", "tmp"),
    *("var/backups", "var/cache", "var/lib/apt", "var/log", "var/tmp"),
)
"""What changes by itself, as at midnight, or by apt, whatever is installed."""

_OF_DPKG = ("var/lib/dpkg/status", "var/lib/dpkg/triggers/Lock", "var/lib/dpkg/available")
_OF_SYSTEMD = "var/lib/systemd"


def files(host: Host) -> dict[str, tuple[str, int, int, str]]:
    """Return what each path of the host is: mode, owner, group, and a digest of its content."""
    root = host.system.path("/")
    found = {}
    for folder, names, others in os.walk(root):
        below = Path(folder).relative_to(root)
        names[:] = [name for name in names if str(below / name) not in (*_PASSED, _OF_SYSTEMD)]
        for name in (*names, *others):
            path = Path(folder) / name
            of = path.lstat()
            content = b""
            if stat.S_ISLNK(of.st_mode):
                content = os.readlink(path).encode()
            elif stat.S_ISREG(of.st_mode):
                content = path.read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            found[str(below / name)] = (oct(of.st_mode), of.st_uid, of.st_gid, digest)
    return found


def differences(host: Host, before: dict[str, tuple[str, int, int, str]]) -> list[str]:
    """Return the paths that came, went or changed since; dpkg's own notes on all packages aside."""
    after = files(host)
    return sorted(
        path
        for path in before.keys() | after.keys()
        if before.get(path) != after.get(path) and not path.startswith(_OF_DPKG)
    )


@pytest.mark.short_form
@on(with_agent("agent2"))
def test_purge_leaves_nothing(host: Host) -> None:
    """Installed, set up, removed, installed again and purged, the host is as it was."""
    system = host.system
    system.do("apt install libbpf1")  # which stays, as others may want it
    wait_for_agent(system)
    before = files(host)
    host.install()
    assert host.collector()["source"] == "bpf"
    assert host.agent_remembers
    assert differences(host, before)
    system.do("apt remove zabbix-sockets")
    of_dpkg = "var/lib/dpkg/info/zabbix-sockets"
    assert differences(host, before) == [f"{of_dpkg}.list", f"{of_dpkg}.postrm"]
    host.install()
    assert host.collector()["source"] == "bpf"
    assert host.agent_remembers
    system.do(documented("docs/install.md", "## Removal")[0])
    assert differences(host, before) == []
    assert nothing_is_left(host)


def nothing_is_left(host: Host) -> bool:
    """Tell whether no unit, no mount and no key of ours is there, and the agent goes on."""
    system = host.system
    assert "/run/zabbix-sockets" not in system.do("cat /proc/mounts")
    for unit in UNITS:
        shown = system.show(unit, "LoadState", "ActiveState")
        assert shown == {"LoadState": "not-found", "ActiveState": "inactive"}
    assert system.state() == "running"
    system.do(f"systemctl restart {host.agent_unit}")
    wait_for_agent(system)
    return ask(system).startswith("ZBX_NOTSUPPORTED")


@pytest.mark.short_form
@on(with_agent("agent2"))
def test_dry_run_can_be_typed(host: Host) -> None:
    """What `setup --dry-run` prints changes nothing, and typed it does what `setup` does."""
    system = host.system
    system.do("cd /root && apt install ./zabbix-sockets_*.deb")
    before = files(host)
    typed = system.do("zabbix-sockets setup --restart --dry-run")
    assert differences(host, before) == []
    system.do(typed)
    wait_for_agent(system)
    assert host.collector()["source"] == "bpf"
    assert "nothing was changed" in system.do("zabbix-sockets setup --restart")


@pytest.mark.short_form
@on(with_agent("agent2"))
def test_archive(where: tuple[str, str], archive: Path) -> None:
    """The .tar.gz, typed as documented, works as the package does and goes without a trace."""
    with or_skipped(), booted_host(*where, archive) as host:
        host.system.do("apt install libbpf1")
        wait_for_agent(host.system)
        before = files(host)
        (block,) = documented("docs/install.md", "## Other distributions")
        host.type(block)
        assert host.collector()["source"] == "bpf"
        host.system.do(f"cd /root\n{documented('docs/install.md', '## Removal')[1]}")
        assert differences(host, before) == []
        assert nothing_is_left(host)


@pytest.mark.short_form
@on(with_agent("agentd"))
def test_pip(where: tuple[str, str]) -> None:
    """An environment of its own, made by pip from the source, works and goes again."""
    release, agent = where
    with or_skipped(), prepared(release, agent, WHEELS) as tree:
        for name in packages.PIP_NEEDS:
            tree.put(SOURCE / name, f"/root/source/{name}")
        with booted(tree) as system:
            host = Host(system, agent)
            (block,) = documented("docs/install.md", "## By pip")
            offline = "export PIP_NO_INDEX=1 PIP_FIND_LINKS=/root/wheels"
            host.type(f"{offline}\n{block}", "/root/source")
            assert host.collector()["source"] == "bpf"
            assert host.agent_remembers
            system.do("zabbix-sockets setup --remove")
            assert nothing_is_left(host)
            system.do(f"test ! -e {host.memory}")


@on(OLD_HOSTS)
def test_an_old_libbpf(host: Host) -> None:
    """Where libbpf is too old for the kernel `setup` says so; the agent answers all the same."""
    system = host.system
    system.do("apt install libbpf0")
    wait_for_agent(system)
    before = files(host)
    system.do("cd /root && apt install ./zabbix-sockets_*.deb")
    for option in ("--dry-run", "--restart"):
        assert "this libbpf is too old" in system.run(f"zabbix-sockets setup {option}").stdout
    assert system.show(LOAD, "ActiveState") == {"ActiveState": "inactive"}
    wait_for_agent(system)
    collector = host.collector()
    assert (collector["source"], collector["degraded"]) == ("sock_diag", 1)
    said = {line["name"]: line for line in host.checks()}
    assert "libbpf 1" in said["libbpf"]["message"]
    assert system.state() == "running"
    system.do("apt purge zabbix-sockets")
    assert differences(host, before) == []


@pytest.mark.short_form
@on(with_agent("agentd"))
def test_a_system_without_bpf(where: tuple[str, str], package: Path) -> None:
    """Where the capabilities for BPF lack, its units are skipped, and the agent says so."""
    release, agent = where
    with or_skipped(), prepared(release, agent) as tree:
        tree.put(package, f"/root/{package.name}")
        with booted(tree, capabilities=()) as system:
            host = Host(system, agent)
            system.do("cd /root && apt install ./zabbix-sockets_*.deb")
            assert "CAP_BPF" in system.run("zabbix-sockets setup --restart").stdout
            system.reboot()
            wait_for_agent(system)
            assert system.state() == "running"
            assert system.show(LOAD, "ActiveState") == {"ActiveState": "inactive"}
            collector = host.collector()
            assert (collector["source"], collector["degraded"]) == ("sock_diag", 1)


@on(with_agent("agent2"))
def test_first_value(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    """How long it takes from a booted bare system to the first value, printed."""
    wait_for_agent(host.system)
    begun = time.monotonic()
    host.type(administrators_lines())
    source = host.collector()["source"]
    seconds = time.monotonic() - begun
    begun = time.monotonic()
    host.system.do("zabbix-sockets check")
    checked = time.monotonic() - begun
    with capsys.disabled():
        print(f"\nfirst value (source {source}) after {seconds:.1f} s; check: {checked:.1f} s")  # noqa: T201
    assert source == "bpf"
