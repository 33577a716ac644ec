"""Faults of the host: its kernel, pins, units, mounts, containers and SELinux."""

from __future__ import annotations

import bz2
import struct
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from zabbix_sockets.check.agents import AgentProcess
from zabbix_sockets.check.caller import check_caller
from zabbix_sockets.check.children import User
from zabbix_sockets.check.containers import check_containers
from zabbix_sockets.check.kernel import check_kernel, check_libbpf
from zabbix_sockets.check.line import BROKEN, DEGRADED, UNKNOWN, Line
from zabbix_sockets.check.pins import check_pins
from zabbix_sockets.check.selinux import check_selinux
from zabbix_sockets.check.totals import check_totals
from zabbix_sockets.check.units import LOAD_UNIT, MOUNT_UNIT, check_load_unit
from zabbix_sockets.check.visibility import check_cgroups, check_hidepid
from zabbix_sockets.host.own_files import conf_path
from zabbix_sockets.host.selinux_store import MODULE_FILE
from zabbix_sockets.model.container_names import NAMES_FILE, NAMES_PATH_UNIT, NAMES_SERVICE
from zabbix_sockets.readers.bpf.records import COUNT_MINISOCKS, TOTAL_PROCESSES, pin_path
from zabbix_sockets.readers.bpf.totals import TOTAL_LISTENERS, TOTAL_UPSTREAMS

from .trees import GROUP, PINS, STRANGER, Faults, Tree, fault

FAULTS: Faults = []
that = partial(fault, FAULTS)

POLICY = Path(conf_path(MODULE_FILE)).read_bytes()
AS_ROOT = "sudo zabbix-sockets check"
SETUP = "zabbix-sockets setup"


@that("caller", UNKNOWN, "what only root may look at is unknown", AS_ROOT)
def _caller_is_nobody(tree: Tree) -> Iterable[Line]:
    tree.euid = 65534
    return check_caller(tree(), ())


@that("caller", DEGRADED, "root has no CAP_PERFMON and no CAP_BPF here, as in a container")
def _root_of_a_container(tree: Tree) -> Iterable[Line]:
    tree.write("/proc/thread-self/status", "Name:\tsh\nCapEff:\t0000000000000003\n")
    return check_caller(tree(), ())


@that("kernel", DEGRADED, "Linux 4.19.0-27-amd64 is too old for BPF iterators, which need 5.11")
def _old_kernel(tree: Tree) -> Iterable[Line]:
    return check_kernel(tree(), "4.19.0-27-amd64")


@that("btf", DEGRADED, "the kernel has no BTF")
def _no_btf(tree: Tree) -> Iterable[Line]:
    (tree.root / "sys/kernel/btf/vmlinux").unlink()
    return check_kernel(tree())


@that("lockdown", DEGRADED, "confidentiality mode", "cat /proc/cmdline")
def _confidentiality(tree: Tree) -> Iterable[Line]:
    tree.write("/sys/kernel/security/lockdown", "none integrity [confidentiality]\n")
    return check_kernel(tree())


@that("lockdown", UNKNOWN, "this user may not read it", AS_ROOT)
def _lockdown_unread(tree: Tree) -> Iterable[Line]:
    (tree.root / "sys/kernel/security/lockdown").mkdir(parents=True)  # nobody can read it
    return check_kernel(tree())


def _without(_name: str) -> object:
    raise OSError


def _with_version_0(name: str) -> object:
    if name != "libbpf.so.0":
        raise OSError
    return name


@that("libbpf", DEGRADED, "there is no libbpf.so.1 or libbpf.so.0", "apt install libbpf1")
def _no_libbpf(tree: Tree) -> Iterable[Line]:
    return check_libbpf(tree(), _without)


@that("libbpf", DEGRADED, "can't load the BPF iterators", "apt install libbpf0")
def _no_libbpf_on_debian_11(tree: Tree) -> Iterable[Line]:
    tree.write("/etc/os-release", 'ID=debian\nVERSION_ID="11"\n')
    return check_libbpf(tree(), _without)


@that("libbpf", DEGRADED, "can't load the BPF iterators", "dnf install libbpf")
def _no_libbpf_on_rocky(tree: Tree) -> Iterable[Line]:
    tree.write("/etc/os-release", 'ID="rocky"\nID_LIKE="rhel centos fedora"\n')
    return check_libbpf(tree(), _without)


@that("libbpf", DEGRADED, "libbpf.so.0 can't read the types of Linux 6.1.0-9-amd64")
def _old_libbpf(tree: Tree) -> Iterable[Line]:
    return check_libbpf(tree(), _with_version_0, "6.1.0-9-amd64")


@that(
    "libbpf",
    DEGRADED,
    "can't read the types of Linux 6",
    f"systemctl disable --now {LOAD_UNIT} && systemctl reset-failed {LOAD_UNIT}",
)
def _old_libbpf_and_a_unit_that_needs_it(tree: Tree) -> Iterable[Line]:
    tree.boot_systemd(LOAD_UNIT, ActiveState="failed")
    return check_libbpf(tree(), _with_version_0, "6.1.0-9-amd64")


@that("libbpf", DEGRADED, "can't read the types of Linux 6", "")
def _old_libbpf_and_a_unit_that_is_not_started(tree: Tree) -> Iterable[Line]:
    tree.boot_systemd(LOAD_UNIT, ActiveState="inactive")
    return check_libbpf(tree(), _with_version_0, "6.1.0-9-amd64")


NEVER_STARTED = {
    "ActiveState": "inactive",
    "ConditionResult": "no",
    "ConditionTimestampMonotonic": "0",
}
"""What systemctl shows of a unit that nobody has tried to start."""


@that("load unit", UNKNOWN, "no systemd runs here", f"{SETUP} --dry-run")
def _no_systemd(tree: Tree) -> Iterable[Line]:
    return check_load_unit(tree(), ())


@that("load unit", DEGRADED, f"there is no {LOAD_UNIT}", SETUP)
def _no_load_unit(tree: Tree) -> Iterable[Line]:
    tree.boot_systemd("zabbix-agent.service")
    return check_load_unit(tree(), ())


@that("load unit", UNKNOWN, "systemd doesn't answer", f"systemctl status {LOAD_UNIT}")
def _systemd_is_silent(tree: Tree) -> Iterable[Line]:
    tree.boot_systemd(LOAD_UNIT)
    tree.program("systemctl", "echo 'Failed to connect to bus' >&2; exit 1")
    return check_load_unit(tree(), ())


@that("load unit", UNKNOWN, "systemd doesn't answer", f"systemctl status {LOAD_UNIT}")
def _systemd_hangs(tree: Tree) -> Iterable[Line]:
    tree.boot_systemd(LOAD_UNIT)
    tree.program("systemctl", "sleep 60")
    tree.seconds = 0.3
    return check_load_unit(tree(), ())


@that("load unit", DEGRADED, "is masked", f"systemctl unmask '{MOUNT_UNIT}'")
def _masked(tree: Tree) -> Iterable[Line]:
    tree.boot_systemd(LOAD_UNIT, LoadState="masked", ActiveState="inactive")
    return check_load_unit(tree(), ())


@that(*("load unit", BROKEN, "has failed: zabbix-sockets: no group zabbix"), SETUP)
def _load_failed(tree: Tree) -> Iterable[Line]:
    journal = "Starting a...\nzabbix-sockets: no group zabbix\ninstall it\nFailed to start a."
    tree.boot_systemd(LOAD_UNIT, journal=journal, ActiveState="failed", Result="exit-code")
    return check_load_unit(tree(), ())


@that("load unit", BROKEN, "has failed: systemd says signal", f"systemctl restart {LOAD_UNIT}")
def _load_failed_silently(tree: Tree) -> Iterable[Line]:
    tree.boot_systemd(LOAD_UNIT, ActiveState="failed", Result="signal")
    return check_load_unit(tree(), ())


@that("load unit", BROKEN, "has failed: zabbix-sockets: no room", f"systemctl restart {LOAD_UNIT}")
def _load_failed_for_another_reason(tree: Tree) -> Iterable[Line]:
    tree.boot_systemd(LOAD_UNIT, journal="zabbix-sockets: no room", ActiveState="failed")
    return check_load_unit(tree(), ())


TOO_OLD = (
    "zabbix-sockets: can't load the iterators: Invalid argument (this libbpf is too old for the"
    " kernel: libbpf 1.x is needed)"
)


@that(
    *("load unit", DEGRADED, "libbpf 1.x is needed); this distribution has none"),
    f"systemctl disable --now {LOAD_UNIT}",
)
def _load_failed_with_an_old_libbpf(tree: Tree) -> Iterable[Line]:
    tree.write("/etc/os-release", 'ID=debian\nVERSION_ID="11"\n')
    tree.boot_systemd(LOAD_UNIT, journal=TOO_OLD, ActiveState="failed")
    return check_load_unit(tree(), ())


@that("load unit", DEGRADED, "libbpf 1.x is needed)", "apt install libbpf1")
def _load_failed_with_an_old_libbpf_of_another_source(tree: Tree) -> Iterable[Line]:
    tree.boot_systemd(LOAD_UNIT, journal=TOO_OLD, ActiveState="failed")
    return check_load_unit(tree(), ())


@that("load unit", DEGRADED, f"{LOAD_UNIT} is not started at boot", SETUP)
def _load_disabled(tree: Tree) -> Iterable[Line]:
    """So it is after the installation without setup: the mount is neither started nor skipped."""
    tree.boot_systemd(
        *(LOAD_UNIT, MOUNT_UNIT),
        **{**NEVER_STARTED, "UnitFileState": "disabled"},
    )
    return check_load_unit(tree(), ())


@that("load unit", BROKEN, f"{MOUNT_UNIT} was never started", SETUP)
def _load_never_started(tree: Tree) -> Iterable[Line]:
    tree.boot_systemd(LOAD_UNIT, **NEVER_STARTED)
    return check_load_unit(tree(), ())


@that("load unit", DEGRADED, "has changed since systemd read it", "systemctl daemon-reload && ...")
def _load_changed(tree: Tree) -> Iterable[Line]:
    tree.boot_systemd(LOAD_UNIT, NeedDaemonReload="yes")
    return check_load_unit(tree(), ())


@that("load unit", BROKEN, "is not started (inactive)", f"systemctl start {LOAD_UNIT}")
def _load_not_started(tree: Tree) -> Iterable[Line]:
    tree.boot_systemd(
        LOAD_UNIT,
        ActiveState="inactive",
        ConditionResult="yes",
        ConditionTimestampMonotonic="7000000",
    )
    return check_load_unit(tree(), ())


@that("pins", DEGRADED, f"no BPF iterators are loaded into {PINS}", "zabbix-sockets load")
def _not_loaded(tree: Tree) -> Iterable[Line]:
    return check_pins(tree(), (tree.agent(),))


@that("pins", DEGRADED, "no BPF iterators are loaded", f"systemctl restart {LOAD_UNIT}")
def _not_loaded_by_the_unit(tree: Tree) -> Iterable[Line]:
    tree.boot_systemd(LOAD_UNIT)
    tree.mount_pins()
    return check_pins(tree(), (tree.agent(),))


@that("pins", DEGRADED, "no BPF iterators are loaded", SETUP)
def _not_loaded_as_the_unit_is_disabled(tree: Tree) -> Iterable[Line]:
    tree.boot_systemd(LOAD_UNIT, UnitFileState="disabled", ActiveState="inactive")
    tree.mount_pins()
    return check_pins(tree(), (tree.agent(),))


@that("pins", DEGRADED, "no BPF iterators are loaded", SETUP)
def _not_loaded_as_there_is_no_group(tree: Tree) -> Iterable[Line]:
    said = "zabbix-sockets: no group zabbix: nobody but root could read what load leaves"
    tree.boot_systemd(LOAD_UNIT, journal=said, ActiveState="failed")
    tree.mount_pins()
    return check_pins(tree(), (tree.agent(),))


@that("pins", DEGRADED, "no BPF iterators are loaded", "")
def _not_loaded_as_libbpf_is_too_old(tree: Tree) -> Iterable[Line]:
    tree.boot_systemd(LOAD_UNIT, journal=TOO_OLD, ActiveState="failed")
    tree.mount_pins()
    return check_pins(tree(), (tree.agent(),))


@that("pins", BROKEN, "of another version", f"systemctl reload {LOAD_UNIT}")
def _another_version(tree: Tree) -> Iterable[Line]:
    tree.boot_systemd(LOAD_UNIT)
    tree.pin(version="1")
    return check_pins(tree(), (tree.agent(),))


@that("pins", DEGRADED, "lack the one of sockets in TIME_WAIT", f"systemctl reload {LOAD_UNIT}")
def _older_load(tree: Tree) -> Iterable[Line]:
    tree.boot_systemd(LOAD_UNIT)
    tree.pin()
    (tree.root / pin_path(PINS, COUNT_MINISOCKS).lstrip("/")).unlink()
    return check_pins(tree(), (tree.agent(),))


@that("pins", BROKEN, "is no bpffs", "zabbix-sockets load")
def _no_bpffs(tree: Tree) -> Iterable[Line]:
    tree.pin()
    del tree.mounts[-1]
    return check_pins(tree(), (tree.agent(),))


def pin_totals(tree: Tree, figures: bytes) -> None:
    """Pin the iterators over totals, each with the record of its end alone."""
    tree.pin()
    for program, before in ((TOTAL_PROCESSES, 48), (TOTAL_LISTENERS, 40), (TOTAL_UPSTREAMS, 40)):
        path = tree.write(pin_path(PINS, program), "")
        path.write_bytes(figures and bytes(before) + figures.ljust(112, b"\0"))


@that("totals", DEGRADED, "7 times there was no room", f"systemctl reload {LOAD_UNIT}")
def _totals_without_room(tree: Tree) -> Iterable[Line]:
    tree.boot_systemd(LOAD_UNIT)
    keys, overflow, missed, based = 16383, 7, 0, 1
    pin_totals(tree, struct.pack("=4Q", keys, overflow, missed, based))
    return check_totals(tree())


@that("totals", UNKNOWN, "they can't be read", AS_ROOT)
def _totals_unreadable(tree: Tree) -> Iterable[Line]:
    pin_totals(tree, b"")
    return check_totals(tree())


@that("pins", UNKNOWN, f"{PINS}: Not a directory", AS_ROOT)
def _pins_folder_closed(tree: Tree) -> Iterable[Line]:
    tree.write(PINS, "")
    return check_pins(tree(), (tree.agent(),))


@that(
    *("pins", BROKEN, "agentd's user other may not read /run/zabbix-sockets/count_sockets-v"),
    "usermod -aG ...",
)
def _pins_for_another_group(tree: Tree) -> Iterable[Line]:
    tree.pin()
    return check_pins(tree(), (tree.agent(user=STRANGER),))


@that("pins", BROKEN, "nobody but root may", "zabbix-sockets load --group ...")
def _pins_for_root_alone(tree: Tree) -> Iterable[Line]:
    tree.pin(mode=0o400)
    return check_pins(tree(), (tree.agent(),))


@that("pins", BROKEN, "may not read /run/zabbix-sockets", "chmod a+rx /run/zabbix-sockets")
def _pins_folder_for_root_alone(tree: Tree) -> Iterable[Line]:
    tree.pin()
    (tree.root / PINS.lstrip("/")).chmod(0o700)
    return check_pins(tree(), (tree.agent(),))


@that(
    *("pins", BROKEN, "it was started before it was in the group"),
    "systemctl restart zabbix-agent.service",
)
def _agent_without_its_new_group(tree: Tree) -> Iterable[Line]:
    tree.pin()
    now = User(STRANGER.name, STRANGER.uid, STRANGER.gid, (GROUP,))
    agent = tree.agent(user=now, process=AgentProcess(4_000_000, 4e9, STRANGER))
    return check_pins(tree(), (agent,))


@that(
    *("pins", BROKEN, "in a mount namespace that doesn't show"),
    "systemctl restart zabbix-agent.service",
)
def _pins_hidden(tree: Tree) -> Iterable[Line]:
    tree.pin()
    tree.write("/proc/4000000/mountinfo", tree.mounts[0] + "\n")
    return check_pins(tree(), (tree.agent(),))


@that("hidepid", DEGRADED, "mounted with hidepid=invisible", f"mount -o remount,gid={GROUP} /proc")
def _hidepid(tree: Tree) -> Iterable[Line]:
    tree.mounts[0] = "22 1 0:21 / /proc rw - proc proc rw,hidepid=invisible"
    return check_hidepid(tree(), (tree.agent(),))


@that("hidepid", DEGRADED, "runs with ProtectProc=", "mkdir -p /etc/systemd/system/zabbix-agent...")
def _protect_proc(tree: Tree) -> Iterable[Line]:
    theirs = tree.mounts[0] + ",hidepid=2\n"
    tree.write("/proc/4000000/mountinfo", theirs)
    return check_hidepid(tree(), (tree.agent(),))


@that("hidepid", DEGRADED, "runs with ProtectProc=")
def _protect_proc_without_unit(tree: Tree) -> Iterable[Line]:
    tree.write("/proc/4000000/mountinfo", tree.mounts[0] + ",hidepid=2\n")
    return check_hidepid(tree(), (tree.agent(unit=""),))


@that("hidepid", UNKNOWN, "may not be read", AS_ROOT)
def _protect_proc_unread(tree: Tree) -> Iterable[Line]:
    tree.euid = 65534
    return check_hidepid(tree(), (tree.agent(),))


@that("cgroups", DEGRADED, "version 1 alone is mounted")
def _cgroups_of_the_old_kind(tree: Tree) -> Iterable[Line]:
    tree.mounts[1] = "23 1 0:22 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu"
    return check_cgroups(tree(), ())


@that("cgroups", UNKNOWN, "none are mounted here")
def _no_cgroups(tree: Tree) -> Iterable[Line]:
    del tree.mounts[1]
    return check_cgroups(tree(), ())


def _with_docker(tree: Tree) -> None:
    (tree.root / "var/lib/docker/containers/3f5e").mkdir(parents=True)


@that("containers", DEGRADED, "docker: an agent without privilege can't learn the names", SETUP)
def _no_names(tree: Tree) -> Iterable[Line]:
    _with_docker(tree)
    return check_containers(tree(), (tree.agent(),))


@that(
    "containers",
    DEGRADED,
    "isn't there",
    f"systemctl enable --now {NAMES_PATH_UNIT} zabbix-sockets-names.timer",
)
def _names_not_enabled(tree: Tree) -> Iterable[Line]:
    _with_docker(tree)
    tree.boot_systemd(NAMES_SERVICE, NAMES_PATH_UNIT, ActiveState="inactive")
    return check_containers(tree(), (tree.agent(),))


@that("containers", BROKEN, f"{NAMES_SERVICE} has failed: no room", "systemctl reset-failed ...")
def _names_failed(tree: Tree) -> Iterable[Line]:
    _with_docker(tree)
    tree.boot_systemd(NAMES_SERVICE, journal="no room", ActiveState="failed")
    return check_containers(tree(), (tree.agent(),))


@that("containers", BROKEN, f"may not read {NAMES_FILE}", f"{SETUP} && systemctl restart ...")
def _names_for_root_alone(tree: Tree) -> Iterable[Line]:
    _with_docker(tree)
    tree.write(NAMES_FILE, "", 0o400)
    return check_containers(tree(), (tree.agent(),))


def _enforcing(tree: Tree, *, module: bytes = POLICY) -> None:
    tree.write("/sys/fs/selinux/enforce", "1")
    tree.write("/var/lib/selinux/targeted/active/commit_num", "")
    if module:
        folder = tree.root / "var/lib/selinux/targeted/active/modules/400/zabbix_sockets"
        folder.mkdir(parents=True)
        (folder / "hll").write_bytes(bz2.compress(module))


@that("selinux", UNKNOWN, "what it denies only root may see", AS_ROOT)
def _enforcing_for_nobody(tree: Tree) -> Iterable[Line]:
    _enforcing(tree)
    tree.euid = 65534
    return check_selinux(tree(), ())


@that("selinux", DEGRADED, "the module zabbix_sockets is not installed", SETUP)
def _no_module(tree: Tree) -> Iterable[Line]:
    _enforcing(tree, module=b"")
    return check_selinux(tree(), ())


@that("selinux", DEGRADED, "the module zabbix_sockets is another version's", SETUP)
def _former_module(tree: Tree) -> Iterable[Line]:
    _enforcing(tree, module=POLICY[:-1])
    return check_selinux(tree(), ())


DENIAL = (
    'type=AVC msg=audit(1700000000.1:2): avc:  denied  { create } for  pid=7 comm="python3"'
    " scontext=system_u:system_r:zabbix_agent_t:s0 tcontext=system_u:system_r:zabbix_agent_t:s0"
    " tclass=netlink_tcpdiag_socket permissive=0\n"
)


@that(
    *("selinux", BROKEN, "it denied zabbix_agent_t { create }"),
    "ausearch -m avc -ts recent | audit2why",
)
def _denied(tree: Tree) -> Iterable[Line]:
    _enforcing(tree)
    tree.write("/var/log/audit/audit.log", DENIAL + "type=USER_END msg=audit(1:1): pid=1\n")
    return check_selinux(tree(), ())


@that("selinux", BROKEN, "it denied zabbix_agent_t", "ausearch ...")
def _denied_without_auditd(tree: Tree) -> Iterable[Line]:
    _enforcing(tree)
    tree.program("journalctl", f"echo 'audit: {DENIAL.strip()}'")
    return check_selinux(tree(), ())


@that("selinux", BROKEN, "it denied zabbix_agent_t", "ausearch ...")
def _denied_with_a_module_of_which_no_copy_is_kept(tree: Tree) -> Iterable[Line]:
    _enforcing(tree)
    (copy,) = tree.root.glob("var/lib/selinux/*/active/modules/*/*/hll")
    copy.unlink()  # semanage.conf, remove-hll: whether it is this version's can't be told
    tree.write("/var/log/audit/audit.log", DENIAL)
    return check_selinux(tree(), ())
