"""Names of containers for the agent, under a real systemd: bursts, what goes, and who may read.

Docker itself doesn't run in these systems: its files are written as it writes them, and its
containers are scopes with docker's names.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.zabbix.programs import wait_for
from zabbix_sockets.model.container_names import (
    NAMES_FILE,
    NAMES_FOLDER,
    NAMES_PATH_UNIT,
    NAMES_SERVICE,
    NAMES_TIMER,
    ContainerEntry,
    parse_lines,
)

from .asking import ask_document
from .conftest import HOSTS
from .installing import Host, booted_host
from .trees import UnavailableError

pytestmark = pytest.mark.kernel

STORE = "/var/lib/docker/containers"
WEB = "3f4e1c0b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f00f"

WEB_LISTENER = "tcp/0.0.0.0:80@web"
"""The id of what a process of that container listens on."""

# $1 how many containers, $2 seconds between two of them, $3 seconds until each has its file. Docker
# makes the folder first, then the file under another name.
_BURST = """
import os, sys, threading, time
number, pause, lag = int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
def make(at):
    folder = f"/var/lib/docker/containers/{at:064x}"
    os.makedirs(folder, 0o710)
    time.sleep(lag)
    with open(f"{folder}/.tmp", "w") as file:
        file.write('{"Name": "/web%d", "State": {"Running": false}}' % at)
    os.rename(f"{folder}/.tmp", f"{folder}/config.v2.json")
threads = []
for at in range(number):
    threads.append(threading.Thread(target=make, args=(at,)))
    threads[-1].start()
    time.sleep(pause)
for thread in threads:
    thread.join()
"""

# A container comes and goes.
_CHANGE = f"mkdir -p {STORE}/{'0' * 64}; rmdir {STORE}/{'0' * 64}"

# To be asked before a change, not after it: a change starts the service, which has not failed then.
_HAS_FAILED = f"systemctl --quiet is-failed {NAMES_SERVICE}"

# The timer's five minutes, for what the path unit misses in the moment after each run, are too long
# to wait for.
_SOON = """[Timer]
OnUnitInactiveSec=
OnActiveSec=0
OnUnitInactiveSec=10s
AccuracySec=1s
"""

_LISTEN = """
import socket, sys, time
listener = socket.create_server(("0.0.0.0", int(sys.argv[1])))
time.sleep(10000)
"""


@pytest.fixture(
    scope="module", params=[host for host in HOSTS if host[1] == "agentd"], ids="-".join
)
def named(request: pytest.FixtureRequest, package: Path) -> Iterator[Host]:
    """A host whose units for names are enabled before there is any docker."""
    release, agent = request.param
    try:
        with booted_host(release, agent, package) as host:
            host.install()
            host.drop_in(NAMES_TIMER, _SOON)
            host.system.do(f"systemctl enable --now {NAMES_PATH_UNIT} {NAMES_TIMER}")
            yield host
    except UnavailableError as exc:
        pytest.skip(str(exc))


@pytest.fixture
def host(named: Host) -> Iterator[Host]:
    """The host, without containers afterwards."""
    yield named
    named.system.do(f"rm -rf {STORE}/*")
    wait_for_names(named, set())


def entries(host: Host) -> dict[str, ContainerEntry]:
    """Return what the agent's user reads."""
    text = host.system.do(f"runuser -u zabbix -- cat {NAMES_FILE}")
    return parse_lines(text.encode())


def wait_for_names(host: Host, names: set[str]) -> None:
    """Return when these names are the ones that the agent's user reads."""
    wanted = "".join(f"{name}\n" for name in sorted(names))
    read = f"[ ! -e {NAMES_FILE} ] || tail -n +2 {NAMES_FILE} | cut -f 2 | LC_ALL=C sort"
    host.system.wait(f'[ "$({read})" = "$(printf %s "{wanted}")" ]')


def burst(host: Host, number: int, pause: float, lag: float) -> None:
    """Make so many containers, as _BURST does."""
    host.system.path("/root/burst.py").write_text(_BURST)
    host.system.do(f"python3 /root/burst.py {number} {pause} {lag}")


def is_well(host: Host) -> bool:
    """Whether the path unit and the timer wait, and the service has not failed."""
    states = [
        host.system.show(unit, "ActiveState")["ActiveState"]
        for unit in (NAMES_PATH_UNIT, NAMES_TIMER, NAMES_SERVICE)
    ]
    return states[:2] == ["active"] * 2 and states[2] in ("inactive", "activating")


def write_docker(host: Host, name: str, port: int = 0) -> None:
    """Write docker's file of the container WEB, which runs if it has a published port."""
    ports = {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": str(port)}]}
    state = {
        "Name": f"/{name}",
        "State": {"Running": bool(port)},
        "NetworkSettings": {"Ports": ports if port else None},
    }
    folder = host.system.path(f"{STORE}/{WEB}")
    folder.mkdir(mode=0o710, parents=True, exist_ok=True)
    (folder / "config.v2.json").write_text(json.dumps(state))
    (folder / "config.v2.json").chmod(0o600)


@pytest.mark.parametrize(("pause", "lag"), [(0, 0), (0.02, 0.3), (0.4, 2)])
def test_burst(host: Host, pause: float, lag: float) -> None:
    """All of 30 containers are there in the end, however they come, and the units go on."""
    burst(host, 30, pause, lag)
    wait_for_names(host, {f"web{at}" for at in range(30)})
    assert is_well(host)


@pytest.mark.short_form
def test_more_starts_than_systemd_allows_by_itself(host: Host) -> None:
    """More than five starts in ten seconds are none too many."""
    begun = host.system.journal(NAMES_SERVICE).count("Starting ")
    burst(host, 30, 1.3, 0)
    wait_for_names(host, {f"web{at}" for at in range(30)})
    assert host.system.journal(NAMES_SERVICE).count("Starting ") - begun > 8  # in 39 seconds
    assert is_well(host)


def test_who_may_read(host: Host) -> None:
    """The agent's group may, and nobody else; docker's own file stays closed to it."""
    write_docker(host, "web")
    wait_for_names(host, {"web"})
    assert entries(host) == {WEB: ContainerEntry("web")}
    assert host.system.run(f"runuser -u nobody -- cat {NAMES_FILE}").returncode
    assert host.system.run(f"runuser -u zabbix -- cat {STORE}/{WEB}/config.v2.json").returncode
    assert host.system.run(f"runuser -u zabbix -- touch {NAMES_FOLDER}/x").returncode
    shown = host.system.do(f"stat -c '%U %G %a' {NAMES_FOLDER} {NAMES_FILE}").splitlines()
    assert shown == ["root zabbix 2750", "root zabbix 640"]
    unit = host.system.show(NAMES_SERVICE, "CapabilityBoundingSet", "AmbientCapabilities")
    assert unit == {
        "CapabilityBoundingSet": "cap_dac_read_search",
        "AmbientCapabilities": "",
    }


def test_what_the_agent_answers(host: Host) -> None:
    """Its namespace, its group and the host's port have the container's name, without privilege."""
    system = host.system
    system.path("/root/listen.py").write_text(_LISTEN)
    ask_scope = f"systemd-run --quiet --unit=docker-{WEB}.scope --scope"
    system.do(
        f"nohup {ask_scope} unshare --net python3 /root/listen.py 80 >/dev/null 2>&1 &\n"
        "systemd-run --quiet --unit=proxy python3 /root/listen.py 8080"
    )
    try:
        system.wait(f"systemctl --quiet is-active docker-{WEB}.scope")
        write_docker(host, "web", 8080)
        system.wait(f"grep -q '0.0.0.0:8080/tcp' {NAMES_FILE}")
        wait_for(lambda: WEB_LISTENER in listeners(ask_document(system)))  # python3 has begun
        document = ask_document(system)
        rows = listeners(document)
        assert rows[WEB_LISTENER]["container"] == "web"
        assert rows["tcp/0.0.0.0:8080"]["container"] == "web"
        assert document["collector"]["source"] == "bpf"
        assert document["complete"], (document["lists"], document["collector"])
    finally:
        system.run(f"systemctl stop docker-{WEB}.scope proxy")


def listeners(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the rows of listeners by their ids."""
    return {row["id"]: row for row in document["listeners"]}


def test_a_name_that_no_folder_tells(host: Host) -> None:
    """`docker rename` is seen with the timer's next look."""
    write_docker(host, "web")
    wait_for_names(host, {"web"})
    host.system.wait(f"[ $(systemctl is-active {NAMES_SERVICE}) = inactive ]")
    write_docker(host, "shop")
    wait_for_names(host, {"shop"})
    assert entries(host) == {WEB: ContainerEntry("shop")}


@pytest.mark.short_form
def test_no_such_group(host: Host) -> None:
    """The service says so, and the path unit starts it again at the next change."""
    host.system.do(f"systemctl stop {NAMES_TIMER}")  # which would start it, too
    host.drop_in(NAMES_SERVICE, "[Service]\nEnvironment=PINS_GROUP=bogus\n")
    try:
        write_docker(host, "web")
        host.system.wait(f"{_HAS_FAILED} || {{ {_CHANGE}; false; }}")
        assert "bogus" in host.system.journal(NAMES_SERVICE)
        assert host.system.show(NAMES_PATH_UNIT, "ActiveState")["ActiveState"] == "active"
    finally:
        host.system.do(f"rm -r /run/systemd/system/{NAMES_SERVICE}.d; systemctl daemon-reload")
    host.system.wait(f"! {_HAS_FAILED} || {{ {_CHANGE}; false; }}")
    wait_for_names(host, {"web"})
    host.system.do(f"systemctl start {NAMES_TIMER}")


def test_reboot(host: Host) -> None:
    """The names are there after a boot, without any change."""
    write_docker(host, "web")
    wait_for_names(host, {"web"})
    host.system.reboot()
    wait_for_names(host, {"web"})
    assert is_well(host)
    checked = [line for line in host.checks() if line["name"] == "containers"]
    assert [line["state"] for line in checked] == ["ok"]
