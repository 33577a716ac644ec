"""The unit of send: it works within all of its own restrictions, with the real zabbix_sender."""

import itertools
import json
import shutil
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from zabbix_sockets.command.cli import USAGE
from zabbix_sockets.sending import schedule
from zabbix_sockets.sending.spool import FILE, Spool

from .processes import TCP, UDP, Holder, denied_to_root
from .programs import wait_for
from .recorder import Mood, Recorder, recording
from .sandbox import APPLIED, NOT_HERE, parse
from .send_unit import APART, CREDENTIALS, DROP_IN, INTERVAL, NAMES, UNIT, Unit, installed
from .servers import SERVER_VERSIONS, Server
from .stage import Stage

pytestmark = [pytest.mark.zabbix, pytest.mark.short_form("7.0*", "drop_ins*")]

LOAD_UNIT = "systemd/zabbix-sockets-load.service"
_WATCHDOG = 6
"""Seconds: fewer than a push may take, and two of it than one takes to a silent server."""

# What none of the restrictions lets through; each prints what it met.
PROBE = r"""
import mmap, os, socket
attempt("write /usr", open, "/usr/probe", "w")
attempt("write /etc", open, "/etc/probe", "w")
attempt("write /var/lib", open, "/var/lib/probe", "w")
attempt("write /proc/sys", open, "/proc/sys/kernel/hostname", "w")
attempt("write /tmp", open, "/tmp/probe", "w")
attempt("write state", open, os.environ["STATE_DIRECTORY"] + "/probe", "w")
attempt("list /root", os.listdir, "/root")
attempt("list /home", os.listdir, "/home")
attempt("packet socket", socket.socket, socket.AF_PACKET, socket.SOCK_RAW)
attempt("inet socket", socket.socket, socket.AF_INET, socket.SOCK_DGRAM)
attempt("written and executed", mmap.mmap, -1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, 7)
attempt("unshare", libc.unshare, 0x10000000)
attempt("bpf", libc.syscall, 321, 0, 0, 0)
attempt("chown", os.chown, os.environ["STATE_DIRECTORY"] + "/probe", -1, -1)
attempt("suid", os.chmod, os.environ["STATE_DIRECTORY"] + "/probe", 0o4700)
attempt("nice", os.nice, 1)
attempt("realtime", os.sched_setscheduler, 0, os.SCHED_FIFO, os.sched_param(1))
print("files in /tmp", *os.listdir("/tmp"))
print("mode", oct(os.stat(os.environ["STATE_DIRECTORY"] + "/probe").st_mode & 0o777))
print("devices", *sorted(os.listdir("/dev")))
for line in open("/proc/self/status"):
    if line.startswith(("Uid", "Groups", "Cap", "NoNewPrivs", "Seccomp:")):
        print(*line.split())
"""


@pytest.fixture(params=SERVER_VERSIONS)
def unit(stage: Stage, request: pytest.FixtureRequest) -> Iterator[Unit]:
    """The unit as it is packaged."""
    with installed(stage, request.param) as unit:
        yield unit


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    """A server that remembers what it took."""
    with recording() as recorder:
        yield recorder


@pytest.mark.parametrize("drop_ins", [(), (DROP_IN,), (CREDENTIALS,)])
def test_every_setting_is_known(stage: Stage, drop_ins: tuple[str, ...]) -> None:
    """The sandbox leaves no setting of the unit out, but for those that have their reason.

    What it knows besides is of the other unit.
    """
    settings = parse(*(stage.conf / each for each in (UNIT, *drop_ins)))
    other = parse(stage.conf / LOAD_UNIT)
    credentials = {"LoadCredential"} if CREDENTIALS not in drop_ins else set()
    assert settings.keys() | other.keys() == (APPLIED.keys() | NOT_HERE.keys()) - credentials
    assert not APPLIED.keys() & NOT_HERE.keys()
    on = ("Private", "ProtectK", "ProtectC", "ProtectH", "Lock", "Memory", "NoNew", "Dynamic")
    assert {values[-1] for name, values in settings.items() if name.startswith(on)} == {"yes"}


def test_restrictions(unit: Unit) -> None:
    """What the unit forbids fails in the sandbox: the other tests say what they seem to say."""
    lines = unit.box.probe(PROBE)
    uid, nothing = unit.box.uid, "0000000000000000"
    assert lines == [
        "write /usr EROFS",
        "write /etc EROFS",
        "write /var/lib EROFS",
        "write /proc/sys EROFS",
        "write /tmp done",
        "write state done",
        "list /root EACCES",
        "list /home EACCES",
        "packet socket EAFNOSUPPORT",
        "inet socket done",
        "written and executed EPERM",
        "unshare EPERM",
        "bpf EPERM",
        "chown EPERM",
        "suid EPERM",
        "nice EPERM",
        "realtime EPERM",
        "files in /tmp probe",
        "mode 0o600",
        "devices fd full null random shm urandom zero",
        f"Uid: {uid} {uid} {uid} {uid}",
        "Groups:",
        *(f"Cap{kind}: {nothing}" for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")),
        "NoNewPrivs: 1",
        "Seccomp: 2",
    ]


def first_document(unit: Unit, recorder: Recorder, *, pins: bool) -> dict[str, Any]:
    """Run the unit until it has pushed a document, and return that."""
    host = unit.configure(recorder.address)
    with unit.running(pins=pins) as told:
        assert told[0].startswith("READY=1\nSTATUS=first push in ")
        wait_for(lambda: bool(recorder.taken))
    assert f"WATCHDOG=1\nSTATUS={recorder.address}: sent 1, failed 0" in told
    assert told[-1] == "STOPPING=1"
    (value,) = recorder.taken
    assert (value["host"], value["key"]) == (host, "sockets.get")
    (spool,) = unit.box.state.glob(FILE)
    assert (spool.stat().st_uid, stat.S_IMODE(spool.stat().st_mode)) == (unit.box.uid, 0o600)
    document = json.loads(value["value"])
    assert isinstance(document, dict)
    return document


def held_by(document: dict[str, Any], holder: Holder) -> Any:
    """Return the row of a process, or None."""
    return next((row for row in document["processes"] if row["name"] == holder.name), None)


def test_with_iterators(unit: Unit, recorder: Recorder, others: Holder) -> None:
    """Without any capability it pushes a complete document, root's processes among it."""
    document = first_document(unit, recorder, pins=True)
    assert (document["collector"]["source"], document["collector"]["degraded"]) == ("bpf", 0)
    assert document["complete"] == 1, document["collector"]["warnings"]
    process = held_by(document, others)
    assert {state: process["tcp"][state] for state in TCP} == TCP
    assert process["udp"] == UDP


def test_without_iterators(unit: Unit, recorder: Recorder, others: Holder) -> None:
    """It pushes what it may see, and says that this is not all."""
    document = first_document(unit, recorder, pins=False)
    assert (document["complete"], document["collector"]["degraded"]) == (0, 1)
    assert document["collector"]["denied_processes"] > 0
    assert document["collector"]["warnings"]
    assert held_by(document, others) is None


@pytest.mark.parametrize("version", SERVER_VERSIONS)
def test_with_drop_in(stage: Stage, version: str, recorder: Recorder, others: Holder) -> None:
    """With the two capabilities of the drop-in nothing is denied that root may see."""
    with installed(stage, version, DROP_IN) as unit:
        unit.watch_sender()
        document = first_document(unit, recorder, pins=False)
        statuses = [path.read_text() for path in unit.box.state.glob("status.*")]
    assert document["collector"]["source"] == "sock_diag"
    assert document["collector"]["denied_processes"] == denied_to_root()
    if not denied_to_root():
        assert document["complete"] == 1, document["collector"]["warnings"]
    process = held_by(document, others)
    assert {state: process["tcp"][state] for state in TCP} == TCP
    assert len(statuses) == 2  # one at the start, to check, and one that pushed
    for status in statuses:
        capabilities = dict(line.split(":\t") for line in status.splitlines() if line[:3] == "Cap")
        for kind in ("CapPrm", "CapEff", "CapAmb"):
            assert int(capabilities[kind], 16) == 0, status


def test_outage(unit: Unit, recorder: Recorder, tmp_path: Path) -> None:
    """What is not taken waits in the unit's own directory, and its next run delivers it."""
    recorder.mood = Mood.REFUSE
    unit.configure(recorder.address)
    with unit.running(pins=True):
        wait_for(lambda: recorder.requests == 1)
    recorder.mood = Mood.TAKE
    copied = shutil.copytree(unit.box.state, tmp_path / "copied")  # root opens none of a user's
    spool = Spool(str(copied / FILE), 1 << 30)
    waiting = spool.oldest(recorder.address)
    spool.close()
    assert waiting is not None
    unit.configure(recorder.address)
    with unit.running(pins=True):
        wait_for(lambda: len(recorder.taken) == 2)
    (first, _) = recorder.taken
    (value,) = waiting.values
    assert (first["clock"], first["ns"], first["value"]) == (value.clock, value.ns, value.text)


def test_no_sender(unit: Unit, recorder: Recorder) -> None:
    """Without zabbix_sender it doesn't start, and the log says what to install."""
    unit.configure(recorder.address)
    (unit.box.root / "bin/zabbix_sender").unlink()
    status, log = unit.fails(PATH="/usr/local/bin")  # the machine's own may be in another folder
    assert status == USAGE
    assert "there is no zabbix_sender" in log
    assert "install the package zabbix-sender" in log


def test_no_agent(unit: Unit) -> None:
    """Without an agent's file it doesn't start; nor is it started again."""
    status, log = unit.fails()
    assert status == USAGE
    assert "where to? no agent's configuration" in log


def test_agent_2(unit: Unit, recorder: Recorder) -> None:
    """With the packaged file of agent 2, whose Include= is relative, it pushes from any folder."""
    unit.configure(
        recorder.address, "Include=./zabbix_agent2.d/plugins.d/*.conf", "ControlSocket=x"
    )
    folder = unit.box.root / "etc/zabbix"
    (folder / "zabbix_agent2.d/plugins.d").mkdir(parents=True)
    (folder / "zabbix_agent2.d/plugins.d/x.conf").write_text("Plugins.X.System.Path=/x\n")
    (folder / "zabbix_agentd.conf").rename(folder / "zabbix_agent2.conf")
    with unit.running(pins=True):
        wait_for(lambda: bool(recorder.taken))
    assert "settings of /etc/zabbix/zabbix_agent2.conf" in unit.log.read_text()


def test_another_server(unit: Unit) -> None:
    """A host whose agent encrypts sends nothing in plain text to a server that is named."""
    unit.configure("127.0.0.1:1", *TLS)
    keep_key(unit).chmod(0o444)
    once = unit.box.exec_start[:-2]
    assert once[-1] == "send"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        to = f"127.0.0.1:{listener.getsockname()[1]}"
        command = unit.box.command([*once, "--server", to], pins=True)
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            connection, _ = listener.accept()
            with connection:
                assert connection.recv(1) == b"\x16"  # ContentType handshake, RFC 5246
            assert process.stderr
            assert "1 waiting: " in process.stderr.read()
            assert process.wait(60) == 1


def test_watchdog(unit: Unit, recorder: Recorder) -> None:
    """While a server never answers it says in time that it is alive, whatever that time is."""
    recorder.mood = Mood.SILENT
    unit.configure(recorder.address)
    with unit.running(pins=True, WATCHDOG_USEC=f"{_WATCHDOG * 1_000_000}") as told:
        wait_for(lambda: recorder.requests == 1, lambda: recorder.requests)
        moments = [time.monotonic()]
        while moments[-1] < moments[0] + 2 * _WATCHDOG:
            if "WATCHDOG=1" in told.receive():
                moments.append(time.monotonic())
        assert recorder.requests == 1
    gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert max(gaps) < _WATCHDOG


def test_tls(server: Server, stage: Stage) -> None:
    """With a pre-shared key that only group zabbix may read it reaches a real server."""
    with installed(stage, server.version) as unit:
        key = unit.box.root / "etc/zabbix/psk"
        key.write_text("7b" * 32)
        key.chmod(0o640)
        shutil.chown(key, "root", "zabbix")
        lines = ["TLSConnect=psk", "TLSPSKIdentity=unit", "TLSPSKFile=/etc/zabbix/psk"]
        assert_reaches(server, unit, *lines)


def assert_reaches(server: Server, unit: Unit, *lines: str) -> None:
    """Let it push to a real server, with these lines in the agent's file.

    A host's name says at which second of each minute it pushes; making a host takes seconds, too
    many on a busy machine. So there are hosts for all seconds, one of which will do.
    """
    hosts = {
        next(name for name in NAMES if schedule.offset(name, INTERVAL) // APART == part): ""
        for part in range(round(INTERVAL / APART))
    }
    (groupid,) = server.api.hostgroup.create(name=f"units {server.version}")["groupids"]
    psk = {"tls_accept": 2, "tls_psk_identity": "unit", "tls_psk": "7b" * 32}
    common = {"groups": [{"groupid": groupid}], **psk}
    created = server.api.host.create(*(common | {"host": name} for name in hosts))
    hosts = dict(zip(hosts, created["hostids"], strict=True))
    item = {"name": "all", "key_": "sockets.get", "type": 2, "value_type": 4}
    server.api.item.create(*(item | {"hostid": each} for each in hosts.values()))
    server.reload()
    name = unit.configure(f"127.0.0.1:{server.port}", *lines, names=hosts)
    with unit.running(pins=True):
        wait_for(lambda: bool(server.last_values(hosts[name])))
    server.api.host.delete(*hosts.values())
    server.api.hostgroup.delete(groupid)


TLS = ("TLSConnect=psk", "TLSPSKIdentity=unit", "TLSPSKFile=/etc/zabbix/zabbix_agentd.psk")


def keep_key(unit: Unit) -> Path:
    """Make a key that only the agent's user may read."""
    key = unit.box.root / "etc/zabbix/zabbix_agentd.psk"
    key.write_text("7b" * 32)
    key.chmod(0o400)
    shutil.chown(key, "zabbix", "zabbix")
    return key


@pytest.mark.parametrize("drop_ins", [(), (DROP_IN,)])
@pytest.mark.parametrize("version", SERVER_VERSIONS)
def test_key_of_the_agents_user(stage: Stage, version: str, drop_ins: tuple[str, ...]) -> None:
    """It doesn't start with a key that zabbix_sender may not read, and says why and what to do."""
    with installed(stage, version, *drop_ins) as unit:
        unit.configure("127.0.0.1:1", *TLS)
        keep_key(unit)
        status, log = unit.fails()
    assert status == USAGE
    assert 'cannot open file "/etc/zabbix/zabbix_agentd.psk": [13] Permission denied' in log
    assert "docs/send.md" in log


def test_credentials(server: Server, stage: Stage) -> None:
    """With the drop-in for credentials it reaches a real server with such a key."""
    with installed(stage, server.version, CREDENTIALS) as unit:
        keep_key(unit)
        assert_reaches(server, unit, *TLS)
