"""The unit of load: start, reload and stop work within all of its own restrictions."""

import grp
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from zabbix_sockets.model.paths import PINS, PINS_GROUP
from zabbix_sockets.readers.bpf import records, totals

from .sandbox import Sandbox, parse, sandbox
from .stage import Stage, UnavailableError

pytestmark = pytest.mark.zabbix

UNIT = "systemd/zabbix-sockets-load.service"
PROGRAMS = (*records.PROGRAMS, records.COUNT_MINISOCKS, *totals.PINS)
LOADED = {records.pin_path(PINS, program) for program in PROGRAMS}

# What the unit's capabilities, one of which could give any file away, are good for here.
PROBE = r"""
import os, socket
for path in ("/usr", "/etc/passwd", "/var/lib", "/run", "/proc/sys/kernel", "/sys/kernel"):
    attempt(f"chown {path}", os.chown, path, 1, 1)
attempt("write /etc", open, "/etc/probe", "w")
attempt("list /root", os.listdir, "/root")
attempt("inet socket", socket.socket, socket.AF_INET, socket.SOCK_DGRAM)
attempt("netlink socket", socket.socket, socket.AF_NETLINK, socket.SOCK_RAW)
attempt("mount", libc.mount, b"bpf", b"/tmp", b"bpf", 0, None)
attempt("umount", libc.umount2, b"/tmp", 0)
attempt("unshare", libc.unshare, 0x10000000)
for line in open("/proc/self/status"):
    if line.startswith(("Uid", "Gid", "Groups", "CapEff", "CapBnd", "NoNewPrivs", "Seccomp:")):
        print(*line.split())
"""


@pytest.fixture
def folder(stage: Stage) -> Iterator[Path]:
    """What stands in for the machine's directories; the bpffs is there, as its mount unit says."""
    root = Path(tempfile.mkdtemp(prefix="zabbix-unit-"))
    try:
        root.chmod(0o755)
        stage.load()
        yield root
    except UnavailableError as exc:
        pytest.skip(str(exc))
    finally:
        stage.load()  # for the others
        shutil.rmtree(root)


def unit(stage: Stage, folder: Path, **changed: str) -> Sandbox:
    """Return the unit, with a drop-in's settings if need be; an empty one takes a line away."""
    settings = parse(stage.conf / UNIT)
    for name, value in changed.items():
        settings[name] = [*settings.get(name, []), value] if value else [""]
    return sandbox(settings, stage, folder)


def run(box: Sandbox, name: str) -> tuple[int, str, str]:
    """Run what ExecStart=, ExecReload= or ExecStop= says; return status, stdout, stderr."""
    limit = float(box.one("TimeoutStartSec"))
    command = box.command(box.exec_line(name), pins=True)
    answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=limit)
    return answer.returncode, answer.stdout, answer.stderr


def pinned(stage: Stage) -> dict[str, int]:
    """Return the pins that are there, by the path in the unit, with their group's id."""
    pins = stage.root / "pins"
    names = [each for each in os.listdir(pins) if not each.endswith(".debug")]
    return {f"{PINS}/{name}": (pins / name).stat().st_gid for name in names}


def readable_by(group: str) -> dict[str, int]:
    """Return the pins of a unit with that group: those that count are nobody's to read."""
    gid = grp.getgrnam(group).gr_gid
    counting = {records.pin_path(PINS, program) for program in totals.TRACEPOINTS}
    return {path: 0 if path in counting else gid for path in LOADED}


def unloaded(paths: Iterable[str]) -> tuple[int, str, str]:
    """Return what a unit's end with these pins is: status, stdout, stderr."""
    return 0, "".join(f"unloaded {path}\n" for path in sorted(paths)), ""


def test_restrictions(stage: Stage, folder: Path) -> None:
    """What the unit forbids fails in the sandbox, giving other files away among it."""
    three = f"{1 << 0 | 1 << 38 | 1 << 39:016x}"  # CAP_CHOWN, CAP_PERFMON, CAP_BPF
    assert unit(stage, folder).probe(PROBE) == [
        *(f"chown {path} EROFS" for path in ("/usr", "/etc/passwd", "/var/lib", "/run")),
        *(f"chown {path} EROFS" for path in ("/proc/sys/kernel", "/sys/kernel")),
        "write /etc EROFS",
        "list /root EACCES",
        "inet socket EAFNOSUPPORT",
        "netlink socket EAFNOSUPPORT",
        "mount EPERM",
        "umount EPERM",
        "unshare EPERM",
        "Uid: 0 0 0 0",
        "Gid: 0 0 0 0",
        "Groups:",
        f"CapEff: {three}",
        f"CapBnd: {three}",
        "NoNewPrivs: 1",
        "Seccomp: 2",
    ]


@pytest.mark.parametrize("changed", [{}, {"SystemCallErrorNumber": ""}])
def test_start_reload_and_stop(stage: Stage, folder: Path, changed: dict[str, str]) -> None:
    """Each ends well and says what it did, also where a forbidden call would be death."""
    box = unit(stage, folder, **changed)
    loaded = (0, f"readable by group {PINS_GROUP}\n", "")
    before = pinned(stage)
    assert run(box, "ExecStop") == unloaded(before)
    assert pinned(stage) == {}
    for step in ("ExecStart", "ExecReload"):
        status, said, errors = run(box, step)
        assert (status, said.partition(", ")[2].partition("loaded")[0], errors) == loaded
        assert pinned(stage) == readable_by(PINS_GROUP)
    assert run(box, "ExecStop") == unloaded(LOADED)


def test_another_group(stage: Stage, folder: Path) -> None:
    """A drop-in's one line names the group."""
    box = unit(stage, folder, Environment="PINS_GROUP=games")
    assert run(box, "ExecReload")[0] == 0
    assert pinned(stage) == readable_by("games")


def test_missing_group(stage: Stage, folder: Path) -> None:
    """Without the group the program itself says so, and what to do; what is pinned stays."""
    before = pinned(stage)
    box = unit(stage, folder, Environment="PINS_GROUP=bogus")
    status, said, errors = run(box, "ExecReload")
    assert (status, said) == (1, "")
    assert errors.startswith(
        "zabbix-sockets: no group bogus: nobody but root could read what load leaves"
    )
    assert "load --group NAME" in errors
    assert pinned(stage) == before


def test_times_and_conditions(stage: Stage) -> None:
    """The agent, which waits for it, waits a bounded time; a container without CAP_BPF skips it."""
    text = (stage.conf / UNIT).read_text()
    mount = (stage.conf / "systemd/run-zabbix\\x2dsockets.mount").read_text()
    assert 0 < int(parse(stage.conf / UNIT)["TimeoutStartSec"][-1]) <= 30
    assert "ConditionCapability=CAP_BPF\n" in text
    assert "ConditionCapability=CAP_BPF\n" in mount
    assert parse(stage.conf / UNIT)["ExecReload"] == parse(stage.conf / UNIT)["ExecStart"]
